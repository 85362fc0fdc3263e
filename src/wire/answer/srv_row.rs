//! SRV records by the row: what they have in common is put together once, and each of them is one copy.

use super::{Answer, Class, Full, Header, Place, Rtype, Section, Shared, Ttl};

/// SRV records of one owner that differ in the first label of their target and in their port.
///
/// Written through [`Answer::srv`], a thousand of them would compare and check a thousand times what does not change.
#[derive(Debug)]
pub struct SrvRow<'r, 'b> {
    answer: &'r mut Answer<'b>,
    owner: Place,
    ttl: Ttl,
    weight: u16,
    rest: &'r [u8],
}

/// The octets of a record before its target: owner, type, class, TTL, RDLENGTH, priority, weight, port.
pub(super) const HEAD: usize = 18;

impl<'b> Answer<'b> {
    /// Starts a row of SRV records of priority 0, whose targets lie directly below `rest` (wire format, with its root
    /// label). The owner must be within the reach of pointers; nothing fits otherwise.
    pub fn srv_row<'r>(&'r mut self, owner: Place, ttl: Ttl, weight: u16, rest: &'r [u8]) -> SrvRow<'r, 'b> {
        SrvRow { answer: self, owner, ttl, weight, rest }
    }
}

impl SrvRow<'_, '_> {
    /// The octets that a record with such a label takes.
    pub fn octets(label: &[u8], rest: &[u8]) -> usize {
        HEAD + 1 + label.len() + rest.len()
    }

    /// The place that the target of the next record will have.
    pub fn next_target(&self) -> Place {
        Place(self.answer.len + HEAD)
    }

    /// Writes a record.
    ///
    /// # Errors
    /// [`Full`] when the record does not fit; nothing is written then.
    #[inline]
    pub fn put(&mut self, label: &[u8], port: u16) -> Result<(), Full> {
        let Answer { buffer, len, limit, header: Header { counts, .. }, anchors, .. } = &mut *self.answer;
        debug_assert!((1..64).contains(&label.len()) && counts[2] == 0 && counts[3] == 0, "a label; sections in order");
        let start = *len;
        let end = start + Self::octets(label, self.rest);
        let count = counts.get_mut(Section::Answer as usize).and_then(|count| Some((count.checked_add(1)?, count)));
        let (Some((more, count)), true) = (count, end <= *limit && self.owner.is_reachable()) else { return Err(Full) };
        let record = buffer.get_mut(start..end).ok_or(Full)?;
        let (head, target) = record.split_first_chunk_mut::<HEAD>().ok_or(Full)?;
        let [o0, o1] = self.owner.pointer();
        let [t0, t1, t2, t3] = self.ttl.to_be_bytes();
        let [l0, l1] = ((end - start - 12) as u16).to_be_bytes();
        let ([w0, w1], [p0, p1]) = (self.weight.to_be_bytes(), port.to_be_bytes());
        let ([r0, r1], [c0, c1]) = (Rtype::SRV.to_be_bytes(), Class::IN.to_be_bytes());
        *head = [o0, o1, r0, r1, c0, c1, t0, t1, t2, t3, l0, l1, 0, 0, w0, w1, p0, p1];
        let (first, target) = target.split_first_mut().ok_or(Full)?;
        *first = label.len() as u8;
        let (into_label, into_rest) = target.split_at_mut_checked(label.len()).ok_or(Full)?;
        into_label.copy_from_slice(label);
        // RFC 2782: the target is not compressed.
        into_rest.copy_from_slice(self.rest);
        (*len, *count) = (end, more);
        anchors.shared.get_or_insert(Shared { at: end - self.rest.len(), len: self.rest.len() });
        Ok(())
    }
}
