//! The image, built and run as Kubernetes runs it.
//!
//! It needs buildah, capsh and root, and the static binary that `ROLLCALL_STATIC` names; without, the test says so. The
//! server runs in a network and a mount namespace of its own: its root is the image's, read-only, its user 65532, and of
//! root's rights it has NET_BIND_SERVICE alone, which no exec hands on.

#![expect(clippy::unwrap_used, reason = "a test may unwrap, its helpers too")]

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rollcall_testing::{Client, PATIENCE, get, is_there, program, queries, repository, skip};
use serde_json::Value;

const MOST: u64 = 20_000_000;

/// Starts the server in the image's root, as the container runtime of a node does, and then `$CLIENT` beside it.
const RUN: &str = r#"
set -eu
ip link set lo up
mkdir -p "$ROOT/proc" "$ROOT/dev" "$ROOT/etc/coredns"
cp "$COREFILE" "$ROOT/etc/coredns/Corefile"
echo "nameserver 127.0.0.1" > "$ROOT/etc/resolv.conf"
mount --bind "$ROOT" "$ROOT"
mount -t proc proc "$ROOT/proc"
mount -t tmpfs -o mode=0755 dev "$ROOT/dev"
for device in null zero full random urandom; do
  touch "$ROOT/dev/$device"
  mount --bind "/dev/$device" "$ROOT/dev/$device"
done
mount -o remount,bind,ro "$ROOT"
all=$(capsh --decode="$(awk '/^CapBnd/ { print $2 }' /proc/self/status)")
others=$(echo "${all#*=}" | tr , '\n' | grep -v '^cap_net_bind_service$' | paste -s -d ,)
capsh --chroot="$ROOT" --no-new-privs --keep=1 --drop="$others" --inh=cap_net_bind_service \
  --groups= --gid=65532 --uid=65532 --shell="$ENTRY" -- -conf /etc/coredns/Corefile &
server=$!
SERVER=$server "$CLIENT" --exact --nocapture inside_the_namespace || { kill "$server"; exit 1; }
kill -TERM "$server"
wait "$server"
"#;

const COREFILE: &str = ".:53 {
    errors
    health {
        lameduck 1s
    }
    ready
    hosts {
        192.0.2.7 printer.example.org
        fallthrough
    }
    prometheus :9153
    forward . 127.0.0.1:9
    cache 30
    reload
    loadbalance
}
secure.example:53 {
    forward . tls://127.0.0.1:9 {
        tls_servername dns.example
    }
}
cluster.example:53 {
    kubernetes cluster.example {
        endpoint http://127.0.0.1:9
    }
}
";

#[test]
fn the_image_runs_as_kubernetes_runs_it() {
    let binary = match needs() {
        Ok(binary) => binary,
        Err(why) => return skip(why),
    };
    let folder = tempfile::tempdir().unwrap();
    let image = Image::build(folder.path(), &binary);
    image.is_what_it_should_be();
    // At another time, in another place.
    let again = tempfile::tempdir().unwrap();
    assert_eq!(Image::build(again.path(), &binary).digest(), image.digest());
    for entry in ["/coredns", "/rollcall"] {
        image.serves(entry);
    }
}

#[test]
fn a_binary_that_would_not_start_in_the_image_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let built = program();
    let built = built.as_path();
    for (binary, why) in [
        (built, "is linked dynamically"),
        (&script, "is no program for Linux"),
        (Path::new("/nowhere/rollcall"), "/nowhere/rollcall is no program; set ROLLCALL_STATIC"),
    ] {
        let deploy = repository("deploy/image");
        let output = Command::new(deploy).env("ROLLCALL_STATIC", binary).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        if said.contains("there is no readelf") {
            return skip(said);
        }
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why), "{said}");
        assert!(binary != built || said.contains("crt-static"), "the next step: {said}");
    }
}

fn needs() -> Result<PathBuf, String> {
    let binary = std::env::var_os("ROLLCALL_STATIC")
        .map(PathBuf::from)
        .ok_or("ROLLCALL_STATIC is not set; it names the static binary, built with -C target-feature=+crt-static")?;
    assert!(binary.exists(), "ROLLCALL_STATIC={} is not there", binary.display());
    for (program, from) in
        [("buildah", "buildah"), ("capsh", "libcap2-bin"), ("unshare", "util-linux"), ("ip", "iproute2")]
    {
        if !is_there(program) {
            return Err(format!("no {program} on the path; install {from}"));
        }
    }
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        return Err("namespaces with a root and a user of their own need root".to_owned());
    }
    let unshared = Command::new("unshare").args(["--net", "--mount", "true"]).stderr(Stdio::null()).status();
    if !unshared.unwrap().success() {
        return Err("this machine allows no namespaces".to_owned());
    }
    Ok(binary)
}

struct Image {
    storage: PathBuf,
    root: PathBuf,
}

const TAG: &str = "localhost/coredns:v1.0.0-rollcall.test";

impl Image {
    fn build(folder: &Path, binary: &Path) -> Self {
        let storage = folder.join("storage");
        let script = repository("deploy/image");
        let output =
            Command::new(script).arg(TAG).env("ROLLCALL_STATIC", binary).env("IMAGE_ROOT", &storage).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "deploy/image: {said}");
        let mut image = Self { storage, root: PathBuf::new() };
        let container = image.buildah(&["from", "--pull-never", TAG]);
        image.root = image.buildah(&["mount", container.trim()]).trim().into();
        image
    }

    fn buildah(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "buildah {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.args(["--storage-driver", "vfs", "--root"]).arg(self.storage.join("root"));
        command.arg("--runroot").arg(self.storage.join("run")).args(arguments);
        command
    }

    /// The number that stands for all octets of the image.
    fn digest(&self) -> String {
        self.buildah(&["images", "--no-trunc", "--format", "{{.Digest}}", TAG]).trim().to_owned()
    }

    fn is_what_it_should_be(&self) {
        let config: Value = serde_json::from_str(&self.buildah(&["inspect", "--type", "image", TAG])).unwrap();
        let config = &config["OCIv1"]["config"];
        assert_eq!(config["User"], "65532:65532");
        assert_eq!(config["Entrypoint"], serde_json::json!(["/coredns"]));
        let ports = config["ExposedPorts"].as_object().unwrap();
        for port in ["53/udp", "53/tcp", "8080/tcp", "8181/tcp", "9153/tcp"] {
            assert!(ports.contains_key(port), "{port} in {ports:?}");
        }
        let mut found = Vec::new();
        files(&self.root, &mut found);
        let mut found: Vec<&Path> = found.iter().map(|path| path.strip_prefix(&self.root).unwrap()).collect();
        found.sort();
        // The second holds the authorities that `tls://` upstreams are trusted by.
        assert_eq!(found, ["coredns", "etc/ssl/certs/ca-certificates.crt", "rollcall"].map(Path::new));
        let (one, other) =
            (fs::read(self.root.join("coredns")).unwrap(), fs::read(self.root.join("rollcall")).unwrap());
        assert!(one == other, "the two names are not the same binary");
        let archive = self.storage.join("image.tar");
        self.buildah(&["push", TAG, &format!("oci-archive:{}", archive.display())]);
        let packed = fs::metadata(archive).unwrap().len();
        assert!((one.len() as u64) < MOST && packed < MOST, "{} and {packed} octets", one.len());
        needs_no_library(&one);
    }

    /// Serves under one of its names, and ends when it is told to.
    fn serves(&self, entry: &str) {
        let corefile = self.storage.join("Corefile");
        fs::write(&corefile, COREFILE).unwrap();
        let output = Command::new("unshare")
            .args(["--net", "--mount", "--fork", "bash", "-c", RUN])
            .env("ROOT", &self.root)
            .env("COREFILE", corefile)
            .env("ENTRY", entry)
            .env("CLIENT", std::env::current_exe().unwrap())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        assert!(output.status.success(), "{entry}: {:?}: {said}", output.status);
        assert!(said.contains("asked and answered"), "{entry}: {said}");
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        // A test that failed may have left nothing to unmount.
        let _ = self.command(&["umount", "--all"]).output();
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// A 64-bit ELF file without an interpreter: the kernel starts it as it is.
fn needs_no_library(binary: &[u8]) {
    assert_eq!(&binary[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file");
    let number = |at: usize, size: usize| {
        binary[at..at + size].iter().rev().fold(0_usize, |number, octet| number << 8 | usize::from(*octet))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    assert!(count > 0);
    for header in 0..count {
        // PT_INTERP
        assert_ne!(number(table + header * size, 4), 3, "the binary wants a dynamic linker");
    }
}

//----------- Inside ----------------------------------------------------------

/// What a client sees; runs in the server's namespace, started by the test above.
#[test]
fn inside_the_namespace() {
    let Ok(server) = std::env::var("SERVER") else {
        // Nobody's own test: what the test of the image starts.
        return;
    };
    let begun = Instant::now();
    let reply = loop {
        if let Some(reply) = ask() {
            break reply;
        }
        assert!(begun.elapsed() < PATIENCE, "no answer on port 53");
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!((reply[3] & 0xf, &reply[reply.len() - 4..]), (0, &[192, 0, 2, 7][..]));
    for (port, path) in [(8080, "/health"), (8181, "/ready"), (9153, "/metrics")] {
        let page = get(port, path).unwrap();
        assert_eq!(page.0, 200, "{path}: {page:?}");
    }
    let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    assert_eq!(field("Uid:").split_whitespace().collect::<Vec<_>>(), ["65532"; 4]);
    assert_eq!(field("NoNewPrivs:"), "1");
    // CAP_NET_BIND_SERVICE is the tenth.
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        assert_eq!(u64::from_str_radix(&field(set), 16).unwrap(), 1 << 10, "{set}");
    }
    let mounts = fs::read_to_string(format!("/proc/{server}/mounts")).unwrap();
    let root = mounts.lines().find(|line| line.split(' ').nth(1) == Some("/")).unwrap();
    assert!(root.split(' ').nth(3).unwrap().split(',').any(|option| option == "ro"), "{root}");
    println!("asked and answered");
}

/// `printer.example.org A`, over UDP, without EDNS.
fn ask() -> Option<Vec<u8>> {
    let mut client = Client::new(SocketAddr::from(([127, 0, 0, 1], 53)));
    client.set_patience(Duration::from_millis(500));
    client.send(&queries::query(7, "printer.example.org", queries::A), false).ok()
}
