//! From paths to facts: finds the files, reads the objects, lets the stand-ins add what controllers would.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::address::{self, Pool};
use super::error::{Error, Remark};
use super::objects::{Meta, Objects, ServiceObject, ServiceType, SliceObject};
use super::summary::Summary;
use super::tree::Node;
use super::{slices, workloads};
use crate::cluster::facts::{ExternalFact, Fact, NamespaceFact, PodFact, ServiceFact, ServiceSpec, SliceFact};
use crate::files;

/// Namespaces that are there in every cluster.
const ALWAYS: [&str; 4] = ["default", "kube-node-lease", "kube-public", "kube-system"];

/// Folders within folders beyond this are a loop of links.
const DEEPEST: usize = 32;

/// What manifests say, as the index takes it.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Namespaces, Services, slices and Pods, those of the stand-ins included.
    pub facts: Vec<Fact>,
    /// What is served, for people.
    pub summary: Summary,
    /// What was left out, and what looks wrong.
    pub remarks: Vec<Remark>,
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

/// A manifest file with its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) path: Arc<Path>,
    pub(super) text: String,
}

/// Reads the manifests that these paths name: files, and folders with all that is below them.
///
/// # Errors
/// When a path cannot be read, or any object in it is wrong: with file, line and column.
pub fn load(paths: &[PathBuf], addresses: &mut Addresses) -> Result<Loaded, Error> {
    let files = find(paths)?.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    load_files(&files, addresses, 1)
}

//----------- Files ----------------------------------------------------------

/// The files below these paths, each once, folders in the order of names.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        let meta = stat(path)?;
        if meta.is_dir() {
            walk(path, 0, &mut files)?;
            if files.len() == before {
                return Err(Error::file(path, "the folder holds no *.yaml, *.yml or *.json file"));
            }
        } else if meta.is_file() {
            files.push(path.clone());
        } else {
            // Files are read again to follow edits, which takes a pipe empty or waits for its writer for ever.
            return Err(Error::file(path, "is neither a file nor a folder: write the manifests to a file"));
        }
    }
    let mut seen = HashSet::new();
    files.retain(|file| seen.insert(file.clone()));
    Ok(files)
}

fn stat(path: &Path) -> Result<fs::Metadata, Error> {
    fs::metadata(path).map_err(|error| Error::file(path, format!("cannot be read: {error}")))
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    if depth > DEEPEST {
        return Err(Error::file(folder, format!("more than {DEEPEST} folders deep: is a link pointing back?")));
    }
    let error = |error| Error::file(folder, format!("cannot be read: {error}"));
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(error)? {
        entries.push(entry.map_err(error)?.path());
    }
    entries.sort();
    for path in entries {
        // Hidden files are the business of editors and of mounted ConfigMaps.
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        let manifest = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        match fs::metadata(&path) {
            Ok(meta) if meta.is_dir() => walk(&path, depth + 1, files)?,
            Ok(meta) if manifest && meta.is_file() => files.push(path),
            // Gone since the folder was listed: as if it had never been there.
            Err(error) if manifest && error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::file(&path, format!("cannot be read: {error}")));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<File, Error> {
    match files::read_text(path, files::RECORDS) {
        Ok(text) => Ok(File { path: path.into(), text }),
        Err(error) => Err(Error::file(path, format!("cannot be read: {}", error.why()))),
    }
}

//----------- Objects to facts -----------------------------------------------

pub(super) fn load_files(files: &[File], addresses: &mut Addresses, version: u64) -> Result<Loaded, Error> {
    let mut objects = Objects::default();
    let mut remarks = Vec::new();
    for file in files {
        for document in Node::read(&file.path, &file.text)? {
            let field = document.root(&file.path);
            if !document.is_empty() {
                objects.take(&field, &mut remarks)?;
            }
        }
    }
    refuse_duplicates(&objects)?;
    workloads::add_pods(&mut objects, &mut remarks)?;
    // A copy, so that a broken edit gives away no address.
    let mut pools = addresses.clone();
    give_addresses(&mut objects, &mut pools)?;
    let loaded = to_facts(&objects, remarks, version);
    *addresses = pools;
    Ok(loaded)
}

fn refuse_duplicates(objects: &Objects) -> Result<(), Error> {
    let services = objects.services.iter().map(|service| ("Service", &service.meta));
    let slices = objects.slices.iter().map(|slice| match slice.mirrored {
        true => ("mirrored slice", &slice.meta),
        false => ("EndpointSlice", &slice.meta),
    });
    let pods = objects.pods.iter().map(|pod| ("Pod", &pod.meta));
    let workloads = objects.workloads.iter().map(|workload| ("workload", &workload.meta));
    let namespaces = objects.namespaces.iter().map(|meta| ("Namespace", meta));
    let mut seen: HashMap<_, &Meta> = HashMap::new();
    for (kind, meta) in services.chain(slices).chain(pods).chain(workloads).chain(namespaces) {
        if let Some(first) = seen.insert((kind, &meta.key), meta) {
            let (place, name) = (meta.place.clone(), &meta.key.name);
            return Err(Error::at(place, format!("{kind} {name} is there twice; the first is at {}", first.place)));
        }
    }
    let mut seen: HashMap<_, &Meta> = HashMap::new();
    for service in &objects.services {
        let ServiceType::ClusterIp(addresses) = &service.kind else { continue };
        for address in addresses {
            if let Some(first) = seen.insert(address, &service.meta) {
                let (place, first) = (service.meta.place.clone(), &first.place);
                return Err(Error::at(place, format!("the Service at {first} has ClusterIP {address} already")));
            }
        }
    }
    Ok(())
}

fn owner(meta: &Meta) -> String {
    format!("{}/{}", meta.key.namespace, meta.key.name)
}

fn give_addresses(objects: &mut Objects, pools: &mut Addresses) -> Result<(), Error> {
    let none_left =
        |meta: &Meta, network: &str| Error::at(meta.place.clone(), format!("no address is left in {network}"));

    let owners = objects.pods.iter().filter(|pod| pod.addresses.is_empty()).map(|pod| owner(&pod.meta)).collect();
    let written = objects.pods.iter().flat_map(|pod| pod.addresses.iter().copied());
    let sliced = objects.slices.iter().flat_map(|slice| &slice.endpoints).flat_map(|endpoint| &endpoint.addresses);
    pools.pods.retain(&owners, written.chain(sliced.copied()));
    for pod in objects.pods.iter_mut().filter(|pod| pod.addresses.is_empty() && !pod.finished) {
        let address = pools.pods.address(&owner(&pod.meta));
        pod.addresses.push(address.ok_or_else(|| none_left(&pod.meta, "127.1.0.0/16"))?);
    }

    let is_open = |service: &&ServiceObject| service.kind == ServiceType::ClusterIp(Vec::new());
    let owners = objects.services.iter().filter(is_open).map(|service| owner(&service.meta)).collect();
    let written = objects.services.iter().flat_map(|service| match &service.kind {
        ServiceType::ClusterIp(addresses) => addresses.as_slice(),
        ServiceType::Headless | ServiceType::ExternalName(_) => &[],
    });
    pools.services.retain(&owners, written.copied());
    for service in &mut objects.services {
        let ServiceType::ClusterIp(addresses) = &mut service.kind else { continue };
        if addresses.is_empty() {
            let address = pools.services.address(&owner(&service.meta));
            addresses.push(address.ok_or_else(|| none_left(&service.meta, "127.96.0.0/16"))?);
        }
    }
    Ok(())
}

fn to_facts(objects: &Objects, mut remarks: Vec<Remark>, version: u64) -> Loaded {
    let mut namespaces: BTreeSet<&str> = ALWAYS.into();
    namespaces.extend(objects.namespaces.iter().map(|meta| &*meta.key.name));
    let metas = objects.services.iter().map(|service| &service.meta);
    let metas = metas.chain(objects.slices.iter().map(|slice| &slice.meta));
    let metas = metas.chain(objects.pods.iter().map(|pod| &pod.meta));
    namespaces.extend(metas.chain(objects.workloads.iter().map(|own| &own.meta)).map(|meta| &*meta.key.namespace));

    let mut slices: Vec<SliceFact> = Vec::new();
    for slice in &objects.slices {
        if !slice.mirrored || is_mirrored(slice, objects, &mut remarks) {
            slices.push(slice_fact(slice, version));
        }
    }
    let own: HashSet<_> = slices.iter().map(|slice| (slice.key.namespace.clone(), slice.service.clone())).collect();
    for service in &objects.services {
        // Slices that are written down stand for what the controller made of pods that may not be here.
        if !own.contains(&(service.meta.key.namespace.clone(), service.meta.key.name.clone())) {
            slices.extend(slices::derive(service, &objects.pods, version));
        }
    }

    let summary = Summary::of(&namespaces, objects, &slices);
    let names = namespaces.into_iter().map(|name| Fact::Namespace(NamespaceFact { name: name.into() }));
    let services = objects.services.iter().map(|service| Fact::Service(service_fact(service, version)));
    let pods = objects.pods.iter().filter(|pod| !pod.finished).map(|pod| {
        let (key, addresses) = (pod.meta.key.clone(), pod.addresses.clone());
        Fact::Pod(PodFact { key, addresses, terminating: pod.meta.deleting })
    });
    let facts = names.chain(services).chain(slices.into_iter().map(Fact::Slice)).chain(pods).collect();
    Loaded { facts, summary, remarks }
}

/// Endpoints are mirrored for Services without a selector only: the others have slices of their pods.
fn is_mirrored(slice: &SliceObject, objects: &Objects, remarks: &mut Vec<Remark>) -> bool {
    if slice.meta.labels.get("endpointslice.kubernetes.io/skip-mirror").is_some_and(|value| value == "true") {
        return false;
    }
    let service = objects.services.iter().find(|service| {
        service.meta.key.name == slice.service && service.meta.key.namespace == slice.meta.key.namespace
    });
    let why = match service {
        None => "there is no Service of this name",
        Some(service) if !service.selector.is_empty() => "its Service selects pods",
        Some(_) => return true,
    };
    remarks.push(Remark::warning(&slice.meta.place, format!("Endpoints {} is left out: {why}", slice.service)));
    false
}

fn service_fact(service: &ServiceObject, version: u64) -> ServiceFact {
    let ports = service.ports.iter().map(|own| own.port.clone()).collect();
    let spec = match &service.kind {
        ServiceType::ClusterIp(addresses) => ServiceSpec::ClusterIp { addresses: addresses.clone(), ports },
        ServiceType::Headless => ServiceSpec::Headless { ports },
        ServiceType::ExternalName(name) => ServiceSpec::ExternalName(name.clone()),
    };
    let hosts = service.external.clone();
    let ports = service.ports.iter().map(|own| own.port.clone()).collect();
    let external = (!hosts.is_empty()).then(|| Box::new(ExternalFact { hosts, ports }));
    ServiceFact { key: service.meta.key.clone(), version, selector: !service.selector.is_empty(), spec, external }
}

fn slice_fact(slice: &SliceObject, version: u64) -> SliceFact {
    SliceFact {
        key: slice.meta.key.clone(),
        version,
        service: slice.service.clone(),
        family: slice.family,
        ports: slice.ports.clone(),
        endpoints: slice.endpoints.clone(),
        aliases: slice.aliases.clone(),
        triggered: None,
    }
}
