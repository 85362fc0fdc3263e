//! The built binary as an operator meets it: flags, exit status, signals, answers.
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType, rdata};
use rollcall_testing::{PATIENCE, Server, answer, ask, command, folder, free_port, get, run, signal, wait_for};

#[test]
fn help_version_and_directives_are_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (status, out, _) = run(&["--help"], folder.path());
    assert_eq!(status, Some(0));
    assert!(out.contains("rollcall local") && out.contains("-conf FILE"), "{out}");
    let (status, out, _) = run(&["-version"], folder.path());
    assert_eq!(status, Some(0));
    assert!(out.starts_with("rollcall-") && out.contains("CoreDNS-"), "{out}");
    let (status, out, _) = run(&["-plugins"], folder.path());
    assert_eq!(status, Some(0));
    assert!(out.contains("\n  dns.kubernetes\n"), "{out}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let (status, _, said) = run(&["-cnf", "x"], folder.path());
    assert_eq!(status, Some(2));
    assert!(said.contains("unknown flag `-cnf`"), "{said}");
    let (status, _, said) = run(&[], folder.path());
    assert_eq!(status, Some(2));
    assert!(said.contains("-conf FILE") && said.contains("rollcall local"), "{said}");
}

#[test]
fn extra_words_and_a_pidfile_that_cannot_be_written_end_the_start() {
    let folder = folder(". {\n bind 127.0.0.1\n whoami\n}\n");
    let (status, _, said) = run(&["-conf", "Corefile", "more"], folder.path());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("more"), "{said}");
    let port = free_port().to_string();
    let (status, _, said) = run(&["-dns.port", &port, "-pidfile", "no/such/folder/pid"], folder.path());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("no/such/folder/pid"), "{said}");
    let (status, _, said) = run(&["-dns.port", "none"], folder.path());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("-dns.port") && said.contains("none"), "{said}");
}

#[test]
fn a_wrong_corefile_ends_with_2_and_its_place() {
    let folder = folder(". {\n    errors\n    kuberneets cluster.local\n}\n");
    for arguments in [&[][..], &["-conf", "Corefile"], &["check", "Corefile"]] {
        let (status, _, said) = run(arguments, folder.path());
        assert_eq!(status, Some(2), "{said}");
        assert!(said.contains("Corefile:3:5: unknown directive `kuberneets`"), "{said}");
    }
    let (status, _, said) = run(&["-conf", "nothere"], folder.path());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("rollcall: nothere: cannot read the Corefile"), "{said}");
}

#[test]
fn check_says_what_a_corefile_means() {
    let folder = folder("cluster.local:5300 {\n    bind 127.0.0.1\n    errors\n    kubernetes\n}\n");
    let (status, out, said) = run(&["check", "Corefile"], folder.path());
    assert_eq!(status, Some(0), "{said}");
    for part in [
        "Corefile:1:1: server block cluster.local.",
        "dns://127.0.0.1:5300",
        "errors > kubernetes",
        "fast path",
        "note: Corefile:4:5: kubernetes needs a pod's credentials; not tried here",
    ] {
        assert!(out.contains(part), "{part} in {out}");
    }
}

#[test]
fn the_server_answers_and_leaves_in_order() {
    let (port, health, ready, metrics) = (free_port(), free_port(), free_port(), free_port());
    let folder = folder(&format!(
        ".:{port} {{
    bind 127.0.0.1
    whoami
    health 127.0.0.1:{health} {{
        lameduck 2s
    }}
    ready 127.0.0.1:{ready}
    prometheus 127.0.0.1:{metrics}
}}
"
    ));
    let mut server = Server::start(&["-pidfile", "pid"], folder.path());
    server.until("CoreDNS-");
    assert!(server.said().contains(&format!(".:{port} on 127.0.0.1\n")), "{}", server.said());
    assert_eq!(fs::read_to_string(folder.path().join("pid")).unwrap().trim(), server.child.id().to_string());
    assert_eq!(answer(port, "a.example.", RecordType::A).additionals.len(), 2);
    assert_eq!(get(health, "/health"), Some((200, "OK".to_owned())));
    assert_eq!(get(ready, "/ready"), Some((200, "OK".to_owned())));
    let (_, text) = get(metrics, "/metrics").unwrap();
    let server_label = format!("server=\"dns://127.0.0.1:{port}\"");
    for part in [
        "coredns_build_info{",
        "coredns_panics_total 0",
        "process_resident_memory_bytes ",
        "go_goroutines ",
        "coredns_reload_version_info{",
        &server_label,
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }

    server.signal("TERM");
    wait_for(|| get(ready, "/ready") == Some((503, "Shutting down".to_owned())), || "/ready to fail".to_owned());
    assert!(ask(port, "a.example.", RecordType::A).is_some(), "answers go on during lameduck");
    assert_eq!(get(health, "/health"), Some((200, "OK".to_owned())));
    assert_eq!(server.ended().code(), Some(0), "{}", server.said());
    assert!(!folder.path().join("pid").exists());
}

/// Makes a pipe with a name, to which nobody writes.
fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_pipe_in_place_of_a_file_is_refused_and_waited_for_by_nobody() {
    let folder = folder(". {\n    import pipe\n    whoami\n}\n");
    pipe(&folder.path().join("pipe"));
    for (arguments, place) in [
        (&["-conf", "pipe"][..], "rollcall: pipe: cannot read the Corefile"),
        (&["check", "pipe"], "rollcall: pipe: cannot read the Corefile"),
        (&["-conf", "Corefile"], "Corefile:2:12: "),
        (&["local", "pipe"], "pipe: is neither a file nor a folder"),
    ] {
        let mut server = Server::start(arguments, folder.path());
        assert_eq!(server.ended().code(), Some(2), "{arguments:?}: {}", server.said());
        wait_for(|| server.said().contains(place), || format!("{place}: {}", server.said()));
    }
    // The files of directives.
    for (line, place) in [
        ("hosts pipe", "Corefile:2:11: the hosts file pipe cannot be read: it is a named pipe"),
        ("file pipe a.example", "Corefile:2:10: the zone file pipe cannot be read: it is a named pipe"),
        ("forward . ./pipe", "Corefile:2:15: the list of upstreams ./pipe cannot be read: it is a named pipe"),
        ("tls pipe pipe", "Corefile:2:9: the certificate pipe cannot be read: it is a named pipe"),
        ("autopath pipe", "Corefile:2:14: the file pipe cannot be read: it is a named pipe"),
        ("loadbalance weighted pipe", "Corefile:2:26: the file pipe cannot be read: it is a named pipe"),
        (
            "kubernetes a.example {\n kubeconfig pipe\n }",
            "Corefile:3:13: the kubeconfig pipe cannot be read: it is a named pipe",
        ),
        (
            "forward . tls://127.0.0.1 {\n tls pipe\n }",
            "Corefile:3:6: the file pipe cannot be read: it is a named pipe",
        ),
        ("import /dev/zero", "Corefile:2:12: cannot import `/dev/zero`: it is a device"),
    ] {
        fs::write(folder.path().join("Corefile"), format!(".:53 {{\n    {line}\n}}\n")).unwrap();
        let (status, _, said) = run(&["check", "Corefile"], folder.path());
        assert_eq!(status, Some(2), "{line}: {said}");
        assert!(said.contains(place), "{line}: {said}");
    }
    // One that lies among manifests is none of them.
    fs::create_dir(folder.path().join("manifests")).unwrap();
    pipe(&folder.path().join("manifests/pipe.yaml"));
    let mut server = Server::start(&["local", "manifests"], folder.path());
    assert_eq!(server.ended().code(), Some(2));
    server.until("the folder holds no *.yaml");
}

#[test]
fn a_pidfile_is_written_through_no_link_and_into_no_pipe() {
    let folder = folder(&format!(".:{} {{\n    bind 127.0.0.1\n    whoami\n}}\n", free_port()));
    let at = |name: &str| folder.path().join(name);
    fs::write(at("precious"), "kept").unwrap();
    std::os::unix::fs::symlink("precious", at("link")).unwrap();
    pipe(&at("pipe"));
    for (name, said) in
        [("link", "it is a symbolic link: name the file itself"), ("pipe", "cannot write the pidfile pipe")]
    {
        let mut server = Server::start(&["-conf", "Corefile", "-pidfile", name], folder.path());
        assert_eq!(server.ended().code(), Some(1), "{name}: {}", server.said());
        server.until(said);
    }
    assert_eq!(fs::read_to_string(at("precious")).unwrap(), "kept");
}

#[test]
fn an_order_to_stop_ends_a_start_that_waits_for_its_files() {
    let folder = folder(". {\n    import /dev/stdin\n}\n");
    for (name, conf) in [("TERM", "stdin"), ("INT", "stdin"), ("TERM", "Corefile"), ("INT", "Corefile")] {
        // Standard input stays open, and says nothing.
        let mut waiting = command();
        waiting.args(["-conf", conf]).current_dir(folder.path()).stdin(Stdio::piped());
        let mut waiting = waiting.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let _open = waiting.stdin.take().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        assert!(waiting.try_wait().unwrap().is_none(), "{conf}: it waits");
        signal(waiting.id(), name);
        let begun = Instant::now();
        while waiting.try_wait().unwrap().is_none() {
            if begun.elapsed() > PATIENCE {
                waiting.kill().unwrap();
                panic!("{name} did not end it: {conf}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn interrupt_does_not_wait_and_a_second_signal_ends_at_once() {
    let port = free_port();
    let health = free_port();
    let text =
        format!(".:{port} {{\n bind 127.0.0.1\n whoami\n health 127.0.0.1:{health} {{\n  lameduck 300s\n }}\n}}\n");
    let mut server = Server::with_stdin(&["-conf", "stdin", "-quiet"], Path::new("."), &text);
    answer(port, "a.example.", RecordType::A);
    assert!(!server.said().contains("CoreDNS-"), "{}", server.said());
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));

    let mut server = Server::with_stdin(&["-conf", "stdin"], Path::new("."), &text);
    answer(port, "a.example.", RecordType::A);
    server.signal("TERM");
    server.until("Shutting down");
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(1));
}

#[test]
fn quit_ends_at_once_and_hang_up_means_nothing() {
    let port = free_port();
    let health = free_port();
    let text =
        format!(".:{port} {{\n bind 127.0.0.1\n whoami\n health 127.0.0.1:{health} {{\n  lameduck 300s\n }}\n}}\n");
    let mut server = Server::with_stdin(&["-conf", "stdin"], Path::new("."), &text);
    answer(port, "a.example.", RecordType::A);
    server.signal("HUP");
    server.signal("USR2");
    server.until("SIGUSR2 is not supported");
    assert!(ask(port, "a.example.", RecordType::A).is_some());
    server.signal("QUIT");
    assert_eq!(server.ended().code(), Some(0), "{}", server.said());
}

#[test]
fn a_log_that_nobody_reads_stops_no_answer() {
    let (port, metrics) = (free_port(), free_port());
    let folder = folder(&format!(".:{port} {{\n bind 127.0.0.1\n log\n whoami\n prometheus 127.0.0.1:{metrics}\n}}\n"));
    // The pipe is never read: it holds 64 KiB, and what waits behind it is bounded in octets.
    let mut child = command().current_dir(folder.path()).stdout(Stdio::piped()).spawn().unwrap();
    answer(port, "a.example.", RecordType::A);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let label = [&[63][..], &[b'x'; 63]].concat();
    let name = [label.repeat(3), b"\0\0\x01\0\x01".to_vec()].concat();
    let query = [b"\0\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec(), name].concat();
    for _ in 0..12_000 {
        client.send(&query).unwrap();
        client.recv(&mut [0; 512]).expect("an answer");
    }
    let (_, text) = get(metrics, "/metrics").unwrap();
    let dropped = text.lines().find_map(|line| line.strip_prefix("rollcall_log_lines_dropped_total "));
    assert!(dropped.unwrap().parse::<f64>().unwrap() > 1000.0, "{dropped:?}");
    // The end does not wait for a reader either.
    signal(child.id(), "TERM");
    let mut ended = None;
    wait_for(
        || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        },
        || "the end of the process".to_owned(),
    );
    assert_eq!(ended.unwrap().code(), Some(0));
}

#[test]
fn the_last_log_lines_are_written() {
    let port = free_port();
    let folder = folder(&format!(".:{port} {{\n bind 127.0.0.1\n log\n whoami\n}}\n"));
    let mut server = Server::start(&[], folder.path());
    for n in 0..100 {
        answer(port, &format!("n{n}.example."), RecordType::A);
    }
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0));
    server.until("\"A IN n99.example. udp ");
}

#[test]
fn a_port_in_use_ends_with_1_and_says_which() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for extra in [
        format!(".:{port} {{\n bind 127.0.0.1\n whoami\n}}"),
        format!(". {{\n bind 127.0.0.1\n health 127.0.0.1:{port}\n}}"),
    ] {
        let folder = folder(&extra);
        let (status, _, said) = run(&["-dns.port", &free_port().to_string()], folder.path());
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("something listens there"), "{said}");
    }
}

#[test]
fn a_reload_keeps_ports_and_a_bad_file_keeps_the_old_one() {
    let (port, other, ready, metrics) = (free_port(), free_port(), free_port(), free_port());
    let text = |more: &str, line: &str| {
        format!(
            ".:{port}{more} {{\n bind 127.0.0.1\n ready 127.0.0.1:{ready}\n prometheus 127.0.0.1:{metrics}\n {line}\n}}\n"
        )
    };
    let folder = folder(&text("", "whoami"));
    let conf = folder.path().join("Corefile");
    let server = Server::start(&[], folder.path());
    assert_eq!(answer(port, "a.example.", RecordType::A).metadata.response_code, ResponseCode::NoError);

    fs::write(&conf, text("", "hosts {\n  192.0.2.7 a.example\n }")).unwrap();
    server.signal("USR1");
    server.until("Reloading complete");
    assert_eq!(answer(port, "a.example.", RecordType::A).answers.len(), 1);

    fs::write(&conf, text("", "hostss")).unwrap();
    let taken_up = server.said().matches("Reloading\n").count();
    assert_eq!(taken_up, 1, "{}", server.said());
    server.signal("USR1");
    server.until("Corefile:5:2: unknown directive `hostss`");
    assert_eq!(server.said().matches("Reloading\n").count(), taken_up, "nothing is taken up: {}", server.said());
    assert_eq!(answer(port, "a.example.", RecordType::A).answers.len(), 1);
    assert!(get(metrics, "/metrics").unwrap().1.contains("coredns_reload_failed_total 1\n"));
    assert_eq!(get(ready, "/ready"), Some((200, "OK".to_owned())));

    fs::write(&conf, text(&format!(" .:{other}"), "whoami")).unwrap();
    server.signal("USR1");
    assert_eq!(answer(other, "b.example.", RecordType::A).additionals.len(), 2);
    // One port after the other gets its new plan.
    let whoami = || answer(port, "b.example.", RecordType::A).additionals.len() == 2;
    wait_for(whoami, || "whoami at the old port".to_owned());
    fs::write(&conf, text("", "whoami")).unwrap();
    server.signal("USR1");
    wait_for(|| ask(other, "b.example.", RecordType::A).is_none(), || format!("port {other} to close"));
}

#[test]
fn a_file_that_changes_is_read_again_on_its_own() {
    let port = free_port();
    let text = |line: &str| format!(".:{port} {{\n bind 127.0.0.1\n reload 2s 0s\n {line}\n}}\n");
    let folder = folder(&text("whoami"));
    let server = Server::start(&[], folder.path());
    assert!(answer(port, "a.example.", RecordType::A).answers.is_empty());
    fs::write(folder.path().join("Corefile"), text("hosts {\n  192.0.2.7 a.example\n }")).unwrap();
    server.until("Reloading complete");
    assert_eq!(answer(port, "a.example.", RecordType::A).answers.len(), 1);
}

#[test]
fn ports_are_bound_before_the_cluster_answers() {
    let (port, ready) = (free_port(), free_port());
    let folder = folder(&format!(
        ".:{port} {{
    bind 127.0.0.1
    ready 127.0.0.1:{ready}
    kubernetes cluster.local in-addr.arpa {{
        endpoint http://127.0.0.1:9
    }}
    whoami
}}
"
    ));
    let _server = Server::start(&[], folder.path());
    let unsynced = answer(port, "kubia.default.svc.cluster.local.", RecordType::A);
    assert_eq!(unsynced.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(get(ready, "/ready"), Some((503, "kubernetes".to_owned())));
}

#[test]
fn a_kubeconfig_that_is_missing_is_told_at_its_word() {
    let folder = folder(". {\n    kubernetes cluster.local {\n        kubeconfig nothere\n    }\n}\n");
    let (status, _, said) = run(&[], folder.path());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("Corefile:3:20: ") && said.contains("nothere"), "{said}");
}

/// A headless Service with a StatefulSet.
fn manifests(replicas: u8) -> String {
    format!(
        "apiVersion: v1
kind: Service
metadata:
  name: kubia
spec:
  clusterIP: None
  selector:
    app: kubia
  ports:
  - name: http
    port: 80
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: kubia
spec:
  serviceName: kubia
  replicas: {replicas}
  selector:
    matchLabels:
      app: kubia
  template:
    metadata:
      labels:
        app: kubia
    spec:
      containers:
      - name: kubia
        image: kubia
"
    )
}

#[test]
fn local_serves_manifests_and_follows_an_edit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kubia.yaml");
    fs::write(&file, manifests(2)).unwrap();
    fs::write(folder.path().join("more.yaml"), "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\n").unwrap();
    let listen = format!("127.0.0.1:{}", free_port());
    let port = listen.rsplit_once(':').unwrap().1.parse().unwrap();
    let mut server = Server::start(&["local", "--listen", &listen, "."], folder.path());
    server.until(&format!("dig @127.0.0.1 -p {port} SRV kubia.default.svc.cluster.local"));
    let peers = answer(port, "kubia.default.svc.cluster.local.", RecordType::SRV);
    assert_eq!((peers.answers.len(), peers.additionals.len()), (2, 2), "{peers}");
    assert_eq!(peers.answers[0].ttl, 5);
    assert_eq!(answer(port, "kubia-1.kubia.default.svc.cluster.local.", RecordType::A).answers.len(), 1);
    let missing = answer(port, "kubia-2.kubia.default.svc.cluster.local.", RecordType::A);
    assert_eq!(missing.metadata.response_code, ResponseCode::NXDomain);

    fs::write(&file, manifests(3)).unwrap();
    wait_for(
        || answer(port, "kubia.default.svc.cluster.local.", RecordType::SRV).answers.len() == 3,
        || "the third peer".to_owned(),
    );
    assert_eq!(answer(port, "kubia-2.kubia.default.svc.cluster.local.", RecordType::A).answers.len(), 1);
    let changed = ["manifests changed", "  kubia.default.svc  headless", "+     kubia-2  127.1.0.3"];
    server.until(&changed.map(|line| format!("[INFO] plugin/kubernetes: {line}\n")).concat());

    fs::write(&file, "kind: [").unwrap();
    server.until("what was read last is served on");
    fs::write(&file, manifests(3)).unwrap();
    server.until("the manifests are right again");
    let left_out = "1 document is left out: 1 of kinds without names (1 CronJob)";
    assert_eq!(server.said().matches(left_out).count(), 1, "{}", server.said());
    server.signal("USR1");
    server.until("edits of the manifests are followed");
    server.signal("INT");
    assert_eq!(server.ended().code(), Some(0));
    server.until("Shutting down\n");
}

/// A resolver that has one address for every name, or refuses all; it ends with the test.
fn upstream(rcode: ResponseCode) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let Ok(query) = Message::from_vec(&buffer[..len]) else { continue };
            let mut reply = query.clone();
            reply.metadata.message_type = MessageType::Response;
            reply.metadata.response_code = rcode;
            if rcode == ResponseCode::NoError {
                let data = RData::A(rdata::A(std::net::Ipv4Addr::new(192, 0, 2, 1)));
                reply.answers.push(Record::from_rdata(query.queries[0].name().clone(), 60, data));
            }
            let _ = socket.send_to(&reply.to_vec().unwrap(), from);
        }
    });
    address
}

#[test]
fn local_asks_for_other_names_and_explains_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let external = "---\napiVersion: v1\nkind: Service\nmetadata: {name: out}\nspec: {type: ExternalName, externalName: \
                    www.example.org}\n";
    fs::write(folder.path().join("m.yaml"), manifests(2) + external).unwrap();
    let (port, explain) = (free_port(), free_port());
    let (listen, page) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{explain}"));
    let upstream = upstream(ResponseCode::NoError).to_string();
    let arguments = ["local", "--listen", &listen, "--rollcall.explain", &page, "--forward", &upstream, "."];
    let server = Server::start(&arguments, folder.path());
    assert_eq!(answer(port, "www.example.com.", RecordType::A).answers.len(), 1);
    assert_eq!(answer(port, "1.2.0.192.in-addr.arpa.", RecordType::A).answers.len(), 1);
    let outside = answer(port, "out.default.svc.cluster.local.", RecordType::A);
    assert_eq!((outside.metadata.response_code, outside.answers.len()), (ResponseCode::NoError, 2));
    assert_eq!(answer(port, "1.0.1.127.in-addr.arpa.", RecordType::PTR).answers.len(), 1);
    // What can be nowhere else is asked of nobody.
    for name in ["kubia.", "a.invalid.", "9.0.1.127.in-addr.arpa.", "kubia-9.kubia.default.svc.cluster.local."] {
        assert_eq!(answer(port, name, RecordType::A).metadata.response_code, ResponseCode::NXDomain, "{name}");
    }
    assert_eq!(answer(port, "localhost.", RecordType::A).answers.len(), 1);
    let (_, text) = get(explain, "/explain?name=kubia-0.kubia.default.svc.cluster.local").unwrap();
    assert!(text.contains("Service default/kubia: resourceVersion 1, arrived"), "{text}");
    assert!(text.contains("2 ready, 0 not ready; lists kubia-0, ready"), "{text}");
    server.until("+short");
    assert!(!server.said().contains("ERROR"), "{}", server.said());

    let (status, _, said) = run(&["local", "--listen", &listen, "."], folder.path());
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("choose another address with --listen") && !said.contains("-dns.port"), "{said}");
}

#[test]
fn what_nobody_answers_for_does_not_exist_so_that_a_search_list_ends() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("m.yaml"), manifests(2)).unwrap();
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let refuses = upstream(ResponseCode::Refused).to_string();
    let fails = upstream(ResponseCode::ServFail).to_string();
    for forward in ["none", &nobody, &refuses, &fails] {
        let listen = format!("127.0.0.1:{}", free_port());
        let port = listen.rsplit_once(':').unwrap().1.parse().unwrap();
        let server = Server::start(&["local", "--listen", &listen, "--forward", forward, "."], folder.path());
        server.until("+short");
        for name in ["kubia-9.kubia.", "kubia.default.", "kubia."] {
            let asked = answer(port, name, RecordType::A).metadata.response_code;
            assert_eq!(asked, ResponseCode::NXDomain, "{name} by {forward}");
        }
        let other = answer(port, "www.example.com.", RecordType::A).metadata.response_code;
        // One that says it cannot tell is believed for names that may be anywhere.
        let wanted = if forward == fails { ResponseCode::ServFail } else { ResponseCode::NXDomain };
        assert_eq!(other, wanted, "{forward}");
        assert_eq!(server.said().contains("no answer from"), forward == nobody, "{}", server.said());
    }
}

#[test]
fn local_reads_standard_input_and_listens_at_every_address() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    fs::write(folder.path().join("m.yaml"), manifests(2)).unwrap();
    let child = Command::new(rollcall_testing::program())
        .args(["local", "--listen", &format!(":{port}"), "-n", "prod", "--forward", "none", "-"])
        .stdin(fs::File::open(folder.path().join("m.yaml")).unwrap())
        .stdout(Stdio::null())
        .spawn();
    let mut child = child.unwrap();
    let name = "kubia-1.kubia.prod.svc.cluster.local.";
    wait_for(|| ask(port, name, RecordType::A).is_some_and(|reply| reply.answers.len() == 1), || name.to_owned());
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn an_admin_address_that_is_taken_names_its_directive() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = free_port();
    for directive in ["health", "ready", "prometheus"] {
        let folder = folder(&format!(".:{port} {{\n bind 127.0.0.1\n {directive} {address}\n}}"));
        let (status, _, said) = run(&[], folder.path());
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains(&format!("Corefile:3:2: {directive}: cannot listen on TCP address {address}")), "{said}");
        assert!(said.contains(&format!("or give {directive} another address")), "{said}");
    }
}

#[test]
fn a_broken_manifest_ends_with_2_and_its_place() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.yaml"), "apiVersion: v1\nkind: Service\nmetadata: [\n").unwrap();
    let (status, _, said) = run(&["local", "bad.yaml"], folder.path());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("bad.yaml:"), "{said}");
    let (status, _, said) = run(&["local", "nothere"], folder.path());
    assert_eq!(status, Some(2), "{said}");
    assert!(said.contains("nothere"), "{said}");
}
