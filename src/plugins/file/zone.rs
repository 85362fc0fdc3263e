//! A zone from a file, and the way from a question to its records (RFC 1034 section 4.3.2).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::super::names;
use crate::wire::Name;
use crate::wire::message::{MessageName, RData, Record, RecordType, ResponseCode};

/// The records of a zone by owner.
#[derive(Debug)]
pub(super) struct Zone {
    origin: Name,
    soa: Record,
    serial: u32,
    minimum: u32,
    /// Where the records of an owner are.
    nodes: HashMap<Name, usize>,
    /// The records, those of one owner together.
    sets: Vec<Vec<Record>>,
    /// All names that exist, those without records between others too.
    exists: HashSet<Name>,
}

/// What a look-up brings.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) rcode: ResponseCode,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    pub(super) additionals: Vec<Record>,
    /// The name belongs to another server.
    pub(super) referral: bool,
    /// A CNAME leads to this name, which others know.
    pub(super) outside: Option<MessageName>,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            rcode: ResponseCode::NoError,
            answers: Vec::new(),
            authorities: Vec::new(),
            additionals: Vec::new(),
            referral: false,
            outside: None,
        }
    }
}

impl Zone {
    /// Takes the records of a file.
    ///
    /// # Errors
    /// Without a SOA at the origin, or with a record outside of the zone.
    pub(super) fn new(origin: MessageName, records: Vec<Record>) -> Result<Self, String> {
        let origin = names::to_wire(&origin);
        let soa = records.iter().find_map(|record| match &record.data {
            RData::SOA(soa) if names::to_wire(&record.name) == origin => {
                Some((record.clone(), soa.serial, soa.minimum))
            }
            _ => None,
        });
        let (soa, serial, minimum) = soa.ok_or_else(|| format!("the zone file has no SOA record for {origin}"))?;
        let mut nodes: HashMap<Name, usize> = HashMap::new();
        let mut sets: Vec<Vec<Record>> = Vec::new();
        let mut exists = HashSet::new();
        for record in records {
            let owner = names::to_wire(&record.name);
            if !owner.is_within(&origin) {
                return Err(format!("{owner} lies outside of the zone {origin}"));
            }
            for name in chain(&owner, &origin) {
                exists.insert(name);
            }
            let at = *nodes.entry(owner).or_insert(sets.len());
            match sets.get_mut(at) {
                None => sets.push(vec![record]),
                Some(set) if set.contains(&record) => {}
                Some(set) => set.push(record),
            }
        }
        Ok(Self { origin, soa, serial, minimum, nodes, sets, exists })
    }

    pub(super) fn serial(&self) -> u32 {
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
    pub(super) fn look_up(&self, name: &MessageName, qtype: RecordType, found: &mut Found) {
        let mut name = name.clone();
        // Longer chains are loops.
        for _ in 0..10 {
            match self.step(&name, qtype, found) {
                Some(target) if names::to_wire(&target).is_within(&self.origin) => name = target,
                Some(target) => {
                    found.outside = Some(target);
                    return;
                }
                None => return,
            }
        }
        found.rcode = ResponseCode::ServFail;
    }

    /// Looks one name up; gives the target of a CNAME that is to be followed.
    fn step(&self, name: &MessageName, qtype: RecordType, found: &mut Found) -> Option<MessageName> {
        let wire = names::to_wire(name);
        for cut in chain(&wire, &self.origin).into_iter().rev().skip(1) {
            let servers = self.of(&cut, RecordType::NS);
            // The parent answers for DS (RFC 4035 section 3.1.4.1).
            let asks_parent = cut == wire && qtype == RecordType::DS;
            if !servers.is_empty() && !asks_parent {
                found.referral = found.answers.is_empty();
                self.beside(&servers, found);
                found.authorities.extend(servers);
                return None;
            }
        }
        let source = match self.exists.contains(&wire) {
            true => wire,
            false => match self.wildcard(&wire) {
                Some(wildcard) => wildcard,
                None => {
                    found.rcode = ResponseCode::NXDomain;
                    self.deny(found);
                    return None;
                }
            },
        };
        let own = |mut record: Record| {
            record.name = name.clone();
            record
        };
        if qtype != RecordType::CNAME
            && qtype != RecordType::ANY
            && let Some(alias) = self.of(&source, RecordType::CNAME).into_iter().next()
        {
            let target = match &alias.data {
                RData::CNAME(target) => target.0.clone(),
                _ => return None,
            };
            found.answers.push(own(alias));
            return Some(target);
        }
        let records: Vec<Record> = self.of(&source, qtype).into_iter().map(own).collect();
        if records.is_empty() {
            self.deny(found);
            return None;
        }
        self.beside(&records, found);
        found.answers.extend(records);
        let servers = self.of(&self.origin, RecordType::NS);
        if !(qtype == RecordType::NS && source == self.origin) {
            found.authorities.extend(servers);
        }
        None
    }

    fn of(&self, name: &Name, qtype: RecordType) -> Vec<Record> {
        let node = self.nodes.get(name).and_then(|&at| self.sets.get(at)).map(Vec::as_slice).unwrap_or_default();
        let fits = |record: &&Record| qtype == RecordType::ANY || record.record_type() == qtype;
        node.iter().filter(fits).cloned().collect()
    }

    /// The `*` below the nearest name that exists (RFC 4592 section 3.3.1).
    fn wildcard(&self, name: &Name) -> Option<Name> {
        let encloser = chain(name, &self.origin).into_iter().find(|name| self.exists.contains(name))?;
        let wildcard = Name::from_labels([b"*".as_slice()].into_iter().chain(encloser.labels())).ok()?;
        self.exists.contains(&wildcard).then_some(wildcard)
    }

    /// The SOA of a negative answer (RFC 2308 section 3).
    fn deny(&self, found: &mut Found) {
        let mut soa = self.soa.clone();
        soa.ttl = soa.ttl.min(self.minimum);
        found.authorities.push(soa);
    }

    /// The addresses of servers that records name, as far as this zone has them.
    fn beside(&self, records: &[Record], found: &mut Found) {
        for record in records {
            let target = match &record.data {
                RData::NS(target) => &target.0,
                RData::MX(mx) => &mx.exchange,
                RData::SRV(srv) => &srv.target,
                _ => continue,
            };
            let target = names::to_wire(target);
            for qtype in [RecordType::A, RecordType::AAAA] {
                for address in self.of(&target, qtype) {
                    if !found.additionals.contains(&address) {
                        found.additionals.push(address);
                    }
                }
            }
        }
    }
}

/// A name and its parents up to the origin, from the longest on.
fn chain(name: &Name, origin: &Name) -> Vec<Name> {
    let labels: Vec<&[u8]> = name.labels().collect();
    let above = labels.len().saturating_sub(origin.labels().count());
    let parent = |skip: usize| Name::from_labels(labels.get(skip..)?.iter().copied()).ok();
    (0..=above).filter_map(parent).collect()
}
