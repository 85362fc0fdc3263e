//! A real control plane for one test: etcd, kube-apiserver and kube-controller-manager, with a stand-in for the kubelet.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::skip;
use crate::wait::PATIENCE;

/// Words of kubectl where no answer came in time.
const LATE: &[&str] = &["imeout", "timed out", "deadline exceeded", "connection refused", "EOF", "too many requests"];

/// A running control plane. Dropping it stops all its parts.
pub struct ControlPlane {
    child: Child,
    assets: PathBuf,
    /// Its state, and the files of the test.
    pub dir: tempfile::TempDir,
}

impl ControlPlane {
    /// Starts one from `KUBEBUILDER_ASSETS`, or [`skip()`]s.
    pub fn start() -> Option<Self> {
        Self::try_start().map_err(skip).ok()
    }

    fn try_start() -> Result<Self, String> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from).ok_or_else(|| {
            "KUBEBUILDER_ASSETS is not set; it names a folder with etcd, kube-apiserver, kube-controller-manager, kubectl \
             and controlplane"
                .to_owned()
        })?;
        // The convention knows etcd, kube-apiserver and kubectl; StatefulSets need controllers and something that runs pods.
        for program in ["controlplane", "kubectl"] {
            if !assets.join(program).exists() {
                return Err(format!("KUBEBUILDER_ASSETS={} has no {program}", assets.display()));
            }
        }
        // A port that was free may be another program's before its server starts, which then ends.
        let mut said = String::new();
        for _ in 0..3 {
            match Self::once(&assets) {
                Ok(plane) => return Ok(plane),
                Err(why) => said = why,
            }
        }
        panic!("{said}");
    }

    /// Starts one; the error says why it ended or is not ready in time.
    fn once(assets: &Path) -> Result<Self, String> {
        let dir = tempfile::tempdir().unwrap();
        let log = std::fs::File::create(dir.path().join("up.log")).unwrap();
        let child = Command::new(assets.join("controlplane"))
            .args(["up", "--dir"])
            .arg(dir.path().join("state"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut plane = Self { child, assets: assets.to_owned(), dir };
        let limit = Instant::now() + PATIENCE * 2;
        while !plane.dir.path().join("state/ready").exists() {
            let said = || std::fs::read_to_string(plane.dir.path().join("up.log")).unwrap_or_default();
            if plane.child.try_wait().unwrap().is_some() {
                return Err(format!("the control plane ended: {}", said()));
            }
            if Instant::now() > limit {
                return Err(format!("the control plane is not ready: {}", said()));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(plane)
    }

    /// The administrator's.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("state/kubeconfig")
    }

    /// A kubeconfig of a service account that has the rights of a ClusterRole in this manifest, and no more.
    pub fn kubeconfig_with(&self, namespace: &str, account: &str) -> PathBuf {
        let token = self.kubectl(&["create", "token", account, "--namespace", namespace, "--duration=2h"]);
        let admin = std::fs::read_to_string(self.kubeconfig()).unwrap();
        let file = self.dir.path().join(format!("kubeconfig-{account}"));
        assert!(admin.contains("token: admin-token"));
        std::fs::write(&file, admin.replace("token: admin-token", &format!("token: {}", token.trim()))).unwrap();
        file
    }

    /// Runs kubectl and returns what it prints.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let begun = Instant::now();
        let mut again = false;
        loop {
            let output = Command::new(self.assets.join("kubectl"))
                .args(arguments)
                .env("KUBECONFIG", self.kubeconfig())
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            // What the first try has done, though it did not hear of it, is done.
            let done = again && arguments[0] == "delete" && said.contains("NotFound");
            if output.status.success() || done {
                return String::from_utf8(output.stdout).unwrap();
            }
            // A server that is busy is asked again, as kubectl's own patience is short.
            again = LATE.iter().any(|word| said.contains(word)) && begun.elapsed() < PATIENCE;
            assert!(again, "kubectl {arguments:?}: {said}");
        }
    }

    /// `kubectl apply` of a file or of text.
    pub fn apply(&self, manifest: &str) {
        let file = self.dir.path().join("apply.yaml");
        std::fs::write(&file, manifest).unwrap();
        self.apply_file(&file);
    }

    /// `kubectl apply` of a file.
    pub fn apply_file(&self, file: &Path) {
        self.kubectl(&["apply", "--filename", file.to_str().unwrap()]);
    }

    /// Objects as the API has them.
    pub fn objects(&self, kind: &str, selector: &str) -> Vec<Value> {
        let text = self.kubectl(&["get", kind, "--selector", selector, "--output", "json"]);
        serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().clone()
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // SIGTERM, so that it stops its parts; it kills those that do not stop.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}
