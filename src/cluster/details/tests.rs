use serde_json::json;

use super::*;

fn read<T: RawObject>(items: serde_json::Value) -> DetailPage<T> {
    let list = json!({"kind": "List", "metadata": {"continue": "more"}, "items": items});
    page("n", list.to_string().as_bytes()).unwrap()
}

#[test]
fn a_pod_is_read_with_the_reason_why_it_is_not_ready() {
    let page = read::<RawPod>(json!([
        {"metadata": {"name": "web-0", "namespace": "n", "labels": {"app": "web"}, "ownerReferences": [
            {"kind": "StatefulSet", "name": "web", "controller": true}]},
         "spec": {"hostname": "web-0", "subdomain": "web-headless"},
         "status": {"phase": "Running", "podIP": "10.0.0.1", "conditions": [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "one\u{1b}[2J is not"}],
            "containerStatuses": [{"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}]}},
        {"metadata": {"name": "other", "namespace": "elsewhere"}, "spec": {}, "status": {}},
        {"metadata": 7},
    ]));
    assert!(page.more && page.items.len() == 1, "other namespaces and what cannot be read are left out");
    let pod = PodDetail::from(page.items.into_iter().next().unwrap());
    assert_eq!((pod.hostname.as_deref(), pod.subdomain.as_deref()), (Some("web-0"), Some("web-headless")));
    assert_eq!(pod.owner.as_deref(), Some("StatefulSet web"));
    assert_eq!(pod.addresses, ["10.0.0.1"]);
    assert_eq!(pod.trouble, ["Ready=False (ContainersNotReady: one[2J is not)", "container a: CrashLoopBackOff"]);
    assert!(pod.is_selected(&[("app".to_owned(), "web".to_owned())].into()));
    assert!(!pod.is_selected(&LabelMap::new()) && !pod.is_selected(&[("app".to_owned(), "wbe".to_owned())].into()));
}

#[test]
fn services_and_endpoints_are_read_with_what_the_index_leaves_out() {
    let page = read::<RawService>(json!([
        {"metadata": {"name": "web", "namespace": "n"}, "spec": {"clusterIP": "None", "selector": {"app": "web"},
         "ports": [{"port": 80}, {"name": "dns", "protocol": "UDP", "port": 53}], "publishNotReadyAddresses": true}},
        {"metadata": {"name": "out", "namespace": "n"}, "spec": {"type": "ExternalName", "externalName": "10.1.2.3"}},
    ]));
    let [web, out]: [ServiceDetail; 2] =
        page.items.into_iter().map(ServiceDetail::from).collect::<Vec<_>>().try_into().unwrap();
    assert!(web.headless && web.publish_not_ready && web.external_name.is_none());
    assert_eq!(web.ports[0], PortDetail { name: None, protocol: "TCP".into(), number: 80 });
    assert_eq!(out.external_name.as_deref(), Some("10.1.2.3"));

    let page = read::<RawSlice>(json!([
        {"metadata": {"name": "web-x", "namespace": "n", "labels": {"kubernetes.io/service-name": "web"}}, "endpoints": [
            {"addresses": ["10.0.0.1"], "hostname": "web-0", "targetRef": {"kind": "Pod", "name": "web-0"}},
            {"addresses": ["10.0.0.2"], "conditions": {"ready": false, "serving": true, "terminating": true}}]},
        {"metadata": {"name": "empty", "namespace": "n", "labels": {"kubernetes.io/service-name": "web"}}, "endpoints": null},
        {"metadata": {"name": "stray", "namespace": "n"}, "endpoints": [{"addresses": ["10.0.0.9"]}]},
    ]));
    let endpoints: Vec<EndpointDetail> = page.items.into_iter().flat_map(RawSlice::into_endpoints).collect();
    assert_eq!(endpoints.len(), 2, "an empty slice has none, and a slice of no Service counts for nothing");
    assert!(endpoints[0].ready && endpoints[0].pod.as_deref() == Some("web-0"));
    assert!(!endpoints[1].ready && endpoints[1].serving && endpoints[1].terminating);
}

#[test]
fn what_is_no_list_is_refused() {
    for text in ["", "{}", "{\"items\": 1}", "[]"] {
        assert!(page::<RawPod>("n", text.as_bytes()).is_err(), "{text}");
    }
}
