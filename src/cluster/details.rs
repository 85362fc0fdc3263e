//! The objects of one namespace with what the index does not keep: read when somebody asks why a name is answered as it is,
//! and thrown away with the answer.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Labels, or a selector of labels.
pub type LabelMap = BTreeMap<String, String>;

/// The objects of one namespace, at the time of asking.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The Services; `None` when they could not be read.
    pub services: Option<Vec<ServiceDetail>>,
    /// The endpoints of all EndpointSlices.
    pub endpoints: Option<Vec<EndpointDetail>>,
    /// The Pods.
    pub pods: Option<Vec<PodDetail>>,
    /// The reasons why something was not looked at, or not in full.
    pub gaps: Vec<String>,
}

/// A Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceDetail {
    /// Its name.
    pub name: String,
    /// `spec.selector`.
    pub selector: LabelMap,
    /// Its ports: name, protocol, number.
    pub ports: Vec<PortDetail>,
    /// `spec.externalName`.
    pub external_name: Option<String>,
    /// Whether it has no ClusterIP.
    pub headless: bool,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready: bool,
}

/// A port of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortDetail {
    /// Its name; `None` for one without.
    pub name: Option<String>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// Its number.
    pub number: u16,
}

/// An endpoint of an EndpointSlice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointDetail {
    /// The Service.
    pub service: String,
    /// The slice.
    pub slice: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Its hostname.
    pub hostname: Option<String>,
    /// The Pod that it stands for.
    pub pod: Option<String>,
    /// Whether it is ready; unknown counts as ready.
    pub ready: bool,
    /// Whether it serves, be it on its way out or not.
    pub serving: bool,
    /// Whether it is on its way out.
    pub terminating: bool,
}

/// A Pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodDetail {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: LabelMap,
    /// `spec.hostname`.
    pub hostname: Option<String>,
    /// `spec.subdomain`: the `serviceName` of its StatefulSet.
    pub subdomain: Option<String>,
    /// The object that made it, as `StatefulSet web`.
    pub owner: Option<String>,
    /// `status.phase`.
    pub phase: String,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Whether its condition Ready is True.
    pub ready: bool,
    /// The reason why it is not, as its conditions and containers say.
    pub trouble: Vec<String>,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl PodDetail {
    /// Whether a selector selects it; an empty one selects nothing.
    pub fn is_selected(&self, selector: &LabelMap) -> bool {
        selects(selector, &self.labels)
    }

    /// Whether it has run to its end.
    pub fn is_finished(&self) -> bool {
        matches!(&*self.phase, "Succeeded" | "Failed")
    }
}

/// Whether a selector of labels selects these labels; an empty one selects nothing here.
pub(super) fn selects(selector: &LabelMap, labels: &LabelMap) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

//----------- Objects in JSON -------------------------------------------------

/// A page of a list, in JSON: the objects that could be read of it, and whether there are more.
#[derive(Debug)]
pub(super) struct DetailPage<T> {
    pub(super) items: Vec<T>,
    pub(super) more: bool,
}

/// An object as the API spells it.
pub(super) trait RawObject: for<'de> Deserialize<'de> {
    /// The namespace.
    fn namespace(&self) -> &str;
}

/// Reads the objects of a namespace out of a list.
///
/// # Errors
/// When it is no list.
pub(super) fn page<T: RawObject>(namespace: &str, body: &[u8]) -> Result<DetailPage<T>, String> {
    let list: RawList<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let objects = list.items.into_iter().filter_map(|item| serde_json::from_str::<T>(item.get()).ok());
    let items = objects.filter(|object| object.namespace() == namespace).collect();
    Ok(DetailPage { items, more: !list.metadata.token.unwrap_or_default().is_empty() })
}

#[derive(Deserialize)]
struct RawList<'l> {
    #[serde(borrow)]
    items: Vec<&'l serde_json::value::RawValue>,
    #[serde(default)]
    metadata: RawListMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawListMeta {
    #[serde(rename = "continue")]
    token: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawMeta {
    name: String,
    namespace: String,
    labels: Option<LabelMap>,
    owner_references: Option<Vec<RawOwner>>,
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawOwner {
    kind: String,
    name: String,
    controller: Option<bool>,
}

/// A Service as the API spells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawService {
    metadata: RawMeta,
    spec: RawServiceSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawServiceSpec {
    #[serde(rename = "type")]
    kind: String,
    #[serde(rename = "clusterIP")]
    cluster_ip: String,
    selector: Option<LabelMap>,
    ports: Option<Vec<RawPort>>,
    external_name: Option<String>,
    publish_not_ready_addresses: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPort {
    name: Option<String>,
    protocol: Option<String>,
    port: Option<u16>,
}

/// An EndpointSlice as the API spells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawSlice {
    metadata: RawMeta,
    endpoints: Option<Vec<RawEndpoint>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawEndpoint {
    addresses: Option<Vec<String>>,
    hostname: Option<String>,
    target_ref: Option<RawTarget>,
    conditions: Option<RawConditions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawTarget {
    kind: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawConditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

/// A Pod as the API spells it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawPod {
    metadata: RawMeta,
    spec: RawPodSpec,
    status: RawPodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawPodSpec {
    hostname: Option<String>,
    subdomain: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RawPodStatus {
    phase: String,
    #[serde(rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(rename = "podIPs")]
    pod_ips: Option<Vec<RawIp>>,
    conditions: Option<Vec<RawCondition>>,
    container_statuses: Option<Vec<RawContainer>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawIp {
    ip: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawContainer {
    name: String,
    state: Option<RawState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawState {
    waiting: Option<RawReason>,
    terminated: Option<RawReason>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawReason {
    reason: Option<String>,
}

impl RawObject for RawService {
    fn namespace(&self) -> &str {
        &self.metadata.namespace
    }
}

impl RawObject for RawSlice {
    fn namespace(&self) -> &str {
        &self.metadata.namespace
    }
}

impl RawObject for RawPod {
    fn namespace(&self) -> &str {
        &self.metadata.namespace
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

impl From<RawService> for ServiceDetail {
    fn from(RawService { metadata, spec }: RawService) -> Self {
        let ports = spec.ports.unwrap_or_default().into_iter().map(|port| PortDetail {
            name: present(port.name),
            protocol: present(port.protocol).unwrap_or_else(|| "TCP".into()),
            number: port.port.unwrap_or_default(),
        });
        Self {
            name: metadata.name,
            selector: spec.selector.unwrap_or_default(),
            ports: ports.collect(),
            external_name: present(spec.external_name).filter(|_| spec.kind == "ExternalName"),
            headless: spec.cluster_ip == "None",
            publish_not_ready: spec.publish_not_ready_addresses,
        }
    }
}

impl RawSlice {
    /// Its endpoints; none when it is of no Service.
    pub(super) fn into_endpoints(self) -> impl Iterator<Item = EndpointDetail> {
        let RawMeta { name: slice, labels, .. } = self.metadata;
        let service = labels.unwrap_or_default().remove("kubernetes.io/service-name");
        let endpoints = service.as_ref().and(self.endpoints).unwrap_or_default();
        endpoints.into_iter().map(move |endpoint| {
            let conditions = endpoint.conditions.unwrap_or_default();
            let ready = conditions.ready.unwrap_or(true);
            EndpointDetail {
                service: service.clone().unwrap_or_default(),
                slice: slice.clone(),
                addresses: endpoint.addresses.unwrap_or_default(),
                hostname: present(endpoint.hostname),
                pod: endpoint.target_ref.filter(|target| target.kind == "Pod").map(|target| target.name),
                ready,
                serving: conditions.serving.unwrap_or(ready),
                terminating: conditions.terminating.unwrap_or(false),
            }
        })
    }
}

impl From<RawPod> for PodDetail {
    fn from(RawPod { metadata, spec, status }: RawPod) -> Self {
        let owners = metadata.owner_references.unwrap_or_default();
        let owner = owners.into_iter().find(|owner| owner.controller.unwrap_or(true));
        let conditions = status.conditions.unwrap_or_default();
        let ready = conditions.iter().any(|condition| condition.kind == "Ready" && condition.status == "True");
        let mut trouble = Vec::new();
        for condition in conditions.iter().filter(|condition| !ready && condition.status != "True") {
            let words = [present(condition.reason.clone()), present(condition.message.clone())];
            let words: Vec<String> = words.into_iter().flatten().map(|text| short(&text)).collect();
            let why = if words.is_empty() { String::new() } else { format!(" ({})", words.join(": ")) };
            trouble.push(format!("{}={}{why}", condition.kind, condition.status));
        }
        for container in status.container_statuses.unwrap_or_default() {
            let state = container.state.unwrap_or_default();
            if let Some(reason) = state.waiting.or(state.terminated).and_then(|state| present(state.reason)) {
                trouble.push(format!("container {}: {reason}", container.name));
            }
        }
        let mut addresses: Vec<String> = status.pod_ips.unwrap_or_default().into_iter().map(|ip| ip.ip).collect();
        if addresses.is_empty() {
            addresses.extend(present(status.pod_ip));
        }
        Self {
            name: metadata.name,
            labels: metadata.labels.unwrap_or_default(),
            hostname: present(spec.hostname),
            subdomain: present(spec.subdomain),
            owner: owner.map(|owner| format!("{} {}", owner.kind, owner.name)),
            phase: status.phase,
            addresses,
            ready,
            trouble,
            deleting: metadata.deletion_timestamp.is_some(),
        }
    }
}

/// The beginning of what a cluster wrote, without characters that would move a terminal's cursor.
fn short(text: &str) -> String {
    const MOST: usize = 120;
    text.chars().filter(|char| !char.is_control()).take(MOST).collect()
}

#[cfg(test)]
mod tests;
