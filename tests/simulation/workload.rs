//! What people and controllers do to the cluster meanwhile.

use crate::api::{Action, Model};
use crate::ask::CLUSTER_IPS;
use crate::chance::Chance;
use crate::objects::{Content, Endpoint, Key, Kind, ServiceId};

/// The controllers, and whoever gives them work.
#[derive(Debug)]
pub(crate) struct Workload {
    chance: Chance,
    services: Vec<ServiceId>,
    namespaces: u8,
    /// Services that are changed in several steps.
    busy: Vec<(ServiceId, u64)>,
    address: u32,
}

impl Workload {
    /// So many namespaces with so many Services.
    pub(crate) fn new(seed: u64, namespaces: u8, services: u8) -> Self {
        let services = (0..services).map(|number| ServiceId { namespace: number % namespaces, number }).collect();
        Self { chance: Chance::of(seed, 3), services, namespaces, busy: Vec::new(), address: 0 }
    }

    /// All Services that there ever are.
    pub(crate) fn services(&self) -> &[ServiceId] {
        &self.services
    }

    /// The cluster as it is found.
    pub(crate) fn found(&mut self, model: &mut Model) {
        for namespace in 0..self.namespaces {
            model.commit(Key::namespace(namespace), Some(Content::Plain));
        }
        // What every cluster has, whatever else becomes of it.
        let own = self.services.remove(0);
        let endpoint = Endpoint { host: 0, address: 1, ready: true };
        model.commit(Key::service(own), Some(self.cluster_ip()));
        model.commit(Key::slice(own, 0), Some(Content::Slice(80, vec![endpoint])));
        model.commit(Key::pod(own, 0), Some(Content::Pod(endpoint.address)));
        for service in self.services.clone() {
            if self.chance.percent(85) {
                self.make(model, service);
            }
        }
    }

    /// One change.
    pub(crate) fn write(&mut self, model: &mut Model) {
        let now = model.now();
        self.busy.retain(|(_, until)| *until > now);
        let service = self.chance.pick(&self.services);
        if self.busy.iter().any(|(busy, _)| *busy == service) {
            return;
        }
        if self.chance.percent(2) && service.namespace > 0 {
            return self.namespace(model, service.namespace);
        }
        if model.etcd.get(Key::namespace(service.namespace)).is_none() {
            return;
        }
        let Some(object) = model.etcd.get(Key::service(service)) else { return self.make(model, service) };
        let is_headless = object.content == Content::Headless;
        match self.chance.below(100) {
            0..6 => self.unmake(model, service),
            6..9 => {
                let content = if is_headless { self.cluster_ip() } else { Content::Headless };
                model.commit(Key::service(service), Some(content));
            }
            9..35 => self.add(model, service),
            35..55 => self.remove(model, service),
            55..65 => self.flip(model, service),
            65..75 => self.replace(model, service),
            75..90 => self.transfer(model, service),
            _ => self.repack(model, service),
        }
    }

    /// A namespace goes with all that is in it, or comes back.
    fn namespace(&mut self, model: &mut Model, namespace: u8) {
        let key = Key::namespace(namespace);
        if model.etcd.get(key).is_none() {
            return model.commit(key, Some(Content::Plain));
        }
        let within: Vec<ServiceId> =
            self.services.iter().filter(|service| service.namespace == namespace).copied().collect();
        if within.iter().any(|service| self.busy.iter().any(|(busy, _)| busy == service)) {
            return;
        }
        within.into_iter().for_each(|service| self.unmake(model, service));
        model.commit(key, None);
    }

    fn make(&mut self, model: &mut Model, service: ServiceId) {
        let content = if self.chance.percent(80) { Content::Headless } else { self.cluster_ip() };
        let slices = self.chance.pick(&[1, 1, 2, 2, 3]);
        let mut host = 0;
        let mut commits = vec![(Key::service(service), content)];
        for part in 0..slices {
            let peers = self.chance.below(4);
            let mut endpoints = Vec::new();
            for _ in 0..peers {
                endpoints.push(self.endpoint(host));
                host += 1;
            }
            commits.push((Key::slice(service, part), Content::Slice(80, endpoints)));
        }
        if self.chance.percent(30) {
            commits.rotate_left(1);
        }
        for (key, content) in commits {
            if let Content::Slice(_, endpoints) = &content {
                for endpoint in endpoints.clone() {
                    model.commit(Key::pod(service, endpoint.host), Some(Content::Pod(endpoint.address)));
                }
            }
            model.commit(key, Some(content));
        }
    }

    fn unmake(&mut self, model: &mut Model, service: ServiceId) {
        let all = model.etcd.all().map(|object| object.key);
        let mut all: Vec<Key> = all.filter(|key| key.service == service && key.kind != Kind::Namespace).collect();
        if self.chance.percent(50) {
            all.reverse();
        }
        all.into_iter().for_each(|key| model.commit(key, None));
    }

    fn add(&mut self, model: &mut Model, service: ServiceId) {
        let slices = slices(model, service);
        let taken: Vec<u8> = slices.iter().flat_map(|(_, _, all)| all.iter().map(|endpoint| endpoint.host)).collect();
        let Some(host) = (0..9).find(|host| !taken.contains(host)) else { return };
        let endpoint = self.endpoint(host);
        model.commit(Key::pod(service, host), Some(Content::Pod(endpoint.address)));
        let at = self.chance.index(slices.len() + 1);
        let (key, port, mut endpoints) = match slices.into_iter().nth(at) {
            Some(slice) => slice,
            None => (Key::slice(service, self.part(model, service)), 80, Vec::new()),
        };
        endpoints.push(endpoint);
        model.commit(key, Some(Content::Slice(port, endpoints)));
    }

    fn remove(&mut self, model: &mut Model, service: ServiceId) {
        let Some((key, port, mut endpoints)) = self.some(model, service) else { return };
        let gone = endpoints.remove(self.chance.index(endpoints.len()));
        let content = (!endpoints.is_empty() || self.chance.percent(60)).then_some(Content::Slice(port, endpoints));
        model.commit(key, content);
        model.commit(Key::pod(service, gone.host), None);
    }

    fn flip(&mut self, model: &mut Model, service: ServiceId) {
        let Some((key, port, mut endpoints)) = self.some(model, service) else { return };
        let at = self.chance.index(endpoints.len());
        endpoints[at].ready = !endpoints[at].ready;
        model.commit(key, Some(Content::Slice(port, endpoints)));
    }

    /// A pod comes back under its name, with another address.
    fn replace(&mut self, model: &mut Model, service: ServiceId) {
        let Some((key, port, mut endpoints)) = self.some(model, service) else { return };
        let at = self.chance.index(endpoints.len());
        let new = self.endpoint(endpoints[at].host);
        model.commit(Key::pod(service, new.host), Some(Content::Pod(new.address)));
        if self.chance.percent(50) {
            endpoints[at] = new;
            return model.commit(key, Some(Content::Slice(port, endpoints)));
        }
        endpoints.remove(at);
        model.commit(key, Some(Content::Slice(port, endpoints.clone())));
        endpoints.push(new);
        let back = model.now() + self.chance.length(1, 4_096);
        self.later(model, service, vec![(back, key, Content::Slice(port, endpoints))]);
    }

    /// Endpoints move from one slice to another, and for a while no slice lists them, or both do.
    fn transfer(&mut self, model: &mut Model, service: ServiceId) {
        let all = slices(model, service);
        let Some((from, port, mut left)) = self.some(model, service) else { return };
        let to = all.iter().find(|(key, ..)| *key != from).cloned();
        let (to, to_port, mut joined) =
            to.unwrap_or_else(|| (Key::slice(service, self.part(model, service)), port, Vec::new()));
        let moves = left.split_off(self.chance.index(left.len()));
        let hosts = moves.iter().filter(|endpoint| endpoint.ready).map(|endpoint| endpoint.host).collect();
        joined.extend(moves);
        let leave = (!left.is_empty() || self.chance.percent(50)).then_some(Content::Slice(port, left));
        let joined = Content::Slice(to_port, joined);
        let gap = self.chance.length(1, 256);
        let is_new = !all.iter().any(|(key, ..)| *key == to);
        if !is_new && self.chance.percent(60) {
            model.oracle.moves(service, hosts);
            model.commit(from, leave);
            let then = model.now() + gap;
            self.later(model, service, vec![(then, to, joined)]);
        } else {
            model.oracle.moves(service, hosts);
            model.commit(to, Some(joined));
            let now = model.now();
            model.plan(now + gap, Action::Commit(from, leave));
            self.later(model, service, Vec::new());
        }
    }

    /// Another port: all endpoints are packed anew, slice after slice.
    fn repack(&mut self, model: &mut Model, service: ServiceId) {
        let all = slices(model, service);
        let mut endpoints: Vec<Endpoint> = all.iter().flat_map(|(_, _, endpoints)| endpoints.clone()).collect();
        let hosts = endpoints.iter().filter(|endpoint| endpoint.ready).map(|endpoint| endpoint.host).collect();
        let rotation = self.chance.index(endpoints.len() + 1);
        if !endpoints.is_empty() {
            let len = endpoints.len();
            endpoints.rotate_left(rotation % len);
        }
        let port = 80 + u16::try_from(self.chance.below(3)).unwrap();
        let mut at = model.now();
        let mut steps = Vec::new();
        let mut share = endpoints.len().div_ceil(all.len().max(1));
        for (key, ..) in &all {
            share = share.min(endpoints.len());
            let own: Vec<Endpoint> = endpoints.drain(..share).collect();
            steps.push((at, *key, Content::Slice(port, own)));
            at += self.chance.length(1, 256);
        }
        if self.chance.percent(50) {
            steps.reverse();
            let times: Vec<u64> = steps.iter().map(|(at, ..)| *at).rev().collect();
            steps.iter_mut().zip(times).for_each(|(step, at)| step.0 = at);
        }
        model.oracle.moves(service, hosts);
        self.later(model, service, steps);
    }

    fn later(&mut self, model: &mut Model, service: ServiceId, steps: Vec<(u64, Key, Content)>) {
        let mut end = model.now() + 300;
        for (at, key, content) in steps {
            end = end.max(at);
            model.plan(at, Action::Commit(key, Some(content)));
        }
        model.plan(end, Action::Settle(service));
        self.busy.push((service, end + 1));
    }

    /// A slice with endpoints.
    fn some(&mut self, model: &Model, service: ServiceId) -> Option<(Key, u16, Vec<Endpoint>)> {
        let mut all = slices(model, service);
        all.retain(|(_, _, endpoints)| !endpoints.is_empty());
        if all.is_empty() { None } else { Some(all.swap_remove(self.chance.index(all.len()))) }
    }

    fn part(&mut self, model: &Model, service: ServiceId) -> u8 {
        let taken: Vec<u8> = model.etcd.slices(service).map(|slice| slice.key.part).collect();
        (0..26).find(|part| !taken.contains(part)).unwrap_or(25)
    }

    fn endpoint(&mut self, host: u8) -> Endpoint {
        // A pool that is small enough for addresses to come back.
        self.address = (self.address + 1) % 3_000;
        Endpoint { host, address: 256 + self.address, ready: self.chance.percent(85) }
    }

    fn cluster_ip(&mut self) -> Content {
        self.address += 1;
        Content::ClusterIp(CLUSTER_IPS + self.address)
    }
}

fn slices(model: &Model, service: ServiceId) -> Vec<(Key, u16, Vec<Endpoint>)> {
    let all = model.etcd.slices(service).filter_map(|slice| match &slice.content {
        Content::Slice(port, endpoints) => Some((slice.key, *port, endpoints.clone())),
        _ => None,
    });
    all.collect()
}
