//! What the server gives up at its start, tried from inside: by the program that brings its credentials.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use hickory_proto::rr::RecordType;
use rollcall_testing::api_server::ApiServer;
use rollcall_testing::server::of_program;
use rollcall_testing::{Server, answer, command, folder, free_port, objects, program, skip, wait_for};
use serde_json::json;

/// Tries things, and says of each whether it was done.
const PROGRAM: &str = r#"#!/bin/bash
try() {
  local name=$1
  shift
  if "$@" >/dev/null 2>&1; then echo "$name done"; else echo "$name refused"; fi >>"$TMPDIR/tried.new"
}
# The first time: what is mounted once is unmounted once.
if [ ! -e "$TMPDIR/tried" ]; then
try namespace unshare --user true
try mount mount -t tmpfs none "$AWAY/place"
try chroot chroot / true
try make touch "$AWAY/made"
try remove rm "$AWAY/precious"
try read cat "$AWAY/kubeconfig"
try temporary touch "$TMPDIR/made"
try run bash -c true
mv "$TMPDIR/tried.new" "$TMPDIR/tried"
fi
echo '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": "the-token"}}'
"#;

/// The outcome of each try, and what `/proc` says of each thread.
async fn tried(flags: &'static [&'static str]) -> (BTreeMap<String, String>, Vec<String>) {
    let api = ApiServer::start().await;
    api.apply("namespaces", objects::namespace("default"));
    api.apply("services", objects::cluster_ip("web", "10.96.0.1", json!([{"port": 80}])));
    api.require("the-token");
    let port = free_port();
    let folder = folder(&format!(
        ".:{port} {{\n bind 127.0.0.1\n kubernetes cluster.local {{\n  kubeconfig kubeconfig\n }}\n}}\n"
    ));
    let away = folder.path().to_owned();
    let temporary = tempfile::tempdir().unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": api.url()}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": away.join("program"),
            "interactiveMode": "Never",
        }}}],
    });
    fs::write(away.join("kubeconfig"), kubeconfig.to_string()).unwrap();
    fs::write(away.join("precious"), "").unwrap();
    fs::create_dir(away.join("place")).unwrap();
    fs::write(away.join("program"), PROGRAM).unwrap();
    fs::set_permissions(away.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    tokio::task::spawn_blocking(move || {
        let mut command = command();
        command.args(flags).current_dir(&away).env("AWAY", &away).env("TMPDIR", temporary.path());
        command.env("HOME", temporary.path());
        let server = Server::of(command, "");
        let web = || answer(port, "web.default.svc.cluster.local.", RecordType::A).answers.len() == 1;
        wait_for(web, || format!("the cluster's names, by the token of the program: {}", server.said()));
        let outcome = fs::read_to_string(temporary.path().join("tried")).unwrap();
        let outcome = outcome.lines().filter_map(|line| line.split_once(' '));
        let outcome = outcome.map(|(name, done)| (name.to_owned(), done.to_owned())).collect();
        let threads = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap();
        let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).ok();
        let threads = threads.filter_map(|thread| status(thread.unwrap())).collect();
        let _ = Command::new("umount").arg(away.join("place")).stderr(Stdio::null()).status();
        (outcome, threads)
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_in_finds_little_that_it_may_do() {
    let (free, threads) = tried(&["-rollcall.sandbox=off"]).await;
    let (held, held_threads) = tried(&[]).await;
    for (name, done) in &held {
        let wanted = if ["read", "temporary", "run"].contains(&name.as_str()) { "done" } else { "refused" };
        assert_eq!(done, wanted, "{name}: {held:?}");
    }
    assert_eq!(held.len(), 8, "{held:?}");
    // Whoever has no sandbox may do it, if the machine lets anybody.
    for name in ["make", "remove"] {
        assert_eq!(free[name], "done", "{free:?}");
    }
    assert!(threads.len() > 2 && held_threads.len() > 2);
    for status in &held_threads {
        assert_eq!((field(status, "NoNewPrivs:"), field(status, "Seccomp:")), (1, 2), "{status}");
        // CAP_DAC_READ_SEARCH and CAP_NET_BIND_SERVICE.
        for set in ["CapEff:", "CapPrm:", "CapInh:", "CapAmb:"] {
            assert_eq!(field(status, set) & !(1 << 2 | 1 << 10), 0, "{status}");
        }
    }
    assert!(threads.iter().all(
        |status| field(status, "Seccomp:") == field(&fs::read_to_string("/proc/self/status").unwrap(), "Seccomp:")
    ));
}

/// A number in hexadecimal of what `/proc` says.
fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

#[test]
fn a_reload_binds_ports_below_1024_and_the_capability_for_that_stays_only_where_it_takes_one() {
    const NET_BIND_SERVICE: u64 = 1 << 10;
    // In a network namespace of its own, where the first port for everybody is `$1`.
    let script = "ip link set lo up && echo $1 >/proc/sys/net/ipv4/ip_unprivileged_port_start && exec \"$0\"";
    let trial = Command::new("unshare").args(["--net", "ip", "link", "set", "lo", "up"]).stderr(Stdio::null()).status();
    if !trial.is_ok_and(|status| status.success()) {
        return skip("this machine allows no namespaces: no port below 1024 is bound");
    }
    for (first, kept) in [("1024", NET_BIND_SERVICE), ("0", 0)] {
        let folder = folder(".:53 {\n bind 127.0.0.1\n whoami\n}\n");
        let mut command = of_program(Path::new("unshare"));
        command.args(["--net", "bash", "-c", script]).arg(program()).arg(first).current_dir(folder.path());
        let mut server = Server::of(command, "");
        server.until("CoreDNS-");
        fs::write(folder.path().join("Corefile"), ".:53 .:54 {\n bind 127.0.0.1\n whoami\n}\n").unwrap();
        server.signal("USR1");
        server.until("Reloading complete");
        let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        for set in ["CapEff:", "CapPrm:"] {
            assert_eq!(field(&status, set) & NET_BIND_SERVICE, kept, "{first}: {status}");
        }
        server.signal("TERM");
        assert_eq!(server.ended().code(), Some(0), "{}", server.said());
    }
}
