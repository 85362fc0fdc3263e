//! The name servers of a zone: the Services behind which this server stands.

use std::net::IpAddr;

use super::records::{AnswerContext, Written, below, concat, joined};
use super::{Pointer, ServiceKind, ServiceName, View};
use crate::wire::{Full, Label, Owner, Rtype, Section, Target};

impl AnswerContext<'_, '_> {
    /// The Services behind which this server stands, by its own addresses; else `ns.dns`.
    pub(super) fn name_servers(&mut self) -> Written {
        let Self { view, owner, spelling, .. } = *self;
        let mut places = [None; SERVERS];
        let mut some = false;
        let mut lost = false;
        view.for_each_server(|at, server| {
            let mut buffer = [0; 255];
            let rest = below(server.service, spelling, &mut buffer);
            let Some(target) = rest.and_then(|rest| joined(server.label, rest)) else { return };
            let written = self.out.ns(Section::Answer, Owner::At(owner), self.ttl, target);
            (some, lost) = (true, lost || written.is_err());
            places[at] = written.ok();
        });
        if lost {
            return Written::Records { truncated: true };
        }
        if !some {
            let mut buffer = [0; 255];
            let Some(target) = concat(&[b"\x02ns\x03dns", spelling], &mut buffer) else { return Written::NoData };
            return match self.out.ns(Section::Answer, Owner::At(owner), self.ttl, Target::wire(target)) {
                Ok(place) => self.glue(place, view.local.iter().copied()),
                Err(Full) => Written::Records { truncated: true },
            };
        }
        view.for_each_server(|at, server| {
            // The Service may have come between the two walks: then it has no place yet.
            let Some(place) = places[at] else { return };
            for &address in server.addresses {
                lost |= self.out.address(Section::Additional, Owner::At(place), self.glue_ttl, address).is_err();
            }
        });
        Written::Records { truncated: lost && self.over_udp }
    }

    /// `ns.dns`: the addresses of the Services behind which this server stands; else its own.
    pub(super) fn own_addresses(&mut self) -> Written {
        let Self { view, owner, qtype, .. } = *self;
        let mut servers = false;
        let mut written = Written::NoData;
        view.for_each_server(|_, server| {
            servers = true;
            for &address in server.addresses.iter().filter(|address| address.is_ipv4() == (qtype == Rtype::A)) {
                let lost = self.out.address(Section::Answer, Owner::At(owner), self.ttl, address).is_err();
                written =
                    Written::Records { truncated: lost || matches!(written, Written::Records { truncated: true }) };
            }
        });
        if servers { written } else { self.addresses(view.local.iter().copied()) }
    }
}

/// A Service behind which this server stands.
struct OwnService<'s> {
    service: &'s ServiceName,
    /// This server's label in the Service, when that is headless.
    label: Option<&'s Label>,
    /// The addresses of the name that these make.
    addresses: &'s [IpAddr],
}

/// At most so many Services are listed as name servers.
const SERVERS: usize = 16;

impl View {
    /// Shows each Service behind which this server stands once, with its number, which is below [`SERVERS`].
    fn for_each_server(&self, mut show: impl FnMut(usize, OwnService<'_>)) {
        let mut shown = 0;
        for (at, own) in self.local.iter().enumerate() {
            let earlier = self.local.get(..at).unwrap_or_default();
            self.with_endpoints(*own, |label, service| {
                self.reader.with_service(service.as_wire(), |found| {
                    let (label, addresses) = match found.map(|found| &found.kind) {
                        Some(ServiceKind::ClusterIp { addresses, .. }) => (None, &**addresses),
                        Some(ServiceKind::Headless) => (Some(label), std::slice::from_ref(own)),
                        Some(ServiceKind::ExternalName(_) | ServiceKind::Alias(_)) | None => return,
                    };
                    if shown < SERVERS && !self.stands_behind(earlier, label, service) {
                        show(shown, OwnService { service, label, addresses });
                        shown += 1;
                    }
                });
            });
        }
    }

    /// Whether one of these addresses belongs to a Service, to a label of it if one is given.
    fn stands_behind(&self, addresses: &[IpAddr], label: Option<&Label>, service: &ServiceName) -> bool {
        let mut found = false;
        for address in addresses {
            self.with_endpoints(*address, |its_label, its_service| {
                found |= its_service == service && label.is_none_or(|label| label == its_label);
            });
        }
        found
    }

    pub(super) fn with_endpoints(&self, address: IpAddr, mut show: impl FnMut(&Label, &ServiceName)) {
        let are_complete = self.reader.has_endpoints();
        self.reader.with_pointer(address, |pointer| match pointer.filter(|_| are_complete) {
            Some(Pointer::Endpoint(label, service)) => show(label, service),
            Some(Pointer::Endpoints(all)) => all.iter().for_each(|(label, service)| show(label, service)),
            Some(Pointer::Shared(shared)) => shared.endpoints.iter().for_each(|(label, service)| show(label, service)),
            Some(Pointer::Service(_)) | None => {}
        });
    }
}
