//! From objects to facts: lets the stand-ins add what controllers would, gives addresses out.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::address::{self, Pool};
use super::checks;
use super::content::Content;
use super::details::AllDetails;
use super::error::{Error, Level, Remark};
use super::objects::{ObjectMeta, Objects, ServiceObject, SliceObject};
use super::reading::{Reading, Sources, few};
use super::selection::{Meant, Selection};
use super::summary::Summary;
use super::{slices, workloads};
use crate::cluster::facts::{Fact, NamespaceFact, ObjectKey, PodFact, ServiceFact, ServiceSpec, SliceFact};

/// Namespaces that are there in every cluster.
const ALWAYS: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// The contents of manifests, as the index takes them.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Namespaces, Services, slices and Pods, those of the stand-ins included.
    pub facts: Vec<Fact>,
    /// The summary for people.
    pub summary: Summary,
    /// Remarks on what was left out, and on what looks wrong.
    pub remarks: Vec<Remark>,
    /// Objects that are left out since others have their names or addresses.
    pub(super) conflicts: Vec<Error>,
    /// What people may ask about.
    pub(super) details: AllDetails,
}

/// Gives out addresses to pods and Services that have none; the same ones from edit to edit.
#[derive(Clone, Debug)]
pub struct Addresses {
    pods: Pool,
    services: Pool,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { pods: Pool::new(address::PODS), services: Pool::new(address::SERVICES) }
    }
}

/// Reads the manifests that these paths name: files, and folders with all that is below them.
///
/// # Errors
/// When a path cannot be read, or a file that is named holds anything wrong: with file, line and column.
pub fn load(paths: &[PathBuf], addresses: &mut Addresses) -> Result<Loaded, Error> {
    let reading = Reading::start(&Sources::from(paths.to_vec()), SystemTime::now())?;
    let mut loaded = compose(reading.objects(), addresses, 1);
    refuse(&loaded, &reading)?;
    loaded.remarks.extend(reading.remarks());
    Ok(loaded)
}

/// Reads one text as if the command line named a file that holds it.
///
/// # Errors
/// As [`load()`].
pub fn load_text(text: &str, addresses: &mut Addresses) -> Result<Loaded, Error> {
    let content = Content::read(&Path::new("manifest").into(), text, &Sources::default().namespace, true);
    if let Some(error) = content.refusal() {
        return Err(error.clone());
    }
    let loaded = compose(content.objects, addresses, 1);
    match loaded.conflicts.first() {
        Some(conflict) => Err(conflict.clone()),
        None => Ok(loaded),
    }
}

/// Refuses objects that are there twice, where the command line names the file of the second.
pub(super) fn refuse(loaded: &Loaded, reading: &Reading) -> Result<(), Error> {
    let in_folders = reading.in_folders();
    let named = |error: &&Error| !in_folders.contains(&**error.subject().file());
    loaded.conflicts.iter().find(named).map_or(Ok(()), |error| Err(error.clone()))
}

/// Makes facts of objects.
pub(super) fn compose(mut objects: Objects, addresses: &mut Addresses, version: u64) -> Loaded {
    let mut conflicts = Vec::new();
    drop_duplicates(&mut objects, &mut conflicts);
    let mut remarks = Vec::new();
    workloads::add_pods(&mut objects, &mut remarks);
    give_addresses(&mut objects, addresses, &mut remarks);
    let mut loaded = to_facts(&objects, remarks, version);
    let told = conflicts.iter().map(|error| error.to_remark(Level::Warning, "this one is left out"));
    loaded.remarks.extend(few(told.collect()));
    Loaded { conflicts, ..loaded }
}

/// Leaves out what has the name, or the address, of an object before it.
fn drop_duplicates(objects: &mut Objects, conflicts: &mut Vec<Error>) {
    let mut seen: HashMap<(&'static str, ObjectKey), ObjectMeta> = HashMap::new();
    let mut is_first = |kind: &'static str, meta: &ObjectMeta| match seen.get(&(kind, meta.key.clone())) {
        None => {
            seen.insert((kind, meta.key.clone()), meta.clone());
            true
        }
        Some(first) => {
            let name = &meta.key.name;
            let message = format!("{kind} {name} is there twice; the first is at {}", first.place);
            conflicts.push(Error::at(meta.place.clone(), message));
            false
        }
    };
    objects.services.retain(|service| is_first("Service", &service.meta));
    objects
        .slices
        .retain(|slice| is_first(if slice.mirrored { "mirrored slice" } else { "EndpointSlice" }, &slice.meta));
    objects.pods.retain(|pod| is_first("Pod", &pod.meta));
    objects.workloads.retain(|workload| is_first(workload.kind.name(), &workload.meta));

    let mut owners: HashMap<IpAddr, ObjectMeta> = HashMap::new();
    objects.services.retain(|service| {
        let Some(addresses) = service.addresses() else { return true };
        let taken = addresses.iter().find_map(|address| Some((address, owners.get(address)?)));
        if let Some((address, first)) = taken {
            let message = format!("the Service at {} has ClusterIP {address} already", first.place);
            conflicts.push(Error::at(service.meta.place.clone(), message));
            return false;
        }
        owners.extend(addresses.iter().map(|address| (*address, service.meta.clone())));
        true
    });
}

//----------- Objects to facts -----------------------------------------------

fn owner(meta: &ObjectMeta) -> String {
    format!("{}/{}", meta.key.namespace, meta.key.name)
}

fn give_addresses(objects: &mut Objects, pools: &mut Addresses, remarks: &mut Vec<Remark>) {
    let none_left = |meta: &ObjectMeta, network: &str| {
        Remark::warning(&meta.place, format!("no address is left in {network} for this"))
    };

    let owners = objects.pods.iter().filter(|pod| pod.addresses.is_empty()).map(|pod| owner(&pod.meta)).collect();
    let written = objects.pods.iter().flat_map(|pod| pod.addresses.iter().copied());
    let sliced = objects.slices.iter().flat_map(|slice| &slice.fact.endpoints).flat_map(|endpoint| &endpoint.addresses);
    pools.pods.retain(&owners, written.chain(sliced.copied()));
    let v6: HashSet<ObjectKey> = {
        let pods = Selection::of_pods(&objects.pods);
        let services = objects.services.iter().filter(|service| service.families.contains(&true));
        let selected = services.flat_map(|own| pods.selected(&own.meta.key.namespace, &own.selector));
        selected.map(|pod| pod.meta.key.clone()).collect()
    };
    let mut example = None;
    let mut without = Vec::new();
    for pod in objects.pods.iter_mut().filter(|pod| pod.addresses.is_empty() && !pod.finished) {
        let Some(address) = pools.pods.address(&owner(&pod.meta)) else {
            without.push(none_left(&pod.meta, "127.1.0.0/16"));
            continue;
        };
        pod.addresses.push(address.into());
        if v6.contains(&pod.meta.key) {
            pod.addresses.push(address::twin(address).into());
            example.get_or_insert_with(|| address::twin(address));
        }
    }
    objects.pods.retain(|pod| !pod.addresses.is_empty() || pod.finished);

    let is_open = |service: &&ServiceObject| service.addresses().is_some_and(<[_]>::is_empty);
    let owners = objects.services.iter().filter(is_open).map(|service| owner(&service.meta)).collect();
    let written = objects.services.iter().filter_map(ServiceObject::addresses).flatten();
    pools.services.retain(&owners, written.copied());
    for service in &mut objects.services {
        let ServiceSpec::ClusterIp { addresses, .. } = &mut service.fact.spec else { continue };
        if addresses.is_empty() {
            let Some(address) = pools.services.address(&owner(&service.meta)) else {
                without.push(none_left(&service.meta, "127.96.0.0/16"));
                continue;
            };
            let families = if service.families.is_empty() { &[false] } else { service.families.as_slice() };
            addresses.extend(families.iter().map(|&v6| match v6 {
                true => IpAddr::from(address::twin(address)),
                false => address.into(),
            }));
        }
    }
    remarks.extend(few(without));
    if let Some(example) = example {
        remarks.push(Remark::info(format!(
            "IPv6 addresses are of {}; a peer can be run at one that `ip -6 addr add {example} dev lo` has given to this \
             machine",
            address::TWINS
        )));
    }
}

fn to_facts(objects: &Objects, mut remarks: Vec<Remark>, version: u64) -> Loaded {
    let mut namespaces: BTreeSet<&str> = ALWAYS.into();
    namespaces.extend(objects.namespaces.iter().map(|meta| &*meta.key.name));
    let metas = objects.services.iter().map(|service| &service.meta);
    let metas = metas.chain(objects.slices.iter().map(|slice| &slice.meta));
    let metas = metas.chain(objects.pods.iter().map(|pod| &pod.meta));
    namespaces.extend(metas.chain(objects.workloads.iter().map(|own| &own.meta)).map(|meta| &*meta.key.namespace));

    let by_key: HashMap<&ObjectKey, &ServiceObject> =
        objects.services.iter().map(|service| (&service.meta.key, service)).collect();
    let mut slices: Vec<SliceFact> = Vec::new();
    for slice in &objects.slices {
        if !slice.mirrored || is_mirrored(slice, &by_key, &mut remarks) {
            slices.push(SliceFact { version, ..slice.fact.clone() });
        }
    }
    let own: HashSet<_> = slices.iter().map(|slice| (slice.key.namespace.clone(), slice.service.clone())).collect();
    let (pods, templates) = (Selection::of_pods(&objects.pods), Selection::of_workloads(&objects.workloads));
    let meant = Meant::of(&objects.workloads);
    for service in &objects.services {
        // Slices that are written down stand for what the controller made of pods that may not be here.
        if !own.contains(&(service.meta.key.namespace.clone(), service.meta.key.name.clone())) {
            slices.extend(slices::derive(service, &pods, version));
            remarks.extend(checks::service(service, &pods, &templates, &meant));
        }
    }
    remarks.extend(checks::workloads(objects, &by_key));

    let summary = Summary::of(&namespaces, objects, &slices);
    let details = AllDetails::of(objects, &slices);
    let names = namespaces.into_iter().map(|name| Fact::Namespace(NamespaceFact { name: name.into() }));
    let services =
        objects.services.iter().map(|service| Fact::Service(ServiceFact { version, ..service.fact.clone() }));
    let pods = objects.pods.iter().filter(|pod| !pod.finished).map(|pod| {
        let (key, addresses) = (pod.meta.key.clone(), pod.addresses.clone());
        Fact::Pod(PodFact { key, addresses, terminating: pod.meta.deleting })
    });
    let facts = names.chain(services).chain(slices.into_iter().map(Fact::Slice)).chain(pods).collect();
    Loaded { facts, summary, remarks: few(remarks), conflicts: Vec::new(), details }
}

/// Endpoints are mirrored for Services without a selector only: the others have slices of their pods.
fn is_mirrored(slice: &SliceObject, services: &HashMap<&ObjectKey, &ServiceObject>, remarks: &mut Vec<Remark>) -> bool {
    if slice.meta.labels.get("endpointslice.kubernetes.io/skip-mirror").is_some_and(|value| value == "true") {
        return false;
    }
    let key = ObjectKey::new(&slice.meta.key.namespace, &slice.fact.service);
    let why = match services.get(&key) {
        None => "there is no Service of this name",
        Some(service) if !service.selector.is_empty() => "its Service selects pods",
        Some(_) => return true,
    };
    remarks.push(Remark::warning(&slice.meta.place, format!("Endpoints {} is left out: {why}", slice.fact.service)));
    false
}
