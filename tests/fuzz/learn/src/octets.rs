//! Values drawn from an input, as long as it has octets.

/// The rest of an input. At its end it gives zeros and nothing.
#[derive(Clone, Debug)]
pub(crate) struct Drawn<'o>(&'o [u8]);

impl<'o> Drawn<'o> {
    pub(crate) fn new(octets: &'o [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn octet(&mut self) -> u8 {
        let Some((&octet, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        octet
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.octet()) % end.max(1)
    }

    /// One of several.
    pub(crate) fn one_of<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// True once in so many times, about; false where nothing is left.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 1 % times.max(1) && !self.0.is_empty()
    }

    /// So many octets, or what is left.
    pub(crate) fn take(&mut self, len: usize) -> &'o [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(crate) fn rest(self) -> &'o [u8] {
        self.0
    }
}

/// Octets in parts of these lengths, over and over.
pub(crate) fn in_parts<'o>(octets: &'o [u8], lengths: &[u8]) -> Vec<&'o [u8]> {
    let mut parts = Vec::new();
    let mut rest = octets;
    let mut lengths = lengths.iter().cycle();
    while !rest.is_empty() {
        let len = lengths.next().map_or(rest.len(), |len| 1 + usize::from(*len));
        let (part, more) = rest.split_at(len.min(rest.len()));
        parts.push(part);
        rest = more;
    }
    parts
}
