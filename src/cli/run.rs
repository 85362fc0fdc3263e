//! The way from the command line to the exit status.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use tokio::runtime::{Builder, Runtime};

use super::flags::local::LocalOptions;
use super::flags::{Command, DiffOptions, ServeOptions};
use super::signals::{Signal, Signals};
use super::{check, diff, explain, flags, local};
use crate::files;
use crate::plugins;
use crate::process::error::Error;
use crate::process::instance::{AddressedBy, Instance, LoadLimits};
use crate::process::mirrors::Registry;
use crate::process::plan::Plan;
use crate::process::reload::{self, Reloader};
#[cfg(target_os = "linux")]
use crate::process::sandbox;
use crate::process::version::{COMPATIBLE, REVISION, VERSION};
use crate::process::{corefile_source, heap, logs};
use crate::wire::Name;

/// Runs the program. `arguments` are those after its name.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    heap::share();
    let mut format = logs::LogFormat::default();
    let done = catch_unwind(AssertUnwindSafe(|| {
        flags::read(arguments, &|name| std::env::var(name).ok()).and_then(|command| {
            format = match &command {
                Command::Serve(ServeOptions { log_format, .. }) | Command::Local(LocalOptions { log_format, .. }) => {
                    *log_format
                }
                _ => format,
            };
            match command {
                Command::Serve(options) => serve(&options)?,
                Command::Local(options) => serve_local(&options)?,
                Command::Check(options) => {
                    let checked = check::check(&options)?;
                    print(&checked.text)?;
                    return Ok(if checked.is_accepted { ExitCode::SUCCESS } else { ExitCode::from(2) });
                }
                Command::Diff(options) => return compare(&options),
                Command::Explain(options) => {
                    let answered = runtime()?.block_on(explain::run(&options, &mut std::io::stdout()))?;
                    return Ok(if answered { ExitCode::SUCCESS } else { ExitCode::FAILURE });
                }
                Command::Help => print(&flags::help())?,
                Command::Version => print(&version())?,
                Command::Plugins => print(&directives())?,
            }
            Ok(ExitCode::SUCCESS)
        })
    }));
    let done = done.unwrap_or_else(|_| Err(Error::runtime("a panic, which is a defect, has ended the process")));
    logs::flush();
    match done {
        Ok(status) => status,
        Err(error) => {
            let _ = std::io::stderr().lock().write_all(&logs::fatal(format, &error, SystemTime::now()));
            ExitCode::from(error.status())
        }
    }
}

fn serve(options: &ServeOptions) -> Result<(), Error> {
    let kept = options.snapshot.iter().map(|snapshot| snapshot.folder.as_path());
    let folders = options.pidfile.iter().filter_map(|file| file.parent()).chain(kept);
    let short = give_up(options.sandbox, &folders.map(Path::to_owned).collect::<Vec<_>>());
    log_as(options.log_format);
    tell_of(&short);
    let runtime = runtime()?;
    let signals = install_signals(&runtime)?;
    let starting = Starting::watch(&runtime)?;
    // Plugins may start tasks while they are set up.
    let guard = runtime.enter();
    let source = corefile_source::find(options.conf.as_deref(), std::env::var_os("KUBERNETES_SERVICE_HOST").is_some())?;
    let mut instance =
        Instance::new(runtime.handle().clone(), AddressedBy::Corefile, options.load, options.explain.clone())?;
    instance.handover = options.handover;
    let mirrors = Registry::new(runtime.handle().clone(), options.snapshot.clone());
    let mut reloader = Reloader::start(source, options.port, mirrors, &mut instance)?;
    drop(starting);
    let _pidfile = options.pidfile.as_deref().map(Pidfile::write).transpose()?;
    if !options.quiet {
        announce(options.log_format, instance.plan())?;
    }
    tracing::info!(target: "plugin/reload", "Running configuration SHA512 = {}", reloader.hash());
    let done = runtime.block_on(run(&mut instance, Some(&mut reloader), signals));
    drop(guard);
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

fn serve_local(options: &LocalOptions) -> Result<(), Error> {
    let short = give_up(options.sandbox, &[]);
    log_as(options.log_format);
    tell_of(&short);
    if let Err(error) = options.zone.parse::<Name>() {
        return Err(Error::operator(format!(
            "--zone needs a domain name, as in cluster.local, got `{}`: {error}",
            options.zone
        )));
    }
    let runtime = runtime()?;
    let signals = install_signals(&runtime)?;
    let starting = Starting::watch(&runtime)?;
    let cluster = local::cluster(options)?;
    let mut instance = Instance::new(
        runtime.handle().clone(),
        AddressedBy::CommandLine,
        LoadLimits::default(),
        options.explain.clone(),
    )?;
    instance.mirrors = vec![Arc::new(cluster.objects())];
    // Plugins may start tasks while they are set up.
    let guard = runtime.enter();
    let (plan, hash) = local::plan(options, &cluster.reader(), &instance.carryover)?;
    instance.apply(plan, &hash)?;
    drop(guard);
    drop(starting);
    let listen: Vec<SocketAddr> = instance.addresses().collect();
    print(&local::introduction(&cluster, &listen, options))?;
    let _following = cluster.follow().map_err(|error| Error::runtime(format!("cannot follow the files: {error}")))?;
    let done = runtime.block_on(run(&mut instance, None, signals));
    runtime.shutdown_timeout(Duration::from_secs(1));
    done
}

/// Gives up what the process has no use for, while it has one thread; says what could not be. Files may be written in these
/// folders, and where there is no pod around, in those where programs that bring credentials keep theirs.
fn give_up(sandbox: bool, folders: &[PathBuf]) -> Vec<String> {
    if !sandbox || !cfg!(target_os = "linux") {
        return Vec::new();
    }
    let mut writable = folders.to_vec();
    if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
        let home = std::env::var_os("HOME").map(PathBuf::from);
        writable.extend(home.filter(|home| home.parent().is_some()));
        writable.push(std::env::temp_dir());
    }
    #[cfg(target_os = "linux")]
    return sandbox::enter(&writable);
    #[cfg(not(target_os = "linux"))]
    Vec::new()
}

fn tell_of(short: &[String]) {
    short.iter().for_each(|what| tracing::debug!("not given up: {what}"));
}

/// Begins to log, what `RUST_LOG` wishes for as well.
fn log_as(format: logs::LogFormat) {
    logs::start(format, std::env::var("RUST_LOG").ok().as_deref().filter(|wishes| !wishes.is_empty()));
}

/// Exit status 1 says that two servers differ.
fn compare(options: &DiffOptions) -> Result<ExitCode, Error> {
    let same = runtime()?.block_on(diff::run(options, &mut std::io::stdout()))?;
    Ok(if same { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The time that a reload has to end, once the process is told to stop.
const UNHEARD: Duration = Duration::from_secs(3);

/// Serves until it is told to stop, and stops in order.
async fn run(instance: &mut Instance, mut reloader: Option<&mut Reloader>, mut signals: Signals) -> Result<(), Error> {
    // A reload may be reading files; it is told on another thread that nobody waits for them any more. It may wait for something
    // else, as for a program that brings credentials.
    let heard = Arc::<AtomicBool>::default();
    if let Ok(mut orders) = Signals::new() {
        let heard = heard.clone();
        tokio::spawn(async move {
            orders.stop().await;
            files::give_up();
            tokio::time::sleep(UNHEARD).await;
            if !heard.load(Ordering::Acquire) {
                tracing::warn!("told to stop {UNHEARD:?} ago, and a reload does not end: ending without it");
                logs::flush();
                std::process::exit(1);
            }
        });
    }
    tokio::spawn(async {
        let mut left = 0;
        loop {
            tokio::time::sleep(heap::LOOK).await;
            // A panic there ends one look.
            left = tokio::task::spawn_blocking(move || {
                heap::give_back(&mut left);
                left
            })
            .await
            .unwrap_or_default();
        }
    });
    let signal = loop {
        let pause = match (&reloader, instance.plan().and_then(Plan::reload)) {
            (Some(_), Some(reload)) => reload::pause(reload),
            _ => Duration::MAX,
        };
        let mut asked = tokio::select! {
            signal = signals.next() => match signal {
                Signal::Reload => true,
                stop => break stop,
            },
            () = tokio::time::sleep(pause) => false,
        };
        let Some(reloader) = reloader.as_deref_mut() else {
            tracing::info!("SIGUSR1: nothing to reload, edits of the manifests are followed on their own");
            continue;
        };
        let stop = loop {
            tokio::select! {
                () = reloader.reload(instance, asked) => {
                    // Nobody knows what is served.
                    if instance.is_torn() {
                        return Err(Error::runtime("a reload panicked in the middle of the change"));
                    }
                    break None;
                }
                // What it waits for may have been corrected: it begins anew.
                signal = signals.next() => match signal {
                    Signal::Reload => asked = true,
                    stop => break Some(stop),
                },
            }
        };
        if let Some(stop) = stop {
            break stop;
        }
    };
    heard.store(true, Ordering::Release);
    stop(instance, signal, signals).await;
    Ok(())
}

async fn stop(instance: &mut Instance, signal: Signal, mut signals: Signals) {
    let lameduck = match signal {
        Signal::Quit => {
            logs::flush();
            std::process::exit(0)
        }
        Signal::Terminate => instance.plan().map(Plan::lameduck).unwrap_or_default(),
        Signal::Interrupt | Signal::Reload => Duration::ZERO,
    };
    instance.announce_stop();
    match lameduck {
        Duration::ZERO => tracing::info!("Shutting down"),
        lameduck => tracing::info!("Shutting down: not ready any more, answers go on for {lameduck:?}"),
    }
    tokio::select! {
        () = async {
            tokio::time::sleep(lameduck).await;
            let saved = instance.save();
            tokio::join!(saved, instance.drain());
        } => {}
        _ = signals.stop() => {
            tracing::warn!("told to stop again: ending at once");
            logs::flush();
            std::process::exit(1);
        }
    }
}

fn runtime() -> Result<Runtime, Error> {
    let built = Builder::new_multi_thread().thread_name("control").enable_all().build();
    built.map_err(|error| Error::runtime(format!("cannot start threads: {error}")))
}

/// Signals count from before the first port is bound.
fn install_signals(runtime: &Runtime) -> Result<Signals, Error> {
    let _guard = runtime.enter();
    Signals::new().map_err(|error| Error::runtime(format!("cannot listen for signals: {error}")))
}

/// Ends the process on an order to stop while files are read, which takes as long as whoever writes them, or whoever
/// serves their file system, likes.
struct Starting(tokio::task::JoinHandle<()>);

impl Starting {
    fn watch(runtime: &Runtime) -> Result<Self, Error> {
        let mut signals = install_signals(runtime)?;
        Ok(Self(runtime.spawn(async move {
            signals.stop().await;
            tracing::info!("told to stop before the start was complete");
            logs::flush();
            std::process::exit(0);
        })))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A file with the process id, removed when the process ends.
struct Pidfile<'p>(&'p Path);

impl<'p> Pidfile<'p> {
    fn write(path: &'p Path) -> Result<Self, Error> {
        // A link may have been laid by somebody who cannot write where it leads, and a pipe has no reader.
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let written = options.open(path).and_then(|mut file| writeln!(file, "{}", std::process::id()));
        written.map_err(|error| {
            let hint = if path.is_symlink() { "; it is a symbolic link: name the file itself" } else { "" };
            Error::runtime(format!("cannot write the pidfile {}: {error}{hint}", path.display()))
        })?;
        Ok(Self(path))
    }
}

impl Drop for Pidfile<'_> {
    fn drop(&mut self) {
        // A process that has taken over has written its own.
        let written = std::fs::read_to_string(self.0).unwrap_or_default();
        if written.trim() == std::process::id().to_string() {
            let _ = std::fs::remove_file(self.0);
        }
    }
}

fn version() -> String {
    let revision = if REVISION.is_empty() { String::new() } else { format!(", {REVISION}") };
    // As container images name platforms.
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let system = std::env::consts::OS;
    format!("rollcall-{VERSION}\n{system}/{machine}, {COMPATIBLE} compatible{revision}\n")
}

/// Prints what is served and by whom; where log lines are objects, as such.
fn announce(format: logs::LogFormat, plan: Option<&Plan>) -> Result<(), Error> {
    let mut lines: String = plan.map(Plan::banner).unwrap_or_default().into_iter().map(|line| line + "\n").collect();
    lines.push_str(&version());
    match format {
        logs::LogFormat::Text => print(&lines),
        logs::LogFormat::Json => {
            lines.lines().for_each(|line| tracing::info!("{line}"));
            Ok(())
        }
    }
}

fn directives() -> String {
    let names: String = plugins::directive_names().into_iter().map(|name| format!("  dns.{name}\n")).collect();
    format!("Server types:\n  dns\n\nOther plugins:\n{names}")
}

/// Writes to standard output; a reader that is gone is no reason to fail.
fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(())
}
