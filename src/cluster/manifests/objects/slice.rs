//! EndpointSlices and Endpoints, as manifests write them.

use super::meta::{ObjectMeta, host_name, meta, protocol};
use crate::cluster::facts::{EndpointFact, Family, SliceFact, dashed, sort_aliases};
use crate::cluster::manifests::error::{Error, Remark};
use crate::cluster::manifests::tree::ManifestField;
use crate::wire::Label;
use crate::zone::{AddressList, Port};

/// An EndpointSlice, or a part of an Endpoints object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SliceObject {
    pub(crate) meta: ObjectMeta,
    pub(crate) fact: SliceFact,
    /// Mirrored from Endpoints.
    pub(crate) mirrored: bool,
}

pub(super) fn slice(
    object: &ManifestField<'_>,
    namespace: &str,
    remarks: &mut Vec<Remark>,
) -> Result<Option<SliceObject>, Error> {
    let meta = meta(object, Some(namespace))?;
    let Some(service) = object.get("metadata")?.get("labels")?.get("kubernetes.io/service-name")?.label()? else {
        let message = format!("EndpointSlice {} is left out: no label kubernetes.io/service-name", meta.key.name);
        remarks.push(Remark::warning(&meta.place, message));
        return Ok(None);
    };
    let kind = object.get("addressType")?;
    let family = match kind.required_text()? {
        "IPv4" => Family::V4,
        "IPv6" => Family::V6,
        "FQDN" => Family::Fqdn,
        other => return Err(kind.error(format_args!("expected IPv4, IPv6 or FQDN, found {other:?}"))),
    };
    let (mut endpoints, mut aliases) = (Vec::new(), Vec::new());
    for endpoint in object.get("endpoints")?.items()? {
        // Unknown counts as ready, as the API has it.
        let ready = endpoint.get("conditions")?.get("ready")?.boolean()?.unwrap_or(true);
        let listed = endpoint.get("addresses")?.items()?;
        if family == Family::Fqdn {
            for field in listed.iter().filter(|_| ready) {
                let name = host_name(field)?;
                let label = endpoint.get("hostname")?.label()?.or_else(|| dashed(&name));
                aliases.extend(label.map(|label| (label, name)));
            }
            continue;
        }
        let mut addresses = AddressList::new();
        for field in listed {
            let Some(address) = field.address()? else { continue };
            if address.is_ipv6() != (family == Family::V6) {
                return Err(field.error(format_args!("{address} is of another family than addressType")));
            }
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        // Its name would be there without any address, and SRV records would lead to it.
        if addresses.is_empty() {
            return Err(endpoint.get("addresses")?.error("missing; an endpoint has one address at least"));
        }
        let (hostname, pod) = (endpoint.get("hostname")?.label()?, target_pod(&endpoint)?);
        let zone = endpoint.get("zone")?.text()?.filter(|zone| (1..=253).contains(&zone.len())).map(Into::into);
        endpoints.push(EndpointFact { addresses, hostname, pod, ready, zone });
    }
    sort_aliases(&mut aliases);
    let ports = plain_ports(object)?;
    let (key, service) = (meta.key.clone(), service.to_string().into());
    let fact = SliceFact { key, version: 0, service, family, ports, endpoints, aliases, triggered: None };
    Ok(Some(SliceObject { meta, fact, mirrored: false }))
}

fn target_pod(endpoint: &ManifestField<'_>) -> Result<Option<Label>, Error> {
    let target = endpoint.get("targetRef")?;
    let is_pod = target.get("kind")?.text()? == Some("Pod");
    let name = target.get("name")?.text()?.filter(|_| is_pod);
    Ok(name.and_then(|name| Label::new(name.as_bytes()).ok()))
}

fn plain_ports(object: &ManifestField<'_>) -> Result<Vec<Port>, Error> {
    let mut ports = Vec::new();
    for field in object.get("ports")?.items()? {
        // A port without a number stands for all ports.
        let number = field.get("port")?.port()?.unwrap_or(0);
        ports.push(Port { name: field.get("name")?.label()?, protocol: protocol(&field.get("protocol")?)?, number });
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

/// One slice for each subset and family, as the mirroring controller makes them.
pub(super) fn endpoints(object: &ManifestField<'_>, namespace: &str) -> Result<Vec<SliceObject>, Error> {
    let meta = meta(object, Some(namespace))?;
    let mut slices = Vec::new();
    for subset in object.get("subsets")?.items()? {
        let mut families = [(Family::V4, Vec::new()), (Family::V6, Vec::new())];
        for (list, ready) in [("addresses", true), ("notReadyAddresses", false)] {
            for item in subset.get(list)?.items()? {
                let field = item.get("ip")?;
                let address = field.address()?.ok_or_else(|| field.error("missing; expected an IP address"))?;
                let (hostname, pod) = (item.get("hostname")?.label()?, target_pod(&item)?);
                let [(_, v4), (_, v6)] = &mut families;
                let list = if address.is_ipv6() { v6 } else { v4 };
                list.push(EndpointFact { addresses: [address].into(), hostname, pod, ready, zone: None });
            }
        }
        let ports = plain_ports(&subset)?;
        for (family, endpoints) in families.into_iter().filter(|(_, endpoints)| !endpoints.is_empty()) {
            let (mut meta, service) = (meta.clone(), meta.key.name.clone());
            meta.key.name = format!("{service}-mirrored-{}", slices.len()).into();
            let (ports, aliases) = (ports.clone(), Vec::new());
            let key = meta.key.clone();
            let fact = SliceFact { key, version: 0, service, family, ports, endpoints, aliases, triggered: None };
            slices.push(SliceObject { meta, fact, mirrored: true });
        }
    }
    Ok(slices)
}
