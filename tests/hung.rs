//! A file system that does not answer: nobody waits for it who has something else to do, the end of the process least of all.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use hickory_proto::rr::RecordType;
use rollcall_testing::http::is_ready;
use rollcall_testing::server::of_program;
use rollcall_testing::{Server, answer, folder, free_port, is_there, program, signal, skip, tls, wait_for};
use serde_json::json;

/// Mounts a file system of which nobody answers for anything at `hung`, for as long as the process in `holder` lives, and
/// becomes what its arguments say.
const BESIDE_A_HUNG_FILE_SYSTEM: &str = "
set -e
mkdir -p hung
exec 3<>/dev/fuse
mount -i -t fuse -o fd=3,rootmode=40000,user_id=0,group_id=0 hung \"$PWD/hung\"
sleep 1000 >&- 2>&- &
echo $! >holder.new
mv holder.new holder
exec 3>&-
exec \"$@\"";

/// The program in a mount namespace of its own with such a file system; `None` where that cannot be had.
fn beside_a_hung_file_system(arguments: &[&str], folder: &Path) -> Option<Command> {
    let unshared = |script: &str| {
        let mut command = of_program(Path::new("unshare"));
        command.args(["--mount", "bash", "-c", script, "bash"]).current_dir(folder);
        command
    };
    if !is_there("unshare") {
        skip("no unshare on the path: no file system hangs");
        return None;
    }
    let mut trial = unshared(BESIDE_A_HUNG_FILE_SYSTEM);
    let trial = trial.args(["bash", "-c", "kill $(cat holder)"]).stderr(Stdio::null()).status().unwrap();
    if !trial.success() {
        skip("this machine allows no namespaces with a FUSE file system of ours: no file system hangs");
        return None;
    }
    let mut command = unshared(BESIDE_A_HUNG_FILE_SYSTEM);
    command.arg(program()).args(arguments);
    Some(command)
}

/// Lets a name lead elsewhere, at once.
fn lead(folder: &Path, name: &str, to: &str) {
    let new = folder.join("new-link");
    std::os::unix::fs::symlink(to, &new).unwrap();
    fs::rename(new, folder.join(name)).unwrap();
}

/// The processes that hold file systems end with the test.
struct Holder<'f>(&'f Path);

impl Holder<'_> {
    /// Lets the file system fail, in place of keeping everyone waiting.
    fn let_go(&self) {
        if let Ok(holder) = fs::read_to_string(self.0.join("holder")) {
            let _ = fs::remove_file(self.0.join("holder"));
            signal(holder.trim().parse().unwrap(), "KILL");
        }
    }
}

impl Drop for Holder<'_> {
    fn drop(&mut self) {
        self.let_go();
    }
}

const ZONE: &str =
    "@ 60 SOA ns.example.net. admin.example.net. 1 60 60 60 60\n@ NS ns.example.net.\nb 60 A 192.0.2.8\n";

#[test]
fn what_was_read_is_served_on_and_an_order_to_stop_is_followed() {
    let (port, tls_port, ready) = (free_port(), free_port(), free_port());
    let text = format!(
        ".:{port} {{
    bind 127.0.0.1
    ready 127.0.0.1:{ready}
    reload 2s 1s
    hosts hosts {{
        reload 100ms
        fallthrough
    }}
    file zone example.net {{
        reload 100ms
    }}
}}
tls://.:{tls_port} {{
    bind 127.0.0.1
    tls certificate good/a.key
    whoami
}}
"
    );
    let folder = folder("");
    let folder = folder.path();
    let good = folder.join("good");
    fs::create_dir(&good).unwrap();
    let certificates = tls::folder(&["a"]);
    for name in ["a.crt", "a.key"] {
        fs::copy(certificates.path().join(name), good.join(name)).unwrap();
    }
    fs::write(good.join("hosts"), "192.0.2.7 a.example\n").unwrap();
    fs::write(good.join("zone"), ZONE).unwrap();
    fs::write(good.join("Corefile"), text).unwrap();
    let names = [("Corefile", "Corefile"), ("hosts", "hosts"), ("zone", "zone"), ("certificate", "a.crt")];
    names.iter().for_each(|(name, file)| lead(folder, name, &format!("good/{file}")));

    let Some(command) = beside_a_hung_file_system(&[], folder) else { return };
    let holder = Holder(folder);
    let mut server = Server::of(command, "");
    let address = SocketAddr::from(([127, 0, 0, 1], ready));
    server.up(|| is_ready(address));
    let is_served = || {
        let asked = [("a.example.", 7), ("b.example.net.", 8)].map(|(name, last)| {
            let answers = answer(port, name, RecordType::A).answers;
            answers.first().is_some_and(|first| first.data.to_string() == format!("192.0.2.{last}"))
        });
        asked == [true; 2] && is_ready(address)
    };
    assert!(is_served());

    // Nobody answers any more.
    names.iter().for_each(|(name, file)| lead(folder, name, &format!("hung/{file}")));
    for name in ["Corefile", "hosts", "zone"] {
        server.until(&format!("{name} cannot be read: its file system has not answered"));
        assert!(is_served(), "{}", server.said());
    }
    server.signal("USR1");
    server.until("the old one is served on: Corefile: cannot read the Corefile: its file system does not answer");
    assert!(is_served(), "{}", server.said());
    let said = server.said();
    assert_eq!(said.matches("hosts cannot be read: its file system").count(), 1, "told once: {said}");
    let waiting = std::cell::Cell::new(0);
    has_thread(&server, "file", |_| {
        waiting.set(waiting.get() + 1);
        false
    });
    assert!((3..=5).contains(&waiting.get()), "{} threads wait for four files", waiting.get());

    // It fails, and then it is there again.
    holder.let_go();
    server.until("hosts can be read again");
    fs::write(good.join("hosts"), "192.0.2.9 a.example\n").unwrap();
    names.iter().for_each(|(name, file)| lead(folder, name, &format!("good/{file}")));
    let changed =
        || answer(port, "a.example.", RecordType::A).answers.iter().any(|a| a.data.to_string() == "192.0.2.9");
    wait_for(changed, || format!("the new line: {}", server.said()));
    server.signal("USR1");
    server.until("Reloading complete");
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(0), "{}", server.said());
}

/// Whether a thread of this name is there, and `holds` of its folder below `/proc`.
fn has_thread(server: &Server, name: &str, holds: impl Fn(&Path) -> bool) -> bool {
    let threads = fs::read_dir(format!("/proc/{}/task", server.child.id())).into_iter().flatten().flatten();
    threads
        .map(|thread| thread.path())
        .any(|thread| fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim() == name) && holds(&thread))
}

#[test]
fn the_end_of_the_process_waits_for_no_file() {
    let (port, ready) = (free_port(), free_port());
    let folder = folder("");
    let folder = folder.path();
    let text = format!(
        ".:{port} {{\n bind 127.0.0.1\n ready 127.0.0.1:{ready}\n hosts hung/hosts {{\n  192.0.2.7 a.example\n }}\n}}\n"
    );
    fs::write(folder.join("first"), text).unwrap();
    fs::create_dir(folder.join("manifests")).unwrap();
    let service =
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: 10.96.0.1, ports: [{port: 80}]}\n";
    fs::write(folder.join("manifests/service.yaml"), service).unwrap();
    let listen = format!("127.0.0.1:{port}");
    for (name, arguments) in [
        // Of a file that was never read, the rest is served.
        ("TERM", &["-conf", "first"][..]),
        ("INT", &["-conf", "first"]),
        // In the middle of a start, and of a look at a folder.
        ("TERM", &["-conf", "hung/Corefile"]),
        ("TERM", &["local", "--listen", &listen, "followed"]),
        ("INT", &["local", "--listen", &listen, "followed"]),
    ] {
        lead(folder, "followed", "manifests");
        let Some(command) = beside_a_hung_file_system(arguments, folder) else { return };
        let _holder = Holder(folder);
        let mut server = Server::of(command, "");
        let reads = |server: &Server| has_thread(server, "file", |_| true);
        match arguments {
            ["-conf", "first"] => {
                server.up(|| is_ready(SocketAddr::from(([127, 0, 0, 1], ready))));
                assert_eq!(answer(port, "a.example.", RecordType::A).answers.len(), 1, "{}", server.said());
                assert!(reads(&server), "{}", server.said());
                server.signal("USR1");
            }
            ["-conf", ..] => wait_for(|| reads(&server), || format!("a look at the file: {}", server.said())),
            _ => {
                server.until("Edits are followed");
                lead(folder, "followed", "hung");
                // What a thread waits for is not told everywhere.
                let waits = |thread: &Path| {
                    let place = fs::read_to_string(thread.join("wchan")).unwrap_or_default();
                    place.contains("fuse") || place.contains("request_wait") || place == "0"
                };
                wait_for(|| has_thread(&server, "manifests", waits), || format!("a look: {}", server.said()));
            }
        }
        server.signal(name);
        assert_eq!(server.ended().code(), Some(0), "{arguments:?}: {}", server.said());
    }
}

#[test]
fn an_order_to_stop_is_followed_while_a_program_for_credentials_hangs() {
    let port = free_port();
    let folder = folder(&format!(".:{port} {{\n bind 127.0.0.1\n hosts {{\n  192.0.2.7 a.example\n }}\n}}\n"));
    let folder = folder.path();
    // It ends with the test's folder.
    let program = "#!/bin/bash\ntouch begun\nwhile [ -e kubeconfig ]; do sleep 0.1; done\n";
    fs::write(folder.join("program"), program).unwrap();
    fs::set_permissions(folder.join("program"), fs::Permissions::from_mode(0o755)).unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": folder.join("program"),
            "interactiveMode": "Never",
        }}}],
    });
    fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).unwrap();
    let mut server = Server::start(&["-rollcall.sandbox=off"], folder);
    let is_served = || answer(port, "a.example.", RecordType::A).answers.len() == 1;
    assert!(is_served());
    let text = fs::read_to_string(folder.join("Corefile")).unwrap();
    let text = text.replace("hosts {", "kubernetes cluster.local {\n  kubeconfig kubeconfig\n }\n hosts {");
    fs::write(folder.join("Corefile"), text).unwrap();
    server.signal("USR1");
    server.up(|| folder.join("begun").exists());
    assert!(is_served(), "{}", server.said());
    server.signal("TERM");
    assert_eq!(server.ended().code(), Some(1), "{}", server.said());
    assert!(server.said().contains("a reload does not end"), "{}", server.said());
}
