//! Names that are other names: the chain hop by hop, and what is wrong with it.

use super::report::Cause;
use super::scene::{Scene, plain};
use crate::zone::NameParts;

/// The causes in the chain that a name leads to.
pub(super) fn causes(scene: &Scene<'_>) -> Vec<Cause> {
    let mut causes = Vec::new();
    causes.extend(address(scene));
    let chain: Vec<String> =
        std::iter::once(scene.name).chain(scene.hops.iter().map(|hop| &hop.name)).map(plain).collect();
    let Some(last) = scene.hops.last() else { return causes };
    let chain = chain.join(" -> ");
    if last.again {
        causes.push(Cause::new(
            format!("the ExternalNames are a loop: {chain}"),
            format!("let one of them name what is to be reached: `spec.externalName` of {}", plain(scene.name)),
        ));
        return causes;
    }
    match &last.explained {
        Some(explained) if explained.is_absent() => causes.push(Cause::new(
            format!("the alias leads to {}, and {} ({chain})", plain(&last.name), explained.rule),
            "correct `spec.externalName`, or create what it names",
        )),
        Some(_) if scene.hops.len() > 1 => causes.push(Cause::new(
            format!("the name is reached by {} aliases: {chain}", scene.hops.len()),
            "nothing; each hop is in the answer, and each has to exist",
        )),
        None if scene.records == 0 || scene.rcode != Some(crate::wire::Rcode::NOERROR) => causes.push(Cause::new(
            format!("the alias leads out of the cluster ({chain}), and what is there did not answer with records"),
            "ask an upstream for the target itself; see what `forward` says above",
        )),
        _ => {}
    }
    causes
}

/// An ExternalName that is an address.
fn address(scene: &Scene<'_>) -> Option<Cause> {
    let NameParts::Service { service, namespace, .. } = &scene.explained.parts else { return None };
    let target = scene.service(namespace, service)?.external_name.as_ref()?;
    if !scene.explained.is_absent() {
        return None;
    }
    let what = match target.trim_end_matches('.').parse::<std::net::IpAddr>() {
        Ok(_) => format!("`externalName: {target}` is an address, and an alias can only name a name"),
        Err(_) => format!("`externalName: {target}` is no name that DNS can hold"),
    };
    Some(Cause::new(
        format!("Service {namespace}/{service}: {what}; its name has no records"),
        format!(
            "for an address, delete the type ExternalName and write a Service without a selector (`clusterIP: None`) and an \
             EndpointSlice with {target} and the label kubernetes.io/service-name: {service}"
        ),
    ))
}
