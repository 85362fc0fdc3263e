//! The built binary at work, or another program, for tests that meet it as an operator does.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};

use crate::wait::wait_for;

/// A command line of the built binary, outside of any cluster.
pub fn command() -> Command {
    of_program(&crate::program())
}

/// A command line of a program, outside of any cluster.
pub fn of_program(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove("KUBERNETES_SERVICE_HOST");
    command
}

/// Runs the built binary to its end: exit status, standard output, standard error.
pub fn run(arguments: &[&str], folder: &Path) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command().args(arguments).current_dir(folder).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A Corefile in a folder of its own.
pub fn folder(corefile: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("Corefile"), corefile).unwrap();
    folder
}

/// A server at work; killed when the test ends.
pub struct Server {
    /// Its process.
    pub child: Child,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// Starts the built binary in a folder.
    pub fn start(arguments: &[&str], folder: &Path) -> Self {
        Self::with_stdin(arguments, folder, "")
    }

    /// The same, with text on its standard input.
    pub fn with_stdin(arguments: &[&str], folder: &Path, text: &str) -> Self {
        let mut command = command();
        command.args(arguments).current_dir(folder);
        Self::of(command, text)
    }

    /// Starts any command line, with text on its standard input.
    pub fn of(mut command: Command, text: &str) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that has ended already wants no text.
        let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
        let said = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let said = said.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    *said.lock().unwrap() += &(line + "\n");
                }
            });
        }
        Self { child, said }
    }

    /// What it has said so far, on both of its outputs.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until the server has said something.
    pub fn until(&self, text: &str) {
        wait_for(|| self.said().contains(text), || format!("{text:?} in {}", self.said()));
    }

    /// Waits until something holds of a server that must not end meanwhile.
    pub fn up(&mut self, mut holds: impl FnMut() -> bool) {
        let (child, said, mut ended) = (&mut self.child, &self.said, None);
        let up = || {
            ended = child.try_wait().unwrap();
            ended.is_some() || holds()
        };
        wait_for(up, || format!("the server: {}", said.lock().unwrap()));
        assert!(ended.is_none(), "the server has ended, {ended:?}: {}", self.said());
    }

    /// Sends it a signal by its name.
    pub fn signal(&self, name: &str) {
        crate::signal(self.child.id(), name);
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let (child, said, mut status) = (&mut self.child, &self.said, None);
        let ended = || {
            status = child.try_wait().unwrap();
            status.is_some()
        };
        wait_for(ended, || format!("the end of the process: {}", said.lock().unwrap()));
        status.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
