//! Holds what clients see against whatever was true: the promises, each where it is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rollcall::wire::{Label, Rcode};
use rollcall::zone::{Reader, Service, ServiceName};

use crate::ask::{Client, Seen};
use crate::etcd::{Etcd, Track, standing};
use crate::objects::{Content, KINDS, Key, Kind, Object, ServiceId};

/// An endpoint that no slice lists any more is answered for no longer than so many milliseconds after all is quiet.
const HELD: u64 = 5_000;

/// After a disturbance, so long passes before an endpoint that moves has to be there all the time.
const CALM: u64 = 3_000;

/// What was seen so far of one running server, and what may therefore be seen from now on.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    client: Option<Client>,
    services: BTreeMap<ServiceId, Known>,
    /// Versions of the truth below which nothing of a kind may be, as the mirror has said that it knows them.
    pub(crate) floors: [usize; KINDS],
    /// When lists, watches or the network were last disturbed.
    pub(crate) disturbed: u64,
    /// Peers on their way from one slice to another.
    pub(crate) moving: BTreeMap<ServiceId, BTreeSet<u8>>,
    /// The first promise that was broken.
    pub(crate) broken: Option<String>,
    /// How often a client looked and found another version.
    pub(crate) looks: u64,
    synced: bool,
    serial: Option<u32>,
}

#[derive(Debug, Default)]
struct Known {
    name: Option<ServiceName>,
    version: Option<Published>,
    seen: Option<Seen>,
    /// The least versions of the truth that what was seen can be of: of the Service, its namespace, its peers.
    service: usize,
    namespace: usize,
    peers: BTreeMap<u8, usize>,
}

/// Whatever decides what is answered under the name of a Service.
#[derive(Debug)]
struct Published {
    service: Option<Arc<Service>>,
    flags: [bool; 3],
}

impl Published {
    fn of(reader: &Reader, name: &ServiceName) -> Self {
        let flags = [reader.has_namespace(name.namespace()), reader.is_synced(), reader.has_endpoints()];
        Self { service: reader.service(name), flags }
    }

    fn is(&self, other: &Self) -> bool {
        let same = match (&self.service, &other.service) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        same && self.flags == other.flags
    }
}

impl Oracle {
    /// Knows of these Services.
    pub(crate) fn new(services: &[ServiceId]) -> Self {
        let services = services.iter().map(|service| {
            let label = |text: String| Label::new(text.as_bytes()).unwrap();
            let name =
                ServiceName::new(&label(format!("s{}", service.number)), &label(format!("n{}", service.namespace)));
            (*service, Known { name: Some(name), ..Known::default() })
        });
        Self { services: services.collect(), ..Self::default() }
    }

    /// A server of ours starts, with nothing in its memory: what it lists is at least of these versions.
    pub(crate) fn start(&mut self, reader: Reader, floors: [usize; KINDS]) {
        self.client = Some(Client::new(reader));
        (self.floors, self.synced, self.serial) = (floors, false, None);
        for known in self.services.values_mut() {
            *known = Known { name: known.name.take(), ..Known::default() };
        }
    }

    /// These peers are on their way from one slice to another; those count that are answered now.
    pub(crate) fn moves(&mut self, service: ServiceId, mut hosts: BTreeSet<u8>) {
        let seen = self.services.get(&service).and_then(|known| known.seen.as_ref());
        hosts.retain(|host| seen.is_some_and(|seen| seen.peers.contains_key(host)));
        self.moving.insert(service, hosts);
    }

    /// Whether the server that runs has synced.
    pub(crate) fn is_synced(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.reader().is_synced())
    }

    /// What a client finds in the pod zone.
    pub(crate) fn has_pod(&mut self, namespace: u8, address: u32) -> (Rcode, bool) {
        self.client.as_mut().expect("a server runs").has_pod(namespace, address).unwrap()
    }

    /// Looks at all that changed, and at `all` the rest too. Gives what is new to be seen, for the trace.
    pub(crate) fn look(&mut self, now: u64, etcd: &Etcd, all: bool) -> Vec<(ServiceId, Seen)> {
        let mut news = Vec::new();
        if self.broken.is_some() {
            return news;
        }
        let Some(mut client) = self.client.take() else { return news };
        let mut services = std::mem::take(&mut self.services);
        let reader = client.reader().clone();
        if self.synced && !reader.is_synced() {
            self.broken = Some("a zone that was synced is so no more".to_owned());
        }
        self.synced = reader.is_synced();
        let serial = reader.serial().0;
        if let Some(before) = self.serial.replace(serial)
            && serial.wrapping_sub(before) > u32::MAX / 2
        {
            self.broken = Some(format!("the serial went back from {before} to {serial}"));
        }
        for (service, known) in &mut services {
            let Some(name) = &known.name else { continue };
            let version = Published::of(&reader, name);
            let is_new = !known.version.as_ref().is_some_and(|before| before.is(&version));
            if is_new {
                self.looks += 1;
                match client.look(*service, known.seen.as_ref()) {
                    Ok(seen) => {
                        news.push((*service, seen.clone()));
                        (known.version, known.seen) = (Some(version), Some(seen));
                    }
                    Err(wrong) => {
                        self.broken = Some(wrong);
                        break;
                    }
                }
            }
            if (is_new || all)
                && let Some(seen) = known.seen.clone()
                && let Err(wrong) = self.hold(now, etcd, *service, known, &seen)
            {
                self.broken = Some(format!("s{}.n{}: {wrong}", service.number, service.namespace));
                break;
            }
        }
        self.services = services;
        self.client = Some(client);
        news
    }

    /// Holds what is seen of a Service against the truth.
    fn hold(&self, now: u64, etcd: &Etcd, service: ServiceId, known: &mut Known, seen: &Seen) -> Result<(), String> {
        let none = vec![(0, None)];
        let own = etcd.objects.get(&Key::service(service)).unwrap_or(&none);
        let namespace = etcd.objects.get(&Key::namespace(service.namespace)).unwrap_or(&none);
        let from = known.service.max(self.floors[Kind::Service as usize]);
        let namespace_from = known.namespace.max(self.floors[Kind::Namespace as usize]);
        match seen.rcode {
            Rcode::SERVFAIL if self.synced => Err("SERVFAIL, though all is listed".to_owned()),
            Rcode::SERVFAIL => Ok(()),
            Rcode::NXDOMAIN if !self.synced => Err("NXDOMAIN by ignorance".to_owned()),
            Rcode::NXDOMAIN => {
                if find(namespace, namespace_from, Option::is_none).is_some()
                    || find(own, from, Option::is_none).is_some()
                {
                    return Ok(());
                }
                // Kubernetes DNS 2.4.1: a headless Service without ready endpoints does not exist.
                let is_headless =
                    |object: &Option<Arc<Object>>| object.as_ref().is_some_and(|own| own.content == Content::Headless);
                known.service = find(own, from, is_headless)
                    .ok_or_else(|| format!("NXDOMAIN, but since {} it is {}", from, shown(own)))?;
                self.hold_peers(now, etcd, service, known, seen)
            }
            Rcode::NOERROR => {
                known.namespace = find(namespace, namespace_from, Option::is_some)
                    .ok_or_else(|| "answered in a namespace that is gone".to_owned())?;
                let is_so = |object: &Option<Arc<Object>>| match object.as_ref().map(|own| &own.content) {
                    Some(Content::Headless) => seen.own.is_none(),
                    Some(Content::ClusterIp(address)) => seen.own == Some(*address),
                    _ => false,
                };
                known.service = find(own, from, is_so)
                    .ok_or_else(|| format!("{seen:?} is not true since version {from}: {}", shown(own)))?;
                if seen.own.is_some() { Ok(()) } else { self.hold_peers(now, etcd, service, known, seen) }
            }
            other => Err(format!("{other:?}")),
        }
    }

    fn hold_peers(
        &self,
        now: u64,
        etcd: &Etcd,
        service: ServiceId,
        known: &mut Known,
        seen: &Seen,
    ) -> Result<(), String> {
        let none = vec![(0, BTreeMap::new())];
        let track = etcd.peers.get(&service).unwrap_or(&none);
        let floor = self.floors[Kind::Slice as usize];
        let due = track[standing(track, floor)].1.keys();
        let hosts: BTreeSet<u8> = seen.peers.keys().chain(known.peers.keys()).chain(due).copied().collect();
        for host in hosts {
            let peer = seen.peers.get(&host);
            let place = known.peers.entry(host).or_default();
            let from = floor.max(*place);
            if let Some(found) = find(track, from, |peers| peers.get(&host) == peer) {
                *place = found;
                continue;
            }
            let history = || -> Vec<_> { track.iter().map(|(begun, peers)| (*begun, peers.get(&host))).collect() };
            let Some(peer) = peer else {
                return Err(format!("p{host} is missing, which stood in every version since {from}: {:?}", history()));
            };
            // It may be held: once true, and listed no more for a while.
            let last = track.iter().rposition(|(_, peers)| peers.get(&host) == Some(peer));
            let ended = last.and_then(|last| track.get(last + 1)).map(|(ended, _)| etcd.times[*ended]);
            match ended {
                Some(ended) if now <= ended.max(self.disturbed) + HELD => {}
                Some(_) => return Err(format!("p{host} is still answered as {peer:?}: {:?}", history())),
                None => {
                    return Err(format!("p{host} is answered as {peer:?}, not true since {from}: {:?}", history()));
                }
            }
        }
        if now > self.disturbed + CALM
            && let Some(moving) = self.moving.get(&service)
            && let Some(host) = moving.iter().find(|host| !seen.peers.contains_key(host))
        {
            return Err(format!("p{host} vanished on its way from one slice to another"));
        }
        Ok(())
    }
}

/// The least version from one on of which something holds.
fn find<V>(track: &Track<V>, from: usize, holds: impl Fn(&V) -> bool) -> Option<usize> {
    let first = standing(track, from);
    track[first..].iter().find(|(_, value)| holds(value)).map(|(begun, _)| from.max(*begun))
}

fn shown(track: &Track<Option<Arc<Object>>>) -> String {
    let steps = track.iter().map(|(begun, object)| match object {
        Some(object) => format!("{begun}: {object}"),
        None => format!("{begun}: gone"),
    });
    steps.collect::<Vec<_>>().join(", ")
}
