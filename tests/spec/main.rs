//! The Kubernetes DNS specification 1.1.0, section by section: each test cites the clause that it holds to.

mod section_2_1_definitions;
mod section_2_2_schema_version;
mod section_2_3_cluster_ip;
mod section_2_4_headless;
mod section_2_5_external_name;
mod section_2_6_deprecated;

use rollcall_testing::world::World;

/// The examples of the specification as objects.
const CLUSTER: &str = "
apiVersion: v1
kind: Service
metadata: {name: kubernetes}
spec:
  clusterIP: 10.3.0.1
  clusterIPs: [10.3.0.1, '2001:db8::1']
  ports: [{name: https, port: 443}, {name: metrics, port: 9100, protocol: UDP}]
---
apiVersion: v1
kind: Service
metadata: {name: unnamed}
spec: {clusterIP: 10.3.0.2, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: headless}
spec: {clusterIP: None, ports: [{name: https, port: 443}, {name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: headless-4, labels: {kubernetes.io/service-name: headless}}
addressType: IPv4
ports: [{name: https, port: 443}, {name: http, port: 80}]
endpoints:
- {addresses: [10.3.0.100], hostname: my-pet, conditions: {ready: true}}
- {addresses: [10.3.0.101], hostname: my-pet-2}
- {addresses: [10.3.0.102]}
- {addresses: [10.3.0.103], hostname: tired, conditions: {ready: false}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: headless-6, labels: {kubernetes.io/service-name: headless}}
addressType: IPv6
ports: [{name: https, port: 443}, {name: http, port: 80}]
endpoints:
- {addresses: ['2001:db8::100'], hostname: my-pet, conditions: {ready: true}}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {clusterIP: None, ports: [{name: https, port: 443}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: nobody-4, labels: {kubernetes.io/service-name: nobody}}
addressType: IPv4
ports: [{name: https, port: 443}]
endpoints: [{addresses: [10.3.0.110], hostname: tired, conditions: {ready: false}}]
---
apiVersion: v1
kind: Service
metadata: {name: plain}
spec: {clusterIP: None, ports: [{port: 7000}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: plain-4, labels: {kubernetes.io/service-name: plain}}
addressType: IPv4
ports: [{port: 7000}]
endpoints: [{addresses: [10.3.0.120], hostname: one}]
---
apiVersion: v1
kind: Service
metadata: {name: foo}
spec: {type: ExternalName, externalName: www.example.com}
---
apiVersion: v1
kind: Service
metadata: {name: inside}
spec: {type: ExternalName, externalName: kubernetes.default.svc.cluster.local}
";

fn world() -> World {
    World::of(CLUSTER)
}

/// The answer records as lines without TTL, sorted.
fn answers(qname: &str, qtype: &str) -> Vec<String> {
    let reply = world().ask(qname, qtype);
    assert_eq!(reply.rcode, "NOERROR", "{qname} {qtype}");
    assert!(reply.authoritative);
    let short = |line: &String| {
        let parts: Vec<&str> = line.splitn(4, ' ').collect();
        assert_eq!(parts[1], if parts[0].starts_with("dns-version.") { "28800" } else { "30" });
        format!("{} {} {}", parts[0], parts[2], parts[3])
    };
    reply.answers.iter().map(short).collect()
}

fn assert_absent(qname: &str, qtype: &str) {
    let reply = world().ask(qname, qtype);
    assert_eq!((&*reply.rcode, reply.answers.len()), ("NXDOMAIN", 0), "{qname} {qtype}");
    assert!(reply.soa().is_some());
}

fn assert_empty(qname: &str, qtype: &str) {
    let reply = world().ask(qname, qtype);
    assert_eq!((&*reply.rcode, reply.answers.len()), ("NOERROR", 0), "{qname} {qtype}");
    assert!(reply.soa().is_some());
}
