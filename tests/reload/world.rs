//! What the servers of all rows stand in: two upstreams, an API server, certificates.

use std::net::SocketAddr;

use rollcall_testing::api_server::ApiServer;
use rollcall_testing::queries::{AAAA, qtype};
use rollcall_testing::resolver::{Act, Asked, Resolver, answer, empty};
use rollcall_testing::{objects, tls};
use serde_json::json;

pub(crate) struct World {
    api: ApiServer,
    pub(crate) upstreams: [Resolver; 2],
    /// Certificates by name, each with the PEM that a client trusts.
    certificates: [(&'static str, tls::Certificate); 2],
    _runtime: tokio::runtime::Runtime,
}

impl World {
    pub(crate) fn new() -> Self {
        let runtime = rollcall_testing::runtime();
        let api = runtime.block_on(ApiServer::start());
        // The few fields that the tests write in protobuf are not enough here.
        api.set_protobuf(false);
        api.apply("namespaces", objects::namespace("default"));
        let mut web = objects::cluster_ip("web", "10.96.0.1", json!([{"port": 80}]));
        web["spec"]["externalIPs"] = json!(["192.0.2.11"]);
        api.apply("services", web);
        let upstreams = [1, 2].map(|last| runtime.block_on(Resolver::start(move |asked| upstream(asked, last))));
        let certificates = ["a", "b"].map(|name| (name, tls::certificate()));
        Self { api, upstreams, certificates, _runtime: runtime }
    }

    pub(crate) fn api(&self) -> String {
        self.api.url()
    }

    pub(crate) fn upstream(&self, nth: usize) -> SocketAddr {
        self.upstreams[nth].address
    }

    /// Writes the certificates and their keys into a folder.
    pub(crate) fn write_certificates(&self, folder: &std::path::Path) {
        for (name, made) in &self.certificates {
            tls::write(folder, name, made);
        }
    }

    /// How many questions for HINFO came to the first upstream, as `loop` asks them.
    pub(crate) fn probes(&self) -> usize {
        let asked = self.upstreams[0].asked.lock().unwrap();
        asked.iter().filter(|one| qtype(&one.octets) == 13).count()
    }
}

/// Each upstream has an address of its own for every name, and no AAAA.
fn upstream(asked: &Asked, last: u8) -> Vec<Act> {
    let reply = match qtype(&asked.octets) {
        AAAA => empty(&asked.octets, 0),
        _ => answer(&asked.octets, 0, last),
    };
    vec![Act::Send(reply)]
}
