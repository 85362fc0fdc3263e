//! Objects in JSON, as an API server has them: a Service, its slices and their endpoints, all in the namespace `default`.

use serde_json::{Value, json};

/// A namespace.
pub fn namespace(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

/// A Service with a spec.
pub fn service(name: &str, spec: Value) -> Value {
    json!({"metadata": {"namespace": "default", "name": name}, "spec": spec})
}

/// A headless Service with the port `http`, 80.
pub fn headless(name: &str) -> Value {
    cluster_ip(name, "None", ports("http", "TCP", 80))
}

/// A Service with an address, or `None`.
pub fn cluster_ip(name: &str, address: &str, ports: Value) -> Value {
    service(name, json!({"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ports": ports}))
}

/// A Service that stands for a name elsewhere.
pub fn external_name(name: &str, target: &str) -> Value {
    service(name, json!({"type": "ExternalName", "externalName": target}))
}

/// A list of one port, for a Service or a slice.
pub fn ports(name: &str, protocol: &str, number: u16) -> Value {
    json!([{"name": name, "protocol": protocol, "port": number}])
}

/// A slice `SERVICE-SUFFIX` of IPv4 endpoints.
pub fn slice(service: &str, suffix: &str, ports: Value, endpoints: Vec<Value>) -> Value {
    json!({
        "metadata": {
            "namespace": "default",
            "name": format!("{service}-{suffix}"),
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": ports,
        "endpoints": endpoints,
    })
}

/// A ready endpoint with a hostname.
pub fn endpoint(hostname: &str, address: &str) -> Value {
    json!({"addresses": [address], "hostname": hostname, "conditions": {"ready": true}})
}
