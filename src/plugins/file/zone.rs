//! A zone from a file, and the way from a question to its records (RFC 1034 section 4.3.2).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::chain::{Choice, Query};
use crate::corefile::{Error, Position};
use crate::syntax::names;
use crate::syntax::record::Placed;
use crate::wire::message::{MessageName, RData, Record, RecordType, ResponseCode, rdata_from};
use crate::wire::{Name, Rtype, Serial};

/// Longer chains of aliases end in the middle; the client may go on from there.
const LONGEST_CHAIN: usize = 16;

/// The records of a zone by owner.
#[derive(Debug)]
pub(super) struct FileZone {
    origin: Name,
    soa: Record,
    serial: Serial,
    minimum: u32,
    /// The place of each owner's records.
    nodes: HashMap<Name, usize>,
    /// The records, those of one owner together and sorted by type.
    sets: Vec<Vec<Record>>,
    /// All names that exist, those without records between others too.
    exists: HashSet<Name>,
    /// The owners of NSEC records in the order of RFC 4034 section 6.1; empty where the zone is not signed.
    denials: BTreeMap<Vec<Vec<u8>>, Name>,
}

/// A question to a zone.
#[derive(Clone, Copy)]
pub(super) struct Asked<'q> {
    pub(super) qtype: RecordType,
    /// The client takes signatures.
    pub(super) dnssec: bool,
    /// The query: who asks, and for how much.
    pub(super) query: &'q Query,
}

/// The result of a look-up.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rcode: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
    /// The name belongs to another server.
    pub(super) referral: bool,
    /// The name itself has no records: it is not there, or it only stands above others.
    pub(super) nothing: bool,
    /// A CNAME leads to this name, which others know.
    pub(super) outside: Option<MessageName>,
    /// There are more records than the answer can hold; more of the additional ones.
    pub(super) cut: bool,
    pub(super) cut_beside: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            rcode: ResponseCode::NoError,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            referral: false,
            nothing: false,
            outside: None,
            cut: false,
            cut_beside: false,
        }
    }
}

impl Found {
    /// The records of a set that the answer may hold.
    fn some(&mut self, set: &[Record], asked: Asked<'_>) -> Vec<Record> {
        let Choice { records, all } = asked.query.some_of(set);
        self.cut |= !all;
        records
    }

    /// Adds those of a set that the answer may hold beside others.
    fn add_beside(&mut self, set: &[Record], asked: Asked<'_>) {
        let Choice { records, all } = asked.query.some_of(set);
        let left = asked.query.most_records().saturating_sub(self.additionals.len());
        self.cut_beside |= !all || records.len() > left;
        self.additionals.extend(records.into_iter().take(left));
    }
}

impl FileZone {
    /// Takes the records of a file; those that lie outside of the zone are left out and given back.
    ///
    /// # Errors
    /// Without a SOA at the origin.
    pub(super) fn new(origin: MessageName, records: Vec<Placed>) -> Result<(Self, Vec<Placed>), String> {
        let origin = names::to_wire(&origin);
        let soa = records.iter().rev().find_map(|placed| match &placed.record.data {
            RData::SOA(soa) if names::to_wire(&placed.record.name) == origin => {
                Some((placed.record.clone(), Serial(soa.serial), soa.minimum))
            }
            _ => None,
        });
        let (soa, serial, minimum) = soa.ok_or_else(|| format!("the zone file has no SOA record for {origin}"))?;
        let mut zone = Self {
            origin,
            soa,
            serial,
            minimum,
            nodes: HashMap::new(),
            sets: Vec::new(),
            exists: HashSet::new(),
            denials: BTreeMap::new(),
        };
        let mut outside = Vec::new();
        for placed in records {
            let owner = names::to_wire(&placed.record.name);
            match owner.is_within(&zone.origin) {
                true => zone.insert(owner, placed.record),
                false => outside.push(placed),
            }
        }
        zone.sets.iter_mut().for_each(tidy);
        Ok((zone, outside))
    }

    fn insert(&mut self, owner: Name, record: Record) {
        if !self.nodes.contains_key(&owner) {
            self.exists.extend(chain(&owner, &self.origin));
        }
        if record.record_type() == RecordType::NSEC {
            self.denials.insert(order(&owner), owner.clone());
        }
        let at = *self.nodes.entry(owner).or_insert(self.sets.len());
        match self.sets.get_mut(at) {
            None => self.sets.push(vec![record]),
            Some(set) => set.push(record),
        }
    }

    pub(super) fn serial(&self) -> Serial {
        self.serial
    }

    /// All records, the SOA first; copied one owner at a time.
    pub(super) fn records(self: Arc<Self>) -> impl Iterator<Item = Record> + Send {
        let soa = self.soa.clone();
        let others = (0..self.sets.len()).flat_map(move |at| {
            let set = self.sets.get(at).map(Vec::as_slice).unwrap_or_default();
            set.iter().filter(|record| record.record_type() != RecordType::SOA).cloned().collect::<Vec<_>>()
        });
        std::iter::once(soa).chain(others)
    }

    /// Looks a name up that lies in the zone.
    pub(super) fn look_up(&self, name: &MessageName, asked: Asked<'_>, found: &mut Found) {
        let mut name = name.clone();
        let mut seen = HashSet::new();
        for _ in 0..LONGEST_CHAIN {
            let Some(target) = self.step(&name, asked, found) else { return };
            let wire = names::to_wire(&target);
            if wire == names::to_wire(&name) {
                // As in CoreDNS: an alias of itself is a mistake that somebody should see.
                *found = Found { rcode: ResponseCode::ServFail, ..Found::default() };
                return;
            }
            if !wire.is_within(&self.origin) {
                found.outside = Some(target);
                return;
            }
            seen.insert(names::to_wire(&name));
            // What leads back to where it began ends there: the client sees the circle.
            if seen.contains(&wire) {
                break;
            }
            name = target;
        }
        if found.answers.iter().any(|record| record.record_type() == RecordType::DNAME) {
            // It leads from one name to a longer one, and on.
            found.rcode = ResponseCode::ServFail;
        }
        self.servers(asked, found);
    }

    /// Looks one name up; gives the target of an alias that is to be followed.
    fn step(&self, name: &MessageName, asked: Asked<'_>, found: &mut Found) -> Option<MessageName> {
        let wire = names::to_wire(name);
        for cut in chain(&wire, &self.origin).into_iter().rev() {
            if cut != wire
                && let Some(alias) = self.of(&cut, RecordType::DNAME).first()
            {
                return self.substitute(name, &cut, alias, asked, found);
            }
            let servers = self.of(&cut, RecordType::NS);
            // The parent answers for DS (RFC 4035 section 3.1.4.1).
            let asks_parent = cut == wire && asked.qtype == RecordType::DS;
            if cut != self.origin && !servers.is_empty() && !asks_parent {
                self.refer(&cut, servers, asked, found);
                return None;
            }
        }
        let source = match self.exists.contains(&wire) {
            true => wire.clone(),
            false => match self.wildcard(&wire) {
                Some(wildcard) => wildcard,
                None => {
                    found.rcode = ResponseCode::NXDomain;
                    found.nothing = true;
                    self.deny(asked, found);
                    self.prove(&wire, asked, found);
                    if let Some(encloser) = self.encloser(&wire) {
                        self.prove(&below(b"*", &encloser)?, asked, found);
                    }
                    return None;
                }
            },
        };
        let own = |mut record: Record| {
            record.name = name.clone();
            record
        };
        let Asked { qtype, .. } = asked;
        if qtype != RecordType::CNAME
            && qtype != RecordType::ANY
            && let Some(alias) = self.of(&source, RecordType::CNAME).first().cloned()
        {
            let target = match &alias.data {
                RData::CNAME(target) => target.0.clone(),
                _ => return None,
            };
            found.answers.push(own(alias));
            found.answers.extend(self.signatures(&source, RecordType::CNAME, asked).into_iter().map(own));
            return Some(target);
        }
        let records: Vec<Record> = found.some(self.of(&source, qtype), asked).into_iter().map(own).collect();
        if records.is_empty() {
            found.nothing = source == wire && !self.nodes.contains_key(&source);
            self.deny(asked, found);
            self.prove(&source, asked, found);
            return None;
        }
        self.beside(&records, asked, found);
        found.answers.extend(records);
        found.answers.extend(self.signatures(&source, qtype, asked).into_iter().map(own));
        if !(qtype == RecordType::NS && source == self.origin) {
            self.servers(asked, found);
        }
        if source != wire {
            // That no closer name exists (RFC 4035 section 3.1.3.3).
            self.prove(&wire, asked, found);
        }
        None
    }

    /// Everything below a DNAME is elsewhere (RFC 6672 section 3.2): the record, and a CNAME made from it.
    fn substitute(
        &self,
        name: &MessageName,
        owner: &Name,
        alias: &Record,
        asked: Asked<'_>,
        found: &mut Found,
    ) -> Option<MessageName> {
        let target = names_of(&alias.data, 0)?;
        // A name may come by here twice.
        if !found.answers.contains(alias) {
            found.answers.push(alias.clone());
            found.answers.extend(self.signatures(owner, RecordType::DNAME, asked));
        }
        let kept = name.iter().len() - owner.labels().count();
        let labels = name.iter().take(kept).chain(target.labels());
        let Ok(target) = MessageName::from_labels(labels) else {
            found.rcode = ResponseCode::YXDomain;
            return None;
        };
        let data = rdata_from(RecordType::CNAME, names::to_wire(&target).as_wire().to_vec()).ok()?;
        found.answers.push(Record::from_rdata(name.clone(), alias.ttl, data));
        if asked.qtype == RecordType::CNAME {
            self.servers(asked, found);
            return None;
        }
        Some(target)
    }

    /// The servers of a part of the zone that is another's.
    fn refer(&self, cut: &Name, servers: &[Record], asked: Asked<'_>, found: &mut Found) {
        found.referral = found.answers.is_empty();
        let servers = found.some(servers, asked);
        self.beside(&servers, asked, found);
        found.authorities.extend(servers);
        if asked.dnssec {
            let keys = self.of(cut, RecordType::DS);
            match keys.is_empty() {
                true => self.prove(cut, asked, found),
                false => found.authorities.extend(keys.iter().cloned()),
            }
            found.authorities.extend(self.signatures(cut, RecordType::DS, asked));
        }
    }

    /// The records of an owner and type; all of the owner's for ANY.
    fn of(&self, name: &Name, qtype: RecordType) -> &[Record] {
        let node = self.nodes.get(name).and_then(|&at| self.sets.get(at)).map(Vec::as_slice).unwrap_or_default();
        if qtype == RecordType::ANY {
            return node;
        }
        let own = |record: &Record| number(record).cmp(&u16::from(qtype));
        let rest = node.get(node.partition_point(|record| own(record).is_lt())..).unwrap_or_default();
        rest.get(..rest.partition_point(|record| own(record).is_eq())).unwrap_or_default()
    }

    /// The signatures of the records of an owner and type, for clients that take them.
    fn signatures(&self, name: &Name, qtype: RecordType, asked: Asked<'_>) -> Vec<Record> {
        if !asked.dnssec || qtype == RecordType::ANY {
            return Vec::new();
        }
        // RFC 4034 section 3.1: the type that is covered comes first.
        let covered = u16::from(qtype).to_be_bytes();
        let signatures = self.of(name, RecordType::RRSIG).iter();
        signatures.filter(|record| octets(&record.data).starts_with(&covered)).cloned().collect()
    }

    /// The name above, nearest to this one, that exists.
    fn encloser(&self, name: &Name) -> Option<Name> {
        chain(name, &self.origin).into_iter().find(|name| self.exists.contains(name))
    }

    /// The `*` below the nearest name that exists (RFC 4592 section 3.3.1).
    fn wildcard(&self, name: &Name) -> Option<Name> {
        let wildcard = below(b"*", &self.encloser(name)?)?;
        self.exists.contains(&wildcard).then_some(wildcard)
    }

    /// The zone's own servers beside an answer.
    fn servers(&self, asked: Asked<'_>, found: &mut Found) {
        let servers = found.some(self.of(&self.origin, RecordType::NS), asked);
        found.authorities.extend(servers);
        found.authorities.extend(self.signatures(&self.origin, RecordType::NS, asked));
    }

    /// The SOA of a negative answer (RFC 2308 section 3).
    fn deny(&self, asked: Asked<'_>, found: &mut Found) {
        let mut soa = self.soa.clone();
        soa.ttl = soa.ttl.min(self.minimum);
        found.authorities.push(soa);
        found.authorities.extend(self.signatures(&self.origin, RecordType::SOA, asked));
    }

    /// The NSEC record at a name or before it, which says what is there (RFC 4035 section 3.1.3), once.
    fn prove(&self, name: &Name, asked: Asked<'_>, found: &mut Found) {
        if !asked.dnssec {
            return;
        }
        let Some((_, owner)) = self.denials.range(..=order(name)).next_back() else { return };
        let records = self.of(owner, RecordType::NSEC);
        if records.iter().any(|record| found.authorities.contains(record)) {
            return;
        }
        found.authorities.extend(records.iter().cloned());
        found.authorities.extend(self.signatures(owner, RecordType::NSEC, asked));
    }

    /// The addresses of servers that records name, as far as this zone has them.
    fn beside(&self, records: &[Record], asked: Asked<'_>, found: &mut Found) {
        let mut seen = HashSet::new();
        for record in records {
            let target = match &record.data {
                RData::NS(target) => names::to_wire(&target.0),
                RData::MX(mx) => names::to_wire(&mx.exchange),
                RData::SRV(srv) => names::to_wire(&srv.target),
                other if matches!(record.record_type(), RecordType::SVCB | RecordType::HTTPS) => {
                    let Some(target) = names_of(other, 2) else { continue };
                    target
                }
                _ => continue,
            };
            if !seen.insert(target.clone()) {
                continue;
            }
            if found.cut_beside {
                return;
            }
            for qtype in [RecordType::A, RecordType::AAAA] {
                found.add_beside(self.of(&target, qtype), asked);
                found.add_beside(&self.signatures(&target, qtype, asked), asked);
            }
        }
    }
}

/// The notes on records that lie outside of a zone: the first of them by file and line, and how many more there are.
pub(super) fn outsiders(origin: &Name, outside: &[Placed]) -> Vec<Error> {
    const SHOWN: usize = 5;
    let more = outside.len().saturating_sub(SHOWN);
    let say = |(index, Placed { record, file, line }): (usize, &Placed)| {
        let at = Position { file: file.to_string_lossy().as_ref().into(), line: *line, column: 1 };
        let (owner, qtype) = (record.name.to_ascii(), Rtype::from(record.record_type()));
        let rest = if index + 1 == SHOWN && more > 0 { format!("; so do {more} more records") } else { String::new() };
        Error::new(&at, format!("{owner} {qtype} lies outside of the zone {origin} and is left out{rest}"))
    };
    outside.iter().take(SHOWN).enumerate().map(say).collect()
}

/// Takes repeats away and sorts by type; records of one type stay in their order.
fn tidy(set: &mut Vec<Record>) {
    let mut seen = HashSet::new();
    let mut is_new = set.iter().map(|record| seen.insert(&record.data)).collect::<Vec<_>>().into_iter();
    set.retain(|_| is_new.next().unwrap_or(true));
    set.sort_by_key(number);
}

fn number(record: &Record) -> u16 {
    record.record_type().into()
}

/// The octets of data that nobody takes apart.
fn octets(data: &RData) -> &[u8] {
    match data {
        RData::Unknown { rdata, .. } => &rdata.anything,
        _ => &[],
    }
}

/// The name that begins at an octet of such data.
fn names_of(data: &RData, at: usize) -> Option<Name> {
    let octets = octets(data).get(at..)?;
    let mut end = 0;
    loop {
        let length = usize::from(*octets.get(end)?);
        end += length + 1;
        if length == 0 {
            return Name::from_wire(octets.get(..end)?).ok();
        }
    }
}

/// A label below a name.
fn below(label: &[u8], name: &Name) -> Option<Name> {
    Name::from_labels([label].into_iter().chain(name.labels())).ok()
}

/// The key that sorts names as RFC 4034 section 6.1 does: by their labels from the root down.
fn order(name: &Name) -> Vec<Vec<u8>> {
    let mut labels: Vec<Vec<u8>> = name.labels().map(<[u8]>::to_vec).collect();
    labels.reverse();
    labels
}

/// A name and its parents up to the origin, from the longest on.
fn chain(name: &Name, origin: &Name) -> Vec<Name> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let above = labels.len().saturating_sub(origin.labels().count());
    let parent = |skip: usize| Name::from_labels(labels.get(skip..)?.iter().copied()).ok();
    (0..=above).filter_map(parent).collect()
}
