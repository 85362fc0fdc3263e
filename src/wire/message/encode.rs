//! From a message to octets: compressed, cut at whole records, in time linear in the octets.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use crate::wire::opt::head;
use crate::wire::{ADDITIONAL, Class, Flags, Header, Random, Rcode, Rtype};

/// The size that a message may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// The limit in octets, the OPT record included.
    pub limit: usize,
    /// Whether additional records that are left out set TC as well: over UDP some clients read addresses from there
    /// alone and ask again over TCP only when told to.
    pub over_udp: bool,
}

impl Size {
    /// The size limit over UDP.
    pub fn udp(limit: usize) -> Self {
        Self { limit, over_udp: true }
    }

    /// The size limit over TCP: 65,535 octets.
    pub fn tcp() -> Self {
        Self { limit: 65_535, over_udp: false }
    }
}

/// Writes a message into `buffer`, which it replaces. Returns whether TC is set.
///
/// Owners, and the names in NS, CNAME, PTR, MX and SOA (the types of RFC 1035; RFC 3597 section 4 allows no other),
/// are compressed, the spelling is kept. What does not fit is left out in whole records: additional records before
/// authority before answers. A record that cannot be written makes the answer SERVFAIL. Of answers that do not all fit
/// the chain of CNAMEs stays, and of the rest a uniformly random choice; equal seeds make equal choices. The OPT record
/// stays always. A TSIG signature is not written.
pub fn encode(message: &Message, size: Size, seed: u64, buffer: &mut Vec<u8>) -> bool {
    let opt = opt_record(message);
    let limit = size.limit.min(65_535).saturating_sub(opt.len());
    buffer.clear();
    let mut encoder = Encoder::new(buffer, limit);
    encoder.out.extend_from_slice(&[0; Header::LEN]);
    let mut counts = [0u16; 4];
    for query in &message.queries {
        let fits = encoder.whole(|encoder| {
            encoder.name(query.name());
            encoder.put(&Rtype::from(query.query_type()).to_be_bytes());
            encoder.put(&Class::from(query.query_class()).to_be_bytes());
            true
        });
        counts[0] += u16::from(fits);
    }
    let mut random = Random::new(seed);
    let answers = encoder.section(&message.answers, &mut random);
    // Behind a hole nothing else is worth its place: the client asks again over TCP.
    let mut truncated = message.metadata.truncation || answers.cut;
    counts[1] = answers.count;
    if !answers.cut {
        let authorities = encoder.section(&message.authorities, &mut random);
        counts[2] = authorities.count;
        truncated |= authorities.cut && (size.over_udp || answers.count == 0);
        if !authorities.cut {
            encoder.limit = limit.min(ADDITIONAL);
            let additionals = encoder.section(&message.additionals, &mut random);
            counts[3] = additionals.count;
            truncated |= additionals.cut && size.over_udp;
        }
    }
    if encoder.unwritable {
        // Over TCP it would fail as well: no TC, which would send the client there, and no part that looks like a whole.
        let mut failed = Message::response(message.metadata.id, message.metadata.op_code);
        failed.metadata = message.metadata;
        failed.metadata.response_code = ResponseCode::ServFail;
        failed.metadata.authoritative = false;
        failed.queries.clone_from(&message.queries);
        failed.edns.clone_from(&message.edns);
        return encode(&failed, size, seed, buffer);
    }
    if !opt.is_empty() {
        encoder.put(&opt);
        counts[3] += 1;
    }
    put_header(message, !opt.is_empty(), truncated, counts, buffer);
    truncated
}

/// The OPT record in octets; empty when the message has none.
fn opt_record(message: &Message) -> Vec<u8> {
    let Some(edns) = &message.edns else { return Vec::new() };
    let mut out = Vec::with_capacity(32);
    let options = plain(edns.options()).filter(|options| options.len() < 1024).unwrap_or_default();
    let upper = [message.metadata.response_code.high(), edns.version()];
    out.extend_from_slice(&head(edns.max_payload(), upper, u16::from(*edns.flags()), options.len() as u16));
    out.extend_from_slice(&options);
    out
}

fn put_header(message: &Message, has_opt: bool, truncated: bool, counts: [u16; 4], buffer: &mut [u8]) {
    let metadata = &message.metadata;
    let rcode = match metadata.response_code.into() {
        // Without OPT the upper bits are lost, and BADVERS would read as NOERROR.
        Rcode(16..) if !has_opt => Rcode::SERVFAIL,
        rcode => rcode,
    };
    let flags = Flags::from(metadata).with_if(truncated, Flags::TC).with_rcode(rcode);
    if let Some(place) = buffer.first_chunk_mut() {
        *place = Header { id: metadata.id, flags, counts }.to_octets();
    }
}

/// RDATA or options as their own encoder writes them, without compression.
fn plain(data: &impl BinEncodable) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(64);
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    data.emit(&mut encoder).ok()?;
    Some(octets)
}

//----------- Encoder --------------------------------------------------------

/// A message under construction.
pub(super) struct Encoder<'b> {
    pub(super) out: &'b mut Vec<u8>,
    limit: usize,
    /// The names written so far, as a tree of labels from the root down.
    suffixes: HashTable<Suffix>,
    /// The entries in the order of their places, to be taken back when a record does not fit.
    fresh: Vec<Suffix>,
    /// Whether some record cannot be written at all, however much room there is.
    unwritable: bool,
}

/// One label that stands in the message, below another that stands (or the root, place 0).
#[derive(Clone, Copy, PartialEq, Eq)]
struct Suffix {
    hash: u64,
    /// The place of its length octet.
    place: u16,
    parent: u16,
}

struct WrittenSection {
    count: u16,
    cut: bool,
}

impl<'b> Encoder<'b> {
    /// Begins a message behind its header, in octets that are its beginning.
    pub(super) fn new(out: &'b mut Vec<u8>, limit: usize) -> Self {
        Self { out, limit, suffixes: HashTable::new(), fresh: Vec::new(), unwritable: false }
    }

    /// Writes the records of a section: all of them in their order, or what fits in a random order, CNAMEs first.
    fn section(&mut self, records: &[Record], random: &mut Random) -> WrittenSection {
        let start = self.out.len();
        let WrittenSection { count, cut } = self.records(records.iter());
        if !cut {
            return WrittenSection { count, cut };
        }
        self.take_back(start);
        let (aliases, mut others): (Vec<&Record>, Vec<&Record>) =
            records.iter().partition(|record| matches!(record.record_type(), RecordType::CNAME));
        for last in (1..others.len()).rev() {
            others.swap(last, random.below(last + 1));
        }
        let WrittenSection { count, .. } = self.records(aliases.into_iter().chain(others));
        WrittenSection { count, cut: true }
    }

    /// Writes records up to the first that does not fit.
    fn records<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> WrittenSection {
        let mut count = 0u16;
        for record in records {
            let start = self.out.len();
            let fits = count < u16::MAX && self.record(record) && self.out.len() <= self.limit;
            if !fits {
                self.take_back(start);
                return WrittenSection { count, cut: true };
            }
            count += 1;
        }
        WrittenSection { count, cut: false }
    }

    /// Writes what `write` writes, or nothing when it does not fit.
    fn whole(&mut self, write: impl FnOnce(&mut Self) -> bool) -> bool {
        let start = self.out.len();
        let fits = write(self) && self.out.len() <= self.limit;
        if !fits {
            self.take_back(start);
        }
        fits
    }

    /// Forgets everything from an octet on, names included.
    fn take_back(&mut self, start: usize) {
        self.out.truncate(start);
        while let Some(suffix) = self.fresh.pop_if(|suffix| usize::from(suffix.place) >= start) {
            if let Ok(entry) = self.suffixes.find_entry(suffix.hash, |other| *other == suffix) {
                entry.remove();
            }
        }
    }

    fn record(&mut self, record: &Record) -> bool {
        self.name(&record.name);
        self.put(&Rtype::from(record.record_type()).to_be_bytes());
        self.put(&Class::from(record.dns_class).to_be_bytes());
        self.put(&record.ttl.to_be_bytes());
        self.put(&[0, 0]);
        let start = self.out.len();
        match &record.data {
            RData::A(address) => self.put(&address.0.octets()),
            RData::AAAA(address) => self.put(&address.0.octets()),
            RData::CNAME(name) => self.name(&name.0),
            RData::NS(name) => self.name(&name.0),
            RData::PTR(name) => self.name(&name.0),
            RData::MX(mx) => {
                self.put(&mx.preference.to_be_bytes());
                self.name(&mx.exchange);
            }
            RData::SOA(soa) => {
                self.name(&soa.mname);
                self.name(&soa.rname);
                for number in [soa.serial, soa.refresh as u32, soa.retry as u32, soa.expire as u32, soa.minimum] {
                    self.put(&number.to_be_bytes());
                }
            }
            RData::SRV(srv) => {
                for number in [srv.priority, srv.weight, srv.port] {
                    self.put(&number.to_be_bytes());
                }
                // RFC 2782: not compressed, though owners may point here.
                self.spelled_out(&srv.target);
            }
            RData::Update0(_) => {}
            other => {
                let Some(octets) = plain(other) else {
                    self.unwritable = true;
                    return false;
                };
                self.put(&octets);
            }
        }
        let Ok(len) = u16::try_from(self.out.len() - start) else { return false };
        let Some(place) = self.out.get_mut(start - 2..start) else { return false };
        place.copy_from_slice(&len.to_be_bytes());
        true
    }

    pub(super) fn put(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Writes a name: the labels that do not stand yet, and a pointer to those that do.
    pub(super) fn name(&mut self, name: &Name) {
        // From the root down: the longest end of the name that stands.
        let mut standing = 0u16;
        let mut known = 0;
        for label in name.iter().rev() {
            let Some(place) = self.find(label, standing) else { break };
            standing = place;
            known += 1;
        }
        let fresh = name.iter().len() - known;
        let mut at = self.out.len();
        for label in name.iter().take(fresh) {
            self.put(&[label.len() as u8]);
            self.put(label);
        }
        match standing {
            0 => self.put(&[0]),
            place => self.put(&(place | 0xc000).to_be_bytes()),
        }
        // The new labels, again from the root down, so that each knows the one above it.
        let len: usize = name.iter().take(fresh).map(|label| label.len() + 1).sum();
        at += len;
        for label in name.iter().take(fresh).rev() {
            at -= label.len() + 1;
            let Some(place) = self.note(label, standing, at) else { break };
            standing = place;
        }
    }

    /// Writes a name without a pointer, and notes where its labels stand.
    pub(super) fn spelled_out(&mut self, name: &Name) {
        for label in name.iter() {
            self.put(&[label.len() as u8]);
            self.put(label);
        }
        let mut at = self.out.len();
        self.put(&[0]);
        let mut standing = 0u16;
        for label in name.iter().rev() {
            at -= label.len() + 1;
            let Some(place) = self.find(label, standing).or_else(|| self.note(label, standing, at)) else { break };
            standing = place;
        }
    }

    /// The place of a label below another.
    fn find(&self, label: &[u8], parent: u16) -> Option<u16> {
        let out = &*self.out;
        self.suffixes
            .find(hash(label, parent), |suffix| suffix.parent == parent && stands(out, suffix.place, label))
            .map(|suffix| suffix.place)
    }

    /// Notes that a label stands at an octet, when a pointer can reach it (RFC 1035 section 4.1.4: 14 bits).
    fn note(&mut self, label: &[u8], parent: u16, at: usize) -> Option<u16> {
        let place = u16::try_from(at).ok().filter(|&place| place < 0x4000)?;
        let suffix = Suffix { hash: hash(label, parent), place, parent };
        self.suffixes.insert_unique(suffix.hash, suffix, |suffix| suffix.hash);
        self.fresh.push(suffix);
        Some(place)
    }
}

/// Whether this label stands at this octet.
fn stands(out: &[u8], place: u16, label: &[u8]) -> bool {
    let place = usize::from(place);
    out.get(place).is_some_and(|&len| usize::from(len) == label.len())
        && out.get(place + 1..=place + label.len()) == Some(label)
}

/// Seeded once for each process: the labels are chosen by strangers.
fn hash(label: &[u8], parent: u16) -> u64 {
    use std::sync::LazyLock;
    static SEED: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);
    SEED.hash_one((parent, label))
}
