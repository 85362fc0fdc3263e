//! A long run: a real control plane whose Services change without end, clients over every transport, faults by schedule, and
//! a model that knows every right answer.
//!
//! Runs where `KUBEBUILDER_ASSETS` names a control plane, for `ROLLCALL_SOAK` minutes; half a minute unless given. At the end
//! stands what was asked and changed, how many answers were wrong, the longest gap, and whether memory grew.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test stops at what it did not expect, and shows figures"
)]

mod churn;
mod clients;
mod faults;
mod memory;
mod model;
mod proxy;
mod site;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rollcall_testing::resolver::Resolver;
use rollcall_testing::{ControlPlane, repository, runtime, tls};

use churn::{Churned, Writer};
use clients::{Asking, Hindered, TRANSPORTS, Transport};
use faults::{FAULTS, Saboteur};
use memory::Memory;
use model::Service;
use site::Site;

/// The number of Services that change.
const SERVICES: u8 = 16;

/// The pause between the faults, in which the truth must come through.
const PAUSE: Duration = Duration::from_secs(6);

/// The longest time without a right answer over one transport, while one process was there.
const GAP: Duration = Duration::from_secs(5);

/// The growth that is taken for a leak, in KiB over the second half of a process's life, beyond noise. A map that has to be
/// twice as large all at once is no leak.
const GROWTH: f64 = 4096.0;

/// The shortest time, in minutes, through which a line says something: a young process is still growing to its size.
const LONG: f64 = 1.0;

#[test]
fn every_answer_was_true() {
    let minutes = std::env::var("ROLLCALL_SOAK").map_or(0.5, |text| {
        text.parse::<f64>().unwrap_or_else(|error| panic!("ROLLCALL_SOAK={text} is no number of minutes: {error}"))
    });
    let Some(plane) = ControlPlane::start() else { return };
    runtime().block_on(soak(&plane, Duration::from_secs_f64(minutes * 60.0)));
}

async fn soak(plane: &ControlPlane, time: Duration) {
    let (kubeconfig, way) = way_to(plane).await;
    // It says nothing to anybody.
    let upstream = Resolver::start(|_| Vec::new()).await;
    let certificate = tls::certificate();
    let site = tokio::task::block_in_place(|| Site::start(&kubeconfig, upstream.address, &certificate));
    let asking = Arc::new(Asking {
        ports: TRANSPORTS.iter().map(|transport| (*transport, site.address(*transport))).collect(),
        certificate,
        services: (0..SERVICES).map(|n| Mutex::new(Service::new(format!("s{n}")))).collect(),
        hindered: Mutex::new(Hindered::Until(Instant::now(), Instant::now())),
        process: AtomicU64::new(1),
        ended: AtomicBool::new(false),
        tally: Mutex::default(),
    });
    let mut tasks = Vec::new();
    for transport in TRANSPORTS {
        let pause = Duration::from_millis(if transport == Transport::Udp { 2 } else { 10 });
        tasks.push(tokio::spawn(asking.clone().run(transport, pause)));
    }
    let writer = Writer::connect(&plane.kubeconfig()).await;
    for block in 0..SERVICES {
        tasks.push(tokio::spawn(churn(asking.clone(), block, writer.clone())));
    }
    let pid = std::fs::read_to_string(plane.dir.path().join("state/kube-apiserver.pid")).unwrap();
    let api_server = pid.trim().parse().unwrap();
    let mut saboteur = Saboteur { site, asking: asking.clone(), way, api_server, processes: 1 };
    let (begun, mut memory, mut made) = (Instant::now(), Vec::new(), 0);
    let mut faults = FAULTS.iter().cycle();
    while begun.elapsed() < time {
        watch_memory(&mut memory, &saboteur, begun, PAUSE).await;
        // A process of its own for the second half: whether memory grows shows in a long life alone.
        let old = begun.elapsed() > time / 2;
        let fault = *faults.find(|fault| !old || !fault.ends_the_process()).unwrap();
        println!("{:4} s: {fault:?}", begun.elapsed().as_secs());
        saboteur.make(fault).await;
        made += 1;
    }
    watch_memory(&mut memory, &saboteur, begun, PAUSE).await;
    asking.ended.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    println!("{:.1} minutes, {made} faults, {} processes", begun.elapsed().as_secs_f64() / 60.0, saboteur.processes);
    report(&asking, &memory);
}

/// A kubeconfig with the rights of the manifests, over a way that can be cut.
async fn way_to(plane: &ControlPlane) -> (PathBuf, tokio::sync::watch::Sender<proxy::Way>) {
    let deploy = repository("deploy/base");
    for file in ["service-account.yaml", "cluster-role.yaml", "cluster-role-binding.yaml"] {
        plane.apply_file(&deploy.join(file));
    }
    let kubeconfig = plane.kubeconfig_with("kube-system", "coredns");
    let text = std::fs::read_to_string(&kubeconfig).unwrap();
    let (_, server) = text.split_once("server: \"https://").unwrap();
    let target: SocketAddr = server.split('"').next().unwrap().parse().unwrap();
    let (address, way) = proxy::start(target).await;
    std::fs::write(&kubeconfig, text.replace(&target.to_string(), &address.to_string())).unwrap();
    (kubeconfig, way)
}

async fn churn(asking: Arc<Asking>, block: u8, writer: Writer) {
    let mut service = Churned::new(&asking.services[usize::from(block)], block);
    while !asking.ended.load(Ordering::Relaxed) {
        service.change(&writer).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
}

/// Looks at the memory of the process now and then; one that was started anew begins anew.
async fn watch_memory(memory: &mut Vec<(u32, Memory)>, saboteur: &Saboteur, begun: Instant, time: Duration) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let process = saboteur.site.process();
        if memory.last().is_none_or(|(last, _)| *last != process) {
            memory.push((process, Memory::default()));
        }
        memory.last_mut().unwrap().1.look(process, begun);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

fn report(asking: &Asking, memory: &[(u32, Memory)]) {
    let services: Vec<_> = asking.services.iter().map(|service| service.lock().unwrap()).collect();
    let changes: usize = services.iter().map(|service| service.changes()).sum();
    let mut lags: Vec<Duration> = services.iter().flat_map(|service| service.lags()).collect();
    lags.sort_unstable();
    let lag = |part: f64| lags.get((lags.len() as f64 * part) as usize).copied().unwrap_or_default();
    println!("{changes} changes; seen after {:?} (half), {:?} (99 %), faults included", lag(0.5), lag(0.99));
    let tally = std::mem::take(&mut *asking.tally.lock().unwrap());
    println!("over     right      wrong  lost   failed  at a restart  longest gap");
    for (transport, own) in &tally {
        let (right, wrong, lost, failed, restarted) = (own.right, own.wrong.len(), own.lost, own.failed, own.restarted);
        println!("{transport:<8?} {right:<10} {wrong:<6} {lost:<6} {failed:<7} {restarted:<13} {:?}", own.gap);
    }
    let most = memory.iter().map(|(_, memory)| memory.most()).fold(0.0, f64::max);
    println!("memory: {most} KiB at most");
    let slopes: Vec<_> = memory.iter().filter_map(|(_, memory)| memory.slope()).collect();
    slopes
        .iter()
        .for_each(|own| println!("memory grew by {:.0} KiB a minute, give or take {:.0}", own.slope, own.noise));
    judge(&tally, &slopes);
}

fn judge(tally: &BTreeMap<Transport, clients::Tally>, slopes: &[memory::Slope]) {
    let wrong: Vec<&String> = tally.values().flat_map(|own| &own.wrong).collect();
    assert!(wrong.is_empty(), "{} wrong answers, the first: {:#?}", wrong.len(), &wrong[..wrong.len().min(5)]);
    for transport in TRANSPORTS {
        let own = &tally[&transport];
        assert!(own.right > 0, "{transport:?}: nothing was answered");
        assert!(own.gap < GAP, "{transport:?}: nothing was right for {:?}", own.gap);
    }
    let grew = slopes.iter().find(|own| own.minutes > LONG && (own.slope - own.noise) * own.minutes > GROWTH);
    assert!(grew.is_none(), "memory grows: {grew:?}");
}
