//! Changes Services and their slices on the API server, and tells the model of each change before it is sent.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use http::Method;
use kube::config::{KubeConfigOptions, Kubeconfig};
use rand::RngExt;
use rollcall_testing::objects;
use serde_json::{Value, json};

use super::model::{Pods, Service, Truth};

/// The most pods of a Service: with their SRV records they still fit into one datagram of 4,096 octets.
const PODS: usize = 12;

/// A Service as the API server has it: its pods by slice.
pub(crate) struct Churned<'m> {
    model: &'m Mutex<Service>,
    name: String,
    exists: bool,
    slices: BTreeMap<String, Pods>,
    /// The number of the next address; no address is given twice.
    next: u32,
    named: u32,
}

/// Writes to the API server.
#[derive(Clone)]
pub(crate) struct Writer(kube::Client);

impl Writer {
    /// The administrator of a cluster.
    pub(crate) async fn connect(kubeconfig: &Path) -> Self {
        let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
        Self(kube::Client::try_from(config).unwrap())
    }

    /// Sends one object until the API server has it.
    async fn send(&self, method: Method, path: &str, object: Option<&Value>) {
        let mut said = String::new();
        for _ in 0..60 {
            let body = object.map(|object| object.to_string().into_bytes()).unwrap_or_default();
            let request = http::Request::builder().method(method.clone()).uri(path);
            let request = request.header(http::header::CONTENT_TYPE, "application/json").body(body).unwrap();
            match self.0.request::<Value>(request).await {
                Ok(_) => return,
                // An earlier try, of which nothing was heard, has done it.
                Err(kube::Error::Api(status)) if matches!((&method, status.code), (&Method::DELETE, 404)) => return,
                Err(kube::Error::Api(status)) if method == Method::POST && status.reason == "AlreadyExists" => return,
                Err(error) => said = error.to_string(),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{method} {path}: {said}");
    }
}

const SERVICES: &str = "/api/v1/namespaces/default/services";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

impl<'m> Churned<'m> {
    /// A Service that is not there yet; `block` keeps its addresses apart from those of others.
    pub(crate) fn new(model: &'m Mutex<Service>, block: u8) -> Self {
        let name = model.lock().unwrap().name.clone();
        let next = u32::from(Ipv4Addr::new(10, 100 + block, 0, 1));
        Self { model, name, exists: false, slices: BTreeMap::new(), next, named: 0 }
    }

    /// Does one change of a random sort.
    pub(crate) async fn change(&mut self, writer: &Writer) {
        let pods: usize = self.slices.values().map(BTreeMap::len).sum();
        let sort = rand::rng().random_range(0..100);
        match sort {
            _ if !self.exists => self.set_exists(writer, true).await,
            0..2 => self.set_exists(writer, false).await,
            2..32 if pods < PODS => self.add(writer).await,
            32..50 => self.remove(writer).await,
            50..82 => self.replace(writer).await,
            82..92 => self.move_over(writer).await,
            _ => self.pack_again(writer).await,
        }
    }

    fn pods(&self) -> Pods {
        self.slices.values().flatten().map(|(pod, address)| (pod.clone(), *address)).collect()
    }

    fn begin(&self) {
        self.model.lock().unwrap().begin(Truth { exists: self.exists, pods: self.pods() });
    }

    fn stored(&self) {
        self.model.lock().unwrap().stored(Instant::now());
    }

    async fn set_exists(&mut self, writer: &Writer, exists: bool) {
        self.exists = exists;
        self.begin();
        let service = objects::headless(&self.name);
        match exists {
            true => writer.send(Method::POST, SERVICES, Some(&service)).await,
            false => writer.send(Method::DELETE, &format!("{SERVICES}/{}", self.name), None).await,
        }
        self.stored();
    }

    /// Writes a slice as it is now, or deletes it.
    async fn write(&self, writer: &Writer, suffix: &str, is_new: bool) {
        let pods = self.slices.get(suffix);
        let name = format!("{}-{suffix}", self.name);
        let Some(pods) = pods.filter(|pods| !pods.is_empty()) else {
            return writer.send(Method::DELETE, &format!("{SLICES}/{name}"), None).await;
        };
        let endpoints = pods.iter().map(|(pod, address)| objects::endpoint(pod, &address.to_string())).collect();
        let mut slice = objects::slice(&self.name, suffix, objects::ports("http", "TCP", 80), endpoints);
        slice["apiVersion"] = json!("discovery.k8s.io/v1");
        slice["kind"] = json!("EndpointSlice");
        match is_new {
            true => writer.send(Method::POST, SLICES, Some(&slice)).await,
            false => writer.send(Method::PUT, &format!("{SLICES}/{name}"), Some(&slice)).await,
        }
    }

    fn address(&mut self) -> Ipv4Addr {
        self.next += 1;
        Ipv4Addr::from(self.next)
    }

    /// A slice with room, and whether it is new.
    fn room(&mut self) -> (String, bool) {
        let found = self.slices.iter().find(|(_, pods)| pods.len() < 5 && rand::rng().random_bool(0.7));
        match found {
            Some((suffix, _)) => (suffix.clone(), false),
            None => (self.new_slice(), true),
        }
    }

    fn new_slice(&mut self) -> String {
        self.named += 1;
        format!("{:05}", self.named)
    }

    /// A pod at random: its slice and its name.
    fn some(&self) -> Option<(String, String)> {
        let all: Vec<_> =
            self.slices.iter().flat_map(|(suffix, pods)| pods.keys().map(move |pod| (suffix, pod))).collect();
        let (suffix, pod) = all.get(rand::rng().random_range(0..all.len().max(1)))?;
        Some(((*suffix).clone(), (*pod).clone()))
    }

    async fn add(&mut self, writer: &Writer) {
        let taken = self.pods();
        let pod = (0..).map(|n| format!("p{n}")).find(|pod| !taken.contains_key(pod)).unwrap();
        let (address, (suffix, is_new)) = (self.address(), self.room());
        self.slices.entry(suffix.clone()).or_default().insert(pod, address);
        self.begin();
        self.write(writer, &suffix, is_new).await;
        self.stored();
    }

    async fn remove(&mut self, writer: &Writer) {
        let Some((suffix, pod)) = self.some() else { return };
        if let Some(pods) = self.slices.get_mut(&suffix) {
            pods.remove(&pod);
        }
        self.begin();
        self.write(writer, &suffix, false).await;
        self.slices.retain(|_, pods| !pods.is_empty());
        self.stored();
    }

    /// The pod comes back under another address, as after an eviction.
    async fn replace(&mut self, writer: &Writer) {
        let Some((suffix, pod)) = self.some() else { return };
        let address = self.address();
        self.slices.entry(suffix.clone()).or_default().insert(pod, address);
        self.begin();
        self.write(writer, &suffix, false).await;
        self.stored();
    }

    /// The pod goes from its slice to another one, which changes no answer.
    async fn move_over(&mut self, writer: &Writer) {
        let Some((from, pod)) = self.some() else { return };
        let to = self.new_slice();
        let address = self.slices[&from][&pod];
        self.slices.entry(to.clone()).or_default().insert(pod.clone(), address);
        self.write(writer, &to, true).await;
        if let Some(pods) = self.slices.get_mut(&from) {
            pods.remove(&pod);
        }
        self.write(writer, &from, false).await;
        self.slices.retain(|_, pods| !pods.is_empty());
    }

    /// All pods go to new slices, the old ones are deleted one after another.
    async fn pack_again(&mut self, writer: &Writer) {
        let old: Vec<String> = self.slices.keys().cloned().collect();
        let pods: Vec<(String, Ipv4Addr)> = self.pods().into_iter().collect();
        for some in pods.chunks(4) {
            let suffix = self.new_slice();
            self.slices.insert(suffix.clone(), some.iter().cloned().collect());
            self.write(writer, &suffix, true).await;
        }
        for suffix in old {
            self.slices.remove(&suffix);
            self.write(writer, &suffix, false).await;
        }
    }
}
