//! Facts to zone: merges the slices of a Service, derives records, publishes what changed and nothing else.
//!
//! The writer remembers each slice in packed form. A new version of a slice is compared with the old one; the labels
//! that differ are looked up in the Service's other slices, and what comes of that is compared with what is published.
//! So the work is that of one slice, nothing is published when no answer changes, and events may come twice or in any
//! order. Everything that one call changes is published as one batch.
//!
//! A list is applied as a difference: each object remembers the list that last named it, and those that the present
//! list did not name go at its end.

mod explanation;
mod export;
mod hold;
mod imports;
mod list;
mod packed;
mod pods;
mod pointers;
mod ports;
mod service;
mod settings;
mod slice;
mod slice_names;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use foldhash::fast::RandomState;

use super::facts::{Fact, ImportedSliceFact, Kind, ObjectKey, ServiceFact, SliceFact};
use super::status::{self, ProgrammedKind};
use crate::wire::{Label, Serial};
use crate::zone::{Changes, External, Publisher, Reader, ServiceName};
use export::Postponed;
use hold::{Holder, Holds};
use imports::Imports;
use list::{ListState, Lists, is_stale};
use pods::{MirroredPods, Namespaces};
use pointers::Pointers;
use ports::PortSets;
use service::{KnownService, Mirrored, Services, Spec};
use slice::{Slice, Touched};
use slice_names::SliceNames;

pub use explanation::{ExplainedSlice, Explanation};
pub use export::{DatedFact, Remaining};
pub use settings::IndexSettings;

/// The writer's state of one mirrored cluster.
#[derive(Debug)]
pub struct Index {
    publisher: Publisher,
    reader: Reader,
    settings: IndexSettings,
    services: Services,
    slices: SliceNames,
    pods: MirroredPods,
    namespaces: Namespaces,
    imports: Imports,
    pointers: Pointers,
    ports: PortSets,
    holds: Holds,
    lists: Lists,
    postponed: Postponed,
    batch: PendingChanges,
    publications: u64,
}

/// The changes of one call so far.
#[derive(Debug, Default)]
struct PendingChanges {
    services: HashMap<ServiceName, Touched, RandomState>,
    changes: Changes,
    programmed: Vec<(ProgrammedKind, u64)>,
}

impl Index {
    /// An index that publishes to this zone.
    pub fn new(publisher: Publisher, settings: IndexSettings) -> Self {
        let reader = publisher.reader();
        Self {
            publisher,
            reader,
            settings,
            services: HashMap::default(),
            slices: SliceNames::default(),
            pods: MirroredPods::new(settings.client_names),
            namespaces: Namespaces::default(),
            imports: Imports::default(),
            pointers: Pointers::default(),
            ports: PortSets::default(),
            holds: Holds::default(),
            lists: Lists::default(),
            postponed: Postponed::default(),
            batch: PendingChanges::default(),
            publications: 0,
        }
    }

    /// The zone that this index publishes.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Says that the first complete list of each kind is in.
    pub fn set_synced(&mut self) {
        self.publisher.set_synced();
    }

    /// An object as it is now; an older version than the one known is passed over.
    ///
    /// `now` dates grace periods, `unix` the serial. Returns whether an answer changed.
    pub fn apply(&mut self, fact: Fact, now: Instant, unix: u32) -> bool {
        self.take(fact, now, unix);
        self.publish(unix)
    }

    /// Several objects, published as one batch: events that came together, or a page of a list.
    ///
    /// In a list older versions count as well: the cluster may have been set back. Returns whether an answer changed.
    pub fn apply_page(&mut self, facts: Vec<Fact>, now: Instant, unix: u32) -> bool {
        for fact in facts {
            self.take(fact, now, unix);
        }
        self.publish(unix)
    }

    /// An object that is gone. Returns whether an answer changed.
    pub fn delete(&mut self, kind: Kind, key: &ObjectKey, now: Instant, unix: u32) -> bool {
        match kind {
            Kind::Service => {
                if let Some(service) = service_name(&key.name, &key.namespace) {
                    self.set_service(&service, None, now);
                }
            }
            Kind::EndpointSlice => {
                if let Some(service) = self.slices.forget(&self.services, key) {
                    self.set_slice(&service, &key.name, None, true, now);
                }
            }
            Kind::Namespace => self.namespaces.delete(&key.name, &mut self.batch.changes),
            Kind::Pod => self.pods.delete(key, &mut self.batch.changes),
            Kind::ServiceImport => {
                service_name(&key.name, &key.namespace).iter().for_each(|name| self.imports.delete(name));
            }
            Kind::ImportedSlice => self.imports.delete_slice(key, self.lists.of(kind).under_way, now),
        }
        self.publish(unix)
    }

    /// An object is still there, but what it is now cannot be understood: what is known of it stays.
    pub fn keep(&mut self, kind: Kind, key: &ObjectKey) {
        let generation = self.lists.of(kind).generation;
        match kind {
            Kind::Service => {
                let mirrored = service_name(&key.name, &key.namespace).and_then(|name| self.services.get_mut(&name));
                if let Some(object) = mirrored.and_then(|mirrored| mirrored.object.as_mut()) {
                    object.generation = generation;
                }
            }
            Kind::EndpointSlice => {
                let mirrored =
                    self.slices.find(&self.services, key).and_then(|service| self.services.get_mut(&service));
                let slices = mirrored.into_iter().flat_map(|mirrored| &mut mirrored.slices);
                slices.filter(|slice| slice.name == key.name).for_each(|slice| slice.generation = generation);
            }
            Kind::Namespace => self.namespaces.keep(&key.name, generation),
            Kind::Pod => self.pods.keep(key, generation),
            Kind::ServiceImport => {
                service_name(&key.name, &key.namespace).iter().for_each(|name| self.imports.keep(name, generation));
            }
            Kind::ImportedSlice => self.imports.keep_slice(key, generation),
        }
    }

    /// A complete list begins: what it does not name by [`end_list`](Self::end_list) is gone.
    ///
    /// One that is under way is given up for it. What pages of slices change is published at the end, where an older truth is
    /// there to go on with.
    pub fn begin_list(&mut self, kind: Kind) {
        let list = self.lists.of_mut(kind);
        list.generation = list.generation.wrapping_add(1);
        list.under_way = true;
        self.postponed.begin(kind, &self.reader);
    }

    /// The complete list is in: removes what it did not name, as a difference. Returns whether an answer changed.
    pub fn end_list(&mut self, kind: Kind, now: Instant, unix: u32) -> bool {
        let generation = self.lists.of(kind).generation;
        match kind {
            Kind::Service => {
                let named = |object: &KnownService| object.generation == generation;
                let gone =
                    self.services.iter().filter(|(_, mirrored)| mirrored.object.as_ref().is_some_and(|o| !named(o)));
                let gone: Vec<ServiceName> = gone.map(|(name, _)| name.clone()).collect();
                gone.iter().for_each(|name| self.set_service(name, None, now));
            }
            Kind::EndpointSlice => {
                let mut gone: Vec<(ServiceName, ObjectKey)> = Vec::new();
                for (service, mirrored) in &self.services {
                    let namespace = String::from_utf8_lossy(service.namespace());
                    let unnamed = mirrored.slices.iter().filter(|slice| slice.generation != generation);
                    gone.extend(unnamed.map(|slice| (service.clone(), ObjectKey::new(&namespace, &slice.name))));
                }
                for (service, key) in gone {
                    self.slices.forget(&self.services, &key);
                    self.set_slice(&service, &key.name, None, true, now);
                }
                self.end_holds(|mirrored, touched| mirrored.end_list(now, touched));
            }
            Kind::Namespace => self.namespaces.sweep(generation, &mut self.batch.changes),
            Kind::Pod => {
                self.pods.unnamed(generation).iter().for_each(|key| self.pods.delete(key, &mut self.batch.changes));
            }
            Kind::ServiceImport => self.imports.sweep(generation),
            Kind::ImportedSlice => self.imports.sweep_slices(generation, now),
        }
        self.lists.of_mut(kind).under_way = false;
        self.postponed.end(kind, &mut self.batch);
        let changed = self.publish(unix);
        match kind {
            Kind::EndpointSlice => self.publisher.set_endpoints(),
            Kind::ImportedSlice => self.publisher.set_imported_endpoints(),
            Kind::Service | Kind::Namespace | Kind::Pod | Kind::ServiceImport => {}
        }
        changed
    }

    /// A watch goes on that was interrupted, and what it missed is on its way: the grace of its kind begins anew.
    pub fn resume(&mut self, kind: Kind, now: Instant) {
        match kind {
            Kind::EndpointSlice => self.holds.renew(&mut self.services, now),
            Kind::ImportedSlice => self.imports.resume(now),
            Kind::Service | Kind::Namespace | Kind::Pod | Kind::ServiceImport => {}
        }
    }

    /// Ends grace periods that are over, but none while a list of their kind is coming in; says when the next one ends.
    pub fn expire(&mut self, now: Instant, unix: u32) -> Option<Instant> {
        if self.holds.is_empty() && self.imports.holds_none() {
            return None;
        }
        if !self.lists.of(Kind::EndpointSlice).under_way {
            self.end_holds(|mirrored, touched| mirrored.expire(now, touched));
        }
        if !self.lists.of(Kind::ImportedSlice).under_way {
            self.imports.expire(now);
        }
        self.publish(unix);
        self.next_end()
    }

    /// When the next grace period ends, those apart that wait for the end of a list.
    pub fn next_end(&self) -> Option<Instant> {
        let own = self.holds.next_end(&self.services).filter(|_| !self.lists.of(Kind::EndpointSlice).under_way);
        let imported = self.imports.next_end().filter(|_| !self.lists.of(Kind::ImportedSlice).under_way);
        own.into_iter().chain(imported).min()
    }

    /// The origin of the answers for a Service, or for one label of it.
    pub fn explain(&self, service: &ServiceName, label: Option<&Label>) -> Explanation {
        self.services.get(service).map(|mirrored| Explanation::of(mirrored, label)).unwrap_or_default()
    }

    /// The number of times that the zone was published: once for each call that changed an answer.
    pub fn publications(&self) -> u64 {
        self.publications
    }

    /// The number of objects of a kind that are mirrored.
    pub fn count(&self, kind: Kind) -> usize {
        match kind {
            Kind::Pod => self.pods.len(),
            Kind::Namespace => self.namespaces.len(),
            Kind::Service | Kind::EndpointSlice => self.lists.of(kind).objects,
            Kind::ServiceImport => self.imports.len(),
            Kind::ImportedSlice => self.imports.slice_len(),
        }
    }

    /// The version of an object that is known; `None` for kinds whose versions are not kept.
    pub fn version(&self, kind: Kind, key: &ObjectKey) -> Option<u64> {
        match kind {
            Kind::Service => {
                let mirrored = self.services.get(&service_name(&key.name, &key.namespace)?)?;
                mirrored.object.as_ref().map(|object| object.version)
            }
            Kind::EndpointSlice => {
                let mirrored = self.services.get(&self.slices.find(&self.services, key)?)?;
                mirrored.slices.iter().find(|slice| slice.name == key.name).map(|slice| slice.version)
            }
            Kind::Namespace | Kind::Pod | Kind::ServiceImport | Kind::ImportedSlice => None,
        }
    }

    /// Whether every pointer says all that is known of its address.
    #[cfg(test)]
    fn pointers_are_plain(&self) -> bool {
        self.pointers.is_plain()
    }

    //--- Objects ---

    fn take(&mut self, fact: Fact, now: Instant, unix: u32) {
        let kind = fact.kind();
        let generation = self.lists.of(kind).generation;
        match fact {
            Fact::Service(fact) => self.take_service(fact, now, unix),
            Fact::Slice(fact) => self.take_slice(fact, now, unix),
            Fact::Namespace(fact) => self.namespaces.apply(&fact.name, generation, &mut self.batch.changes),
            Fact::Pod(fact) => self.pods.apply(fact, generation, &mut self.batch.changes),
            Fact::Import(fact) => {
                let Some(name) = service_name(&fact.key.name, &fact.key.namespace) else { return };
                let ListState { generation, under_way, .. } = self.lists.of(kind);
                self.imports.apply(name, fact, generation, under_way);
            }
            Fact::ImportedSlice(fact) => self.take_imported_slice(fact, now, unix),
        }
    }

    fn take_imported_slice(&mut self, fact: ImportedSliceFact, now: Instant, unix: u32) {
        let ImportedSliceFact { slice, cluster } = fact;
        let Some(name) = service_name(&slice.service, &slice.key.namespace) else { return };
        let ListState { generation, under_way, .. } = self.lists.of(Kind::ImportedSlice);
        let (key, ports) = (slice.key.clone(), self.ports.share(slice.ports.clone()));
        let slice = Slice::new(slice, ports, self.settings, unix, generation);
        self.imports.apply_slice(name, key, slice, cluster, under_way, now);
    }

    fn take_service(&mut self, fact: ServiceFact, now: Instant, unix: u32) {
        let Some(name) = service_name(&fact.key.name, &fact.key.namespace) else { return };
        let ListState { generation, under_way, .. } = self.lists.of(Kind::Service);
        let mut arrived = unix;
        if let Some(known) = self.services.get(&name).and_then(|mirrored| mirrored.object.as_ref()) {
            if is_stale(fact.version, known.version, under_way) {
                return;
            }
            if fact.version == known.version {
                arrived = known.arrived;
            }
        }
        let spec = Spec::new(fact.spec, &mut self.ports);
        let external = fact.external.map(|fact| Arc::new(External::new(name.clone(), &fact.hosts, fact.ports.into())));
        let object =
            KnownService { version: fact.version, arrived, generation, selector: fact.selector, spec, external };
        self.set_service(&name, Some(object), now);
    }

    fn take_slice(&mut self, fact: SliceFact, now: Instant, unix: u32) {
        let Some(service) = service_name(&fact.service, &fact.key.namespace) else { return };
        let ListState { generation, under_way, .. } = self.lists.of(Kind::EndpointSlice);
        let mut arrived = unix;
        let before = self.slices.find(&self.services, &fact.key);
        let mirrored = before.as_ref().and_then(|before| self.services.get(before));
        if let Some(known) = mirrored.and_then(|mirrored| mirrored.slices.iter().find(|own| own.name == fact.key.name))
        {
            if is_stale(fact.version, known.version, under_way) {
                return;
            }
            if fact.version == known.version {
                arrived = known.arrived;
            }
        }
        if before.as_ref() != Some(&service) {
            if let Some(before) = before {
                // Handed to another Service: that is no deletion, which would be worth a grace period by itself.
                self.slices.forget(&self.services, &fact.key);
                self.set_slice(&before, &fact.key.name, None, false, now);
            }
            self.slices.remember(&fact.key, &service);
        }
        let (key, triggered) = (fact.key.clone(), fact.triggered);
        let ports = self.ports.share(fact.ports.clone());
        let slice = Slice::new(fact, ports, self.settings, arrived, generation);
        let changed = self.set_slice(&service, &key.name, Some(slice), false, now);
        // What a list brings was triggered long ago.
        if let Some(triggered) = triggered.filter(|_| changed && !under_way) {
            let object = self.services.get(&service).and_then(|mirrored| mirrored.object.as_ref());
            let kind = object.and_then(|object| match object.spec {
                Spec::ClusterIp { .. } => Some(ProgrammedKind::ClusterIp),
                Spec::Headless if object.selector => Some(ProgrammedKind::HeadlessWithSelector),
                Spec::Headless => Some(ProgrammedKind::HeadlessWithoutSelector),
                Spec::ExternalName(_) => None,
            });
            self.batch.programmed.extend(kind.map(|kind| (kind, triggered)));
        }
    }

    fn set_service(&mut self, name: &ServiceName, object: Option<KnownService>, now: Instant) {
        let mirrored = match &object {
            Some(_) => self.services.entry(name.clone()).or_default(),
            None => match self.services.get_mut(name) {
                Some(mirrored) => mirrored,
                None => return,
            },
        };
        let old = std::mem::replace(&mut mirrored.object, object);
        let new = mirrored.object.as_ref();
        let objects = &mut self.lists.of_mut(Kind::Service).objects;
        *objects = *objects + usize::from(new.is_some()) - usize::from(old.is_some());
        let outside = |object: Option<&KnownService>| object.and_then(|object| object.external.clone());
        let external = outside(new);
        if outside(old.as_ref()) != external {
            self.batch.changes.external.push((name.clone(), external));
        }
        let (old, new) = (old.as_ref().map(|object| &object.spec), new.map(|object| &object.spec));
        let touched = self.batch.services.entry(name.clone()).or_default();
        if old == new {
            return;
        }
        touched.kind = true;
        for (spec, there) in [(old, false), (new, true)] {
            for &address in spec.map_or(&[][..], Spec::addresses) {
                self.pointers.set_service(&self.reader, address, name, there);
            }
        }
        if !mirrored.has_endpoints() {
            mirrored.expire(now, touched);
        }
    }

    /// Puts a version of a slice in the place of the one before. Returns whether an endpoint of it changed.
    fn set_slice(
        &mut self,
        service: &ServiceName,
        name: &str,
        new: Option<Slice>,
        deleted: bool,
        now: Instant,
    ) -> bool {
        let mirrored = self.services.entry(service.clone()).or_default();
        let touched = self.batch.services.entry(service.clone()).or_default();
        let objects = &mut self.lists.of_mut(Kind::EndpointSlice).objects;
        let at = mirrored.slices.iter().position(|slice| *slice.name == *name);
        let mut own = Touched::default();
        let old = match (at.and_then(|at| mirrored.slices.get_mut(at)), new) {
            (Some(place), Some(new)) => Some(std::mem::replace(place, new)),
            (Some(_), None) => {
                *objects -= 1;
                at.map(|at| mirrored.slices.swap_remove(at))
            }
            (None, Some(new)) => {
                *objects += 1;
                // One more, not twice as many: almost every Service has one slice.
                mirrored.slices.reserve_exact(1);
                mirrored.slices.push(new);
                None
            }
            (None, None) => None,
        };
        slice::compare(old.as_ref(), mirrored.slices.iter().find(|slice| *slice.name == *name), &mut own);
        let listing = self.lists.of(Kind::EndpointSlice).under_way;
        mirrored.note_change(name, old.as_ref(), [deleted, listing], now, &mut own);
        self.holds.note(service, mirrored);
        let changed = !own.is_empty();
        touched.merge(own);
        changed
    }

    fn end_holds(&mut self, end: impl Fn(&mut Mirrored, &mut Touched)) {
        let Self { holds, services, batch, .. } = self;
        let tell = |name: &ServiceName, touched| batch.services.entry(name.clone()).or_default().merge(touched);
        holds.end(services, |mirrored, touched| end(mirrored, touched), tell);
    }

    //--- Publication ---

    /// Derives what the batch touched and publishes what is not as it was. Returns whether there was any.
    fn publish(&mut self, unix: u32) -> bool {
        let is_answered = |name: &ServiceName| self.services.get(name).is_some_and(|own| own.is_answered());
        self.postponed.put_aside(&mut self.batch, is_answered);
        let PendingChanges { services, mut changes, programmed } = std::mem::take(&mut self.batch);
        for (name, touched) in services {
            let Some(mirrored) = self.services.get_mut(&name) else { continue };
            let mut pointers = touched.pointers;
            pointers.sort_unstable();
            pointers.dedup();
            for (address, label) in pointers {
                let there = mirrored.points(address, &label);
                self.pointers.set_endpoint(&self.reader, address, label, &name, there);
            }
            if let Some(service) = mirrored.derive(&name, touched.labels, &mut self.ports) {
                changes.services.push((name.clone(), service));
            }
            if mirrored.is_empty() && !self.postponed.waits(&name) {
                self.services.remove(&name);
            }
        }
        changes.pointers = self.pointers.take();
        if !self.postponed.imported {
            self.imports.publish(&mut changes);
        }
        for kind in Kind::ALL {
            status::count_objects(kind, self.count(kind));
        }
        let changed = !changes.is_empty();
        if changed {
            self.publisher.publish(changes);
            self.publisher.set_serial(Serial(unix));
            self.publications += 1;
        }
        programmed.into_iter().for_each(|(kind, triggered)| status::programmed(kind, triggered));
        changed
    }
}

fn service_name(name: &str, namespace: &str) -> Option<ServiceName> {
    Some(ServiceName::new(&Label::new(name.as_bytes()).ok()?, &Label::new(namespace.as_bytes()).ok()?))
}
