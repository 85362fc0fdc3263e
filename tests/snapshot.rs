//! A restart with a snapshot, as an operator meets it: the program, its files, and an API server that is away.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use rollcall_testing::api_server::{ApiServer, Fault, Stopped, Verb};
use rollcall_testing::http::{fetch, is_ready};
use rollcall_testing::objects::{cluster_ip, endpoint, headless, namespace, ports, slice};
use rollcall_testing::{Server, ask, command, folder, free_port, runtime, wait_for};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A place where the program is started again and again, and its API server.
struct Place {
    runtime: Runtime,
    site: tempfile::TempDir,
    port: u16,
    page: u16,
    api: Option<ApiServer>,
    away: Option<Stopped>,
}

impl Place {
    fn new() -> Self {
        Self::with("")
    }

    /// With more options of the directive.
    fn with(options: &str) -> Self {
        let runtime = runtime();
        let api = runtime.block_on(ApiServer::start());
        api.apply("namespaces", namespace("default"));
        api.apply("services", headless("kubia"));
        api.apply("endpointslices", peers("a", &[0, 1]));
        api.apply("services", cluster_ip("web", "10.96.0.7", ports("http", "TCP", 80)));
        let (port, page) = (free_port(), free_port());
        let site = folder("");
        fs::create_dir(site.path().join("kept")).unwrap();
        let place = Self { runtime, site, port, page, api: Some(api), away: None };
        place.corefile(options);
        place
    }

    fn corefile(&self, options: &str) {
        let Self { port, page, .. } = self;
        let url = self.api.as_ref().map_or_else(|| self.away.as_ref().unwrap().url(), ApiServer::url);
        let text = format!(
            "cluster.local:{port} in-addr.arpa:{port} {{\nbind 127.0.0.1\nready 127.0.0.1:{page}\n\
             prometheus 127.0.0.1:{page}\nkubernetes cluster.local in-addr.arpa {{\nendpoint {url}\n{options}\n}}\n}}\n"
        );
        fs::write(self.site.path().join("Corefile"), text).unwrap();
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = command();
        command.args(["-conf", "Corefile", "-rollcall.snapshot", "kept"]).args(more).current_dir(self.site.path());
        command.env("ROLLCALL_EXPLAIN", format!("127.0.0.1:{}", self.page));
        command
    }

    fn start(&self) -> Server {
        self.start_with(&[])
    }

    /// Starts the program, and waits until its port is there.
    fn start_with(&self, more: &[&str]) -> Server {
        let mut server = Server::of(self.command(more), "");
        server.up(|| ask(self.port, "cluster.local.", RecordType::SOA).is_some());
        server
    }

    fn api(&self) -> &ApiServer {
        self.api.as_ref().unwrap()
    }

    fn api_goes(&mut self) {
        self.away = self.api.take().map(ApiServer::stop);
    }

    fn api_comes(&mut self) {
        self.api = self.away.take().map(|away| self.runtime.block_on(away.again()));
    }

    fn is_ready(&self) -> bool {
        is_ready(SocketAddr::from(([127, 0, 0, 1], self.page)))
    }

    fn page(&self, path: &str) -> String {
        fetch(SocketAddr::from(([127, 0, 0, 1], self.page)), path).unwrap().body
    }

    fn metric(&self, start: &str) -> Option<f64> {
        let text = self.page("/metrics");
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(start));
        lines.next().map(|rest| rest.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// The code and the addresses of a name below `default.svc.cluster.local`, sorted.
    fn look_up(&self, name: &str) -> (ResponseCode, Vec<String>) {
        let answer = ask(self.port, &format!("{name}.default.svc.cluster.local."), RecordType::A).unwrap();
        let mut addresses: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
        addresses.sort();
        (answer.metadata.response_code, addresses)
    }

    fn addresses(&self, name: &str) -> Vec<String> {
        self.look_up(name).1
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.site.path().join("kept")).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Runs the program until it has kept what it knows, and ends it.
    fn kept(&self) -> PathBuf {
        let mut server = self.start();
        server.up(|| self.files().iter().any(|file| file.extension().is_some_and(|end| end == "snapshot")));
        server.signal("INT");
        assert!(server.ended().success(), "{}", server.said());
        let files = self.files();
        assert_eq!(files.len(), 1, "{files:?}");
        files[0].clone()
    }
}

/// A slice of `kubia` with these of its pods.
fn peers(suffix: &str, pods: &[u8]) -> Value {
    let endpoints = pods.iter().map(|i| endpoint(&format!("kubia-{i}"), &format!("10.0.0.{i}"))).collect();
    slice("kubia", suffix, ports("http", "TCP", 80), endpoints)
}

fn both() -> (ResponseCode, Vec<String>) {
    (ResponseCode::NoError, vec!["10.0.0.0".into(), "10.0.0.1".into()])
}

const UNKNOWN: (ResponseCode, Vec<String>) = (ResponseCode::ServFail, Vec::new());

#[test]
fn a_restarted_server_answers_while_the_api_server_is_away_and_takes_its_truth_up_as_a_difference() {
    let mut place = Place::new();
    place.kept();
    place.api_goes();
    let server = place.start();
    wait_for(|| place.look_up("kubia") == both(), || server.said());
    assert_eq!(place.addresses("web"), ["10.96.0.7"]);
    assert_eq!(place.addresses("kubia-1.kubia"), ["10.0.0.1"]);
    let pointer = ask(place.port, "1.0.0.10.in-addr.arpa.", RecordType::PTR).unwrap();
    assert_eq!(pointer.answers[0].data.to_string(), "kubia-1.kubia.default.svc.cluster.local.");
    // Nobody knows whether these exist.
    for name in ["other", "kubia-2.kubia", "x.web"] {
        assert_eq!(place.look_up(name), UNKNOWN, "{name}");
    }
    let pointer = ask(place.port, "9.0.0.10.in-addr.arpa.", RecordType::PTR).unwrap();
    assert_eq!(pointer.metadata.response_code, ResponseCode::ServFail);
    // It says so everywhere.
    assert!(!place.is_ready() && server.said().contains("names are answered from the snapshot"), "{}", server.said());
    let told = place.page("/explain?name=kubia-1.kubia.default.svc.cluster.local");
    assert!(
        told.contains("answered from a snapshot: true up to ") && told.contains("; lists kubia-1, ready"),
        "{told}"
    );
    assert!(place.metric("rollcall_snapshot_in_use_timestamp_seconds").unwrap() > 1e9);

    // While it is away, a Service goes, one comes, one changes.
    place.away = place.away.take().map(|away| {
        away.changed(|api| {
            api.delete("services", "default", "web");
            api.apply("services", headless("other"));
            api.apply("endpointslices", slice("other", "a", ports("http", "TCP", 80), vec![endpoint("o", "10.0.1.1")]));
            api.apply("endpointslices", peers("a", &[0, 1, 2]));
        })
    });
    place.api_comes();
    // All the time those answer that are there before and after.
    let others = ["10.0.0.0", "10.0.0.1"];
    wait_for(
        || {
            let addresses = place.addresses("kubia");
            assert!(others.iter().all(|own| addresses.iter().any(|other| other == own)), "{addresses:?}");
            place.is_ready()
        },
        || server.said(),
    );
    assert_eq!((place.addresses("kubia").len(), place.addresses("other").len()), (3, 1));
    assert_eq!(place.look_up("web"), (ResponseCode::NXDomain, vec![]), "what is stale goes");
    wait_for(|| place.metric("rollcall_snapshot_in_use_timestamp_seconds") == Some(0.0), || place.page("/metrics"));
    assert!(!place.page("/explain?name=kubia.default.svc.cluster.local").contains("snapshot"));
    // And is kept in its turn.
    wait_for(|| place.metric("rollcall_snapshot_written_timestamp_seconds").is_some(), || place.page("/metrics"));
    assert!(place.metric("rollcall_snapshot_octets").unwrap() > 100.0);
    drop(server);
    place.api_goes();
    let again = place.start();
    wait_for(|| place.addresses("kubia").len() == 3, || again.said());
}

#[test]
fn a_list_that_hangs_or_breaks_off_takes_nothing_away() {
    let mut place = Place::new();
    place.kept();
    place.api_goes();
    place.away = place.away.take().map(|away| {
        away.changed(|api| {
            api.apply("endpointslices", peers("b", &[2, 3]));
            api.fault(Verb::List, "endpointslices", Fault::CutBody(40), 3);
            api.fault(Verb::List, "services", Fault::StallBody(10), 1);
        })
    });
    place.api_comes();
    let server = place.start();
    wait_for(|| place.look_up("kubia").0 == ResponseCode::NoError, || server.said());
    wait_for(
        || {
            let (code, addresses) = place.look_up("kubia");
            assert!(code == ResponseCode::NoError && [2, 4].contains(&addresses.len()), "{code} {addresses:?}");
            addresses.len() == 4
        },
        || server.said(),
    );
}

#[test]
fn what_cannot_be_used_is_said_in_one_line_and_the_server_starts_as_without() {
    let mut place = Place::new();
    let file = place.kept();
    let good = fs::read(&file).unwrap();
    place.api_goes();
    let damaged = || {
        let mut other = good.clone();
        let middle = other.len() / 2;
        other[middle] ^= 1;
        other
    };
    let newer = || {
        let mut other = good.clone();
        other[18] += 1;
        other
    };
    let cases: [(&str, &str, Vec<u8>, &[&str]); 5] = [
        ("damaged", "its checksum is another", damaged(), &[]),
        ("damaged", "it is cut off", good[..25].to_vec(), &[]),
        ("damaged", "it does not begin as a snapshot does", Vec::new(), &[]),
        ("format", "it has format 2", newer(), &[]),
        (
            "old",
            "s ago, more than -rollcall.snapshot-max-age allows",
            good.clone(),
            &["-rollcall.snapshot-max-age", "1s"],
        ),
    ];
    for (word, why, octets, more) in cases {
        fs::write(&file, octets).unwrap();
        if word == "old" {
            let true_at = std::time::SystemTime::now();
            wait_for(|| true_at.elapsed().unwrap().as_secs() >= 3, || "three seconds".into());
        }
        let server = place.start_with(more);
        server.until("is not used");
        let said = server.said();
        assert_eq!(said.lines().filter(|line| line.contains("snapshot")).count(), 1, "{said}");
        assert!(
            said.contains(why) && said.contains("names are answered once the API server has listed them"),
            "{said}"
        );
        assert_eq!(place.look_up("kubia"), UNKNOWN, "{word}");
        assert_eq!(place.metric(&format!("rollcall_snapshot_refused_total{{reason=\"{word}\"}}")), Some(1.0));
    }
    // The lists put a good one in its place.
    place.api_comes();
    let server = place.start();
    wait_for(|| fs::read(&file).is_ok_and(|octets| octets[..20] == good[..20]) && place.is_ready(), || server.said());
    drop(server);
    place.api_goes();
    let server = place.start();
    wait_for(|| place.look_up("kubia") == both(), || server.said());
}

#[test]
fn other_options_and_another_cluster_have_another_truth() {
    let mut place = Place::new();
    let own = place.kept();
    // Pods are asked for as well: that is another file.
    place.corefile("pods verified");
    place.api_goes();
    let server = place.start();
    server.until("there is no snapshot");
    assert_eq!(place.look_up("kubia"), UNKNOWN);
    // Should one be laid there that is of other options, it is refused.
    let said = server.said();
    let name = said.split("there is no snapshot ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    drop(server);
    fs::copy(&own, place.site.path().join(name)).unwrap();
    let server = place.start();
    server.until("something else was asked of the cluster: Service, Namespace, EndpointSlice;");
    assert_eq!(place.look_up("kubia"), UNKNOWN);
    drop(server);

    // A kubeconfig by the same name leads to another cluster.
    place.api_comes();
    let kubeconfig = |url: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: '{url}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        );
        fs::write(place.site.path().join("kubeconfig"), text).unwrap();
    };
    kubeconfig(&place.api().url());
    let text = fs::read_to_string(place.site.path().join("Corefile")).unwrap();
    let text =
        text.replace(&format!("endpoint {}", place.api().url()), "kubeconfig kubeconfig").replace("pods verified", "");
    fs::write(place.site.path().join("Corefile"), text).unwrap();
    place.files().iter().for_each(|file| fs::remove_file(file).unwrap());
    place.kept();
    let other = place.runtime.block_on(ApiServer::start()).stop();
    kubeconfig(&other.url());
    let server = place.start();
    server.until("it is of another cluster, http://127.0.0.1");
    assert_eq!(place.look_up("kubia"), UNKNOWN);
}

#[test]
fn a_kill_in_the_midst_of_writing_leaves_the_old_file_or_the_new_one() {
    let mut place = Place::new();
    let file = place.kept();
    // A large cluster is longer in writing.
    for at in 0..400 {
        let name = format!("many-{at}");
        place.api().apply("services", headless(&name));
        let endpoints = (0..50).map(|i| endpoint(&format!("pod-{i}"), &format!("10.1.{}.{i}", at % 250))).collect();
        place.api().apply("endpointslices", slice(&name, "a", ports("http", "TCP", 80), endpoints));
    }
    let mut killed = 0;
    for round in 0..12 {
        let mut server = place.start();
        server.up(|| place.is_ready());
        // As soon as anything is to be seen of the next, or a moment later.
        let before = fs::metadata(&file).unwrap().modified().unwrap();
        wait_for(
            || place.files().len() > 1 || fs::metadata(&file).unwrap().modified().unwrap() != before,
            || server.said(),
        );
        killed += usize::from(place.files().len() > 1);
        std::thread::sleep(std::time::Duration::from_millis(round));
        server.child.kill().unwrap();
        server.child.wait().unwrap();
        let unfinished = place.files().into_iter().filter(|other| *other != file);
        unfinished.for_each(|other| fs::remove_file(other).unwrap());
        let port = place.port;
        place.api_goes();
        let server = place.start();
        wait_for(|| ask(port, "kubia.default.svc.cluster.local.", RecordType::A).is_some(), || server.said());
        wait_for(|| place.look_up("kubia") == both(), || server.said());
        assert!(!server.said().contains("is not used"), "{}", server.said());
        drop(server);
        place.api_comes();
    }
    println!("killed while it wrote: {killed} of 12");
}

#[test]
fn a_folder_that_cannot_be_used_is_a_warning_and_no_more() {
    let place = Place::new();
    fs::remove_dir(place.site.path().join("kept")).unwrap();
    let mut server = place.start();
    server.up(|| place.is_ready());
    assert_eq!(place.look_up("kubia"), both());
    server.until("cannot be written: No such file or directory");
    wait_for(
        || place.metric("rollcall_snapshot_write_failures_total").is_some_and(|count| count > 0.0),
        || place.page("/metrics"),
    );
    let said = server.said();
    assert_eq!(said.matches("is not used").count(), 1, "{said}");
    // It is tried again, without another word, and told once it works.
    fs::create_dir(place.site.path().join("kept")).unwrap();
    server.until("is written again");
    assert_eq!(server.said().matches("cannot be written").count(), 1, "{}", server.said());
    assert_eq!(place.files().len(), 1);
}

#[test]
fn a_clean_stop_keeps_the_last_change() {
    let mut place = Place::new();
    let mut server = place.start();
    server.up(|| !place.files().is_empty());
    place.api().apply("endpointslices", peers("a", &[0, 1, 2]));
    wait_for(|| place.addresses("kubia").len() == 3, || server.said());
    server.signal("TERM");
    assert!(server.ended().success());
    place.api_goes();
    let server = place.start();
    wait_for(|| place.addresses("kubia").len() == 3, || server.said());
}
