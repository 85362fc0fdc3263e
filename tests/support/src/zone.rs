//! A cluster in memory, made by numbers, for the benchmarks of the read path.

use std::net::IpAddr;
use std::sync::Arc;

use rollcall::wire::{Label, Ttl};
use rollcall::zone::{
    Changes, EndpointChange, EndpointState, Endpoints, Fallthrough, Pods, Port, Protocol, Publisher, Reader, Service,
    ServiceKind, ServiceName, View, pair,
};

/// A label.
pub fn label(text: &str) -> Label {
    Label::new(text.as_bytes()).expect("a label of ours is well-formed")
}

/// The one port of all Services.
pub fn ports() -> Arc<[Port]> {
    [Port { name: Some(label("http")), protocol: Protocol::Tcp, number: 8080 }].into()
}

/// A zone of headless Services `SIZE-N.default`, each with so many endpoints `peer-0`, `peer-1`, …
pub fn zone(sizes: &[(&str, usize)]) -> (Publisher, View) {
    let (mut publisher, reader) = pair();
    let mut changes = Changes { namespaces: vec![(label("default"), true)], ..Changes::default() };
    let mut address = 0x0a80_0000_u32;
    for &(service, size) in sizes {
        let name = ServiceName::new(&label(service), &label("default"));
        let peers: Vec<EndpointChange> = (0..size)
            .map(|number| {
                address += 1;
                let addresses = [IpAddr::from(address.to_be_bytes())].into();
                let state = EndpointState { addresses, ports: ports(), zone: None };
                EndpointChange { label: label(&format!("peer-{number}")), state: Some(state) }
            })
            .collect();
        let endpoints = Endpoints::default().apply(&peers);
        let service = Service { name: name.clone(), kind: ServiceKind::Headless, endpoints };
        changes.services.push((name, Some(Arc::new(service))));
    }
    publisher.publish(changes);
    publisher.set_synced();
    (publisher, view(reader))
}

/// What a zone is asked through that nobody has set anything of: `cluster.local`, with a TTL of 30 seconds.
pub fn view(reader: Reader) -> View {
    View {
        reader,
        zones: vec!["cluster.local".parse().expect("a name of ours is well-formed")],
        ttl: Ttl::from_secs(30),
        pods: Pods::Disabled,
        namespaces: None,
        ignore_empty: false,
        zonal: false,
        bounds: None,
        fallthrough: Fallthrough::None,
        local: Vec::new(),
        multicluster: Vec::new(),
    }
}
