//! The command line: CoreDNS's flags, our own below `-rollcall.`, and the subcommands.
//!
//! By hand: flags are Go's, as CoreDNS has them, a word behind one dash or two. To the crates for command lines one dash
//! begins single letters.

pub(super) mod explain;
pub(super) mod local;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::admin::PageAddresses;
use crate::cluster::Connection;
use crate::cluster::snapshot::SnapshotOptions;
use crate::process::error::Error;
use crate::process::instance::LoadLimits;
use crate::process::logs::LogFormat;
use crate::syntax::words::parse_duration;
use crate::upstream::{UpstreamAddress, UpstreamHost, Way};

/// The text of `--help`.
pub(super) fn help() -> String {
    HELP.replace("{local}", local::HELP).replace("{explain}", explain::HELP)
}

const HELP: &str = "\
rollcall answers DNS for a Kubernetes cluster, and takes CoreDNS's Corefile and flags.

usage:
  rollcall [-conf FILE] [FLAGS]                 serve what a Corefile says
  rollcall local [FLAGS] PATH...|-              serve the names of manifest files, without a cluster
  rollcall check [--output json] [--here] FILE|-
                                                say what a Corefile means, or that of a ConfigMap, exit 0 or 2
  rollcall explain [-n NAMESPACE] [--server ADDRESS | --kubeconfig FILE | --manifests PATH] NAME [TYPE]
                                                say why a name is answered as it is, exit 0 answered, 1 not, 2 not asked
  rollcall diff --from ADDRESS[:PORT] --to ADDRESS[:PORT] [--kubeconfig FILE] [--zone ZONE] [--ttl SECONDS] [--show N]
                                                ask two servers every name of a cluster, print where they differ

flags:
  -conf FILE        the Corefile; `stdin` reads it from standard input
                    (default: ./Corefile; in a cluster without one, kubeadm's default)
  -dns.port PORT    port of server blocks that name none (default 53); also -p
  -pidfile FILE     write the process id there
  -plugins          list the directives
  -quiet            print no banner
  -version          print the version
  -log-format FORMAT
                    how log lines are written: text, or json, an object for each line (default text)
  -rollcall.max-in-flight N
                    queries of one address that may wait for plugins at a time, past which the client with most of
                    them gives way (over UDP without an answer, over TCP with SERVFAIL)
                    (default 10000, environment ROLLCALL_MAX_IN_FLIGHT)
  -rollcall.rrl N   amplifying answers over UDP (three times their query and longer) that a client network, an IPv4 /24 or
                    an IPv6 /56, gets in a second from each data thread (default 0, any number, environment
                    ROLLCALL_RRL)
  -rollcall.rrl-slip N
                    past that, of N answers one is sent truncated, for clients to ask over TCP, the others are
                    dropped; 0 drops all (default 2, environment ROLLCALL_RRL_SLIP)
  -rollcall.explain ADDRESS:PORT|@SOCKET|none
                    tell there why a name is answered as it is, to `rollcall explain --server` and to
                    GET /explain?name=NAME&type=TYPE&namespace=NAMESPACE&output=json; an address best on 127.0.0.1
                    (default: on @rollcall, a socket that only processes of the same user in the same pod or on the same
                    machine reach; beside an address, too; environment ROLLCALL_EXPLAIN)
  -rollcall.handover
                    let a process with the same user and flag share the ports, to take over without a lost query: it
                    answers once it knows the cluster's names; then stop the other
                    (default: nobody else, environment ROLLCALL_HANDOVER)
  -rollcall.sandbox on|off
                    give up, at the start, what a server has no use for: capabilities, new privileges, writing files,
                    system calls that break out of containers; of `local` as well
                    (default on, environment ROLLCALL_SANDBOX)
  -rollcall.snapshot DIR
                    keep what is known of the cluster in files there, and answer from them after a restart until the
                    API server has listed everything (default: nowhere, environment ROLLCALL_SNAPSHOT)
  -rollcall.snapshot-max-age DURATION
                    how old such a file may be, as 90s, 30m or 1h (default 1h, environment ROLLCALL_SNAPSHOT_MAX_AGE)
Flags may be written with one dash or two, and as -flag=value.

{local}
{explain}
check:
  FILE                    a Corefile, or ConfigMaps as `kubectl get configmap -o yaml` prints them; - is standard input
  --here                  this machine will serve: a file, interface or certificate that it lacks is a fault
                          (default: a note, since a pod may have it; names of upstreams are not looked up either)
  --output json           print an array, with an object for each finding, in the order of lines: file, line, column
                          (both null for the file as a whole), severity (error or note), message, hint (or null)
  Exit status: 0 the Corefile is accepted, whatever is noted, 2 it is not.

diff:
  --from, --to            the servers, as 10.96.0.10 or 127.0.0.1:1053
  --kubeconfig FILE       the cluster whose names are asked (default: the pod's own cluster, $KUBECONFIG,
                          ~/.kube/config); it needs to list services, endpointslices and namespaces
  --zone ZONE             the cluster domain (default cluster.local)
  --ttl SECONDS           how far TTLs may differ, because a cache counts them down (default 30)
  --show N                how many differences of each kind are printed (default 10)
  Compared are the response code, AA, and the records of each section as sets. Differences from CoreDNS that are
  documented are counted apart. Exit status: 0 no others, 1 others, 2 a server or the cluster could not be asked.

signals: TERM stops after `lameduck`, INT stops at once, USR1 reloads the Corefile.
exit status: 0 clean stop, 1 failure while running, 2 wrong command line or configuration.
";

/// The command that the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    /// Serve a Corefile.
    Serve(ServeOptions),
    /// Serve manifests.
    Local(local::LocalOptions),
    /// Say what a Corefile means.
    Check(CheckOptions),
    /// Compare two servers.
    Diff(DiffOptions),
    /// Say why a name is answered as it is.
    Explain(explain::ExplainOptions),
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// List the directives.
    Plugins,
}

/// Flags of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServeOptions {
    /// The Corefile; `stdin` means standard input.
    pub(super) conf: Option<String>,
    /// The port of server blocks that name none.
    pub(super) port: u16,
    /// The file to write the process id to.
    pub(super) pidfile: Option<PathBuf>,
    /// True to print no banner.
    pub(super) quiet: bool,
    /// The format of log lines.
    pub(super) log_format: LogFormat,
    /// Limits of the load on each address.
    pub(super) load: LoadLimits,
    /// The addresses of the page that explains answers.
    pub(super) explain: PageAddresses,
    /// True when another process may take over, or is taken over from.
    pub(super) handover: bool,
    /// True to give up what the process has no use for.
    pub(super) sandbox: bool,
    /// Where what is known of clusters is kept.
    pub(super) snapshot: Option<SnapshotOptions>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            conf: None,
            port: 53,
            pidfile: None,
            quiet: false,
            log_format: LogFormat::default(),
            load: LoadLimits::default(),
            explain: PageAddresses::default(),
            handover: false,
            sandbox: true,
            snapshot: None,
        }
    }
}

/// The options of `check`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CheckOptions {
    /// The Corefile or manifest; `-` means standard input.
    pub(super) file: PathBuf,
    /// The format of the outcome.
    pub(super) output: Output,
    /// True when this machine will serve, so that what it lacks is a fault.
    pub(super) here: bool,
}

/// The format in which a command tells its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Output {
    /// Text for people.
    #[default]
    Text,
    /// JSON for programs.
    Json,
}

/// The options of `diff`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DiffOptions {
    /// The first server.
    pub(super) from: UpstreamAddress,
    /// The second server.
    pub(super) to: UpstreamAddress,
    /// The cluster whose names are asked.
    pub(super) connection: Connection,
    /// The cluster domain.
    pub(super) zone: String,
    /// The number of seconds by which TTLs may differ.
    pub(super) ttl: u32,
    /// The number of differences printed of each kind.
    pub(super) show: usize,
}

/// Reads the arguments after the program's name. `variable` gives the value of an environment variable.
///
/// # Errors
/// When they make no command; the message says which argument and what was expected.
pub(super) fn read(
    arguments: impl IntoIterator<Item = OsString>,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Command, Error> {
    let arguments: Vec<String> =
        arguments.into_iter().map(|argument| argument.to_string_lossy().into_owned()).collect();
    match arguments.split_first() {
        Some((first, rest)) if first == "local" => local::read(rest, variable),
        Some((first, rest)) if first == "check" => check(rest),
        Some((first, rest)) if first == "diff" => diff(rest, variable),
        Some((first, rest)) if first == "explain" => explain::read(rest, variable),
        Some((first, _)) if first == "help" => Ok(Command::Help),
        _ => serve(&arguments, variable),
    }
}

fn serve(arguments: &[String], variable: &dyn Fn(&str) -> Option<String>) -> Result<Command, Error> {
    let mut options = ServeOptions::default();
    for (name, flag) in LOAD_VARIABLES {
        if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
            load(&mut options.load, flag, name, &value)?;
        }
    }
    options.explain = pages(variable)?;
    if let Some(value) = variable("ROLLCALL_HANDOVER").filter(|value| !value.is_empty()) {
        options.handover = switch("ROLLCALL_HANDOVER", Some(&value))?;
    }
    options.sandbox = sandbox(variable)?;
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    let mut folder = set("ROLLCALL_SNAPSHOT").map(PathBuf::from);
    let mut max_age = Duration::from_secs(3600);
    if let Some(value) = set("ROLLCALL_SNAPSHOT_MAX_AGE") {
        max_age = age("ROLLCALL_SNAPSHOT_MAX_AGE", &value)?;
    }
    let mut command = None;
    let mut rest = Arguments { rest: arguments, dashes: "-" };
    while let Some(argument) = rest.next() {
        let Argument::Flag { name, value } = argument else {
            let Argument::Word(word) = argument else { continue };
            return Err(Error::operator(format!(
                "`{word}` is not expected: flags begin with a dash, subcommands are local, check, diff and explain; see rollcall --help"
            )));
        };
        match name {
            "conf" => options.conf = Some(rest.value(name, value)?.to_owned()),
            "dns.port" | "p" => options.port = port(name, rest.value(name, value)?)?,
            "pidfile" => options.pidfile = Some(rest.value(name, value)?.into()),
            "quiet" => options.quiet = switch(name, value)?,
            "log-format" => options.log_format = log_format(rest.dashes, rest.value(name, value)?)?,
            "plugins" if switch(name, value)? => command = command.or(Some(Command::Plugins)),
            "version" if switch(name, value)? => command = command.or(Some(Command::Version)),
            "h" | "help" => return Ok(Command::Help),
            "rollcall.max-in-flight" | "rollcall.rrl" | "rollcall.rrl-slip" => {
                load(&mut options.load, name, name, rest.value(name, value)?)?;
            }
            "rollcall.explain" => options.explain = pages_at(name, rest.value(name, value)?)?,
            "rollcall.handover" => options.handover = switch(name, value)?,
            "rollcall.sandbox" => options.sandbox = on_or_off(name, rest.value(name, value)?)?,
            "rollcall.snapshot" => {
                folder = Some(PathBuf::from(rest.value(name, value)?)).filter(|folder| !folder.as_os_str().is_empty());
            }
            "rollcall.snapshot-max-age" => max_age = age(name, rest.value(name, value)?)?,
            "plugins" | "version" => {}
            _ => return Err(rest.unknown(name)),
        }
    }
    options.snapshot = folder.map(|folder| SnapshotOptions { folder, max_age });
    Ok(command.unwrap_or(Command::Serve(options)))
}

/// The variables of the load's limits, each with its flag.
const LOAD_VARIABLES: [(&str, &str); 3] = [
    ("ROLLCALL_MAX_IN_FLIGHT", "rollcall.max-in-flight"),
    ("ROLLCALL_RRL", "rollcall.rrl"),
    ("ROLLCALL_RRL_SLIP", "rollcall.rrl-slip"),
];

/// Sets a limit of the load. `name` is that of the flag or variable as it was written.
fn load(load: &mut LoadLimits, flag: &str, name: &str, text: &str) -> Result<(), Error> {
    if flag == "rollcall.max-in-flight" {
        load.max_in_flight = number(name, text)?;
        return Ok(());
    }
    let number = text.parse().map_err(|_| Error::operator(format!("{name} needs a number, got `{text}`")))?;
    match flag {
        "rollcall.rrl" => load.rate.per_second = number,
        _ => load.rate.slip = number,
    }
    Ok(())
}

/// The addresses of the page that explains answers, from the environment.
fn pages(variable: &dyn Fn(&str) -> Option<String>) -> Result<PageAddresses, Error> {
    let set = variable("ROLLCALL_EXPLAIN").filter(|value| !value.is_empty());
    Ok(set.map(|value| pages_at("ROLLCALL_EXPLAIN", &value)).transpose()?.unwrap_or_default())
}

/// Whether to give up what the process has no use for, from the environment.
fn sandbox(variable: &dyn Fn(&str) -> Option<String>) -> Result<bool, Error> {
    let set = variable("ROLLCALL_SANDBOX").filter(|value| !value.is_empty());
    set.map_or(Ok(true), |value| on_or_off("ROLLCALL_SANDBOX", &value))
}

fn on_or_off(name: &str, text: &str) -> Result<bool, Error> {
    match text {
        "on" | "true" => Ok(true),
        "off" | "false" => Ok(false),
        _ => Err(Error::operator(format!("{name} takes on or off, got `{text}`"))),
    }
}

/// How old something may be.
fn age(name: &str, text: &str) -> Result<Duration, Error> {
    match parse_duration(text) {
        Some(age) if !age.is_zero() => Ok(age),
        _ => Err(Error::operator(format!("{name} needs a time above 0 with its unit, as in 30m or 1h, got `{text}`"))),
    }
}

fn pages_at(name: &str, text: &str) -> Result<PageAddresses, Error> {
    text.parse().map_err(|()| {
        Error::operator(format!("{name} needs ADDRESS:PORT, @SOCKET or none, as in 127.0.0.1:8053, got `{text}`"))
    })
}

/// The format in which a command tells its outcome.
fn output(text: &str) -> Result<Output, Error> {
    match text {
        "text" => Ok(Output::Text),
        "json" => Ok(Output::Json),
        other => Err(Error::operator(format!("--output takes text or json, got `{other}`"))),
    }
}

fn check(arguments: &[String]) -> Result<Command, Error> {
    let (mut file, mut format, mut here) = (None, Output::default(), false);
    let mut rest = Arguments { rest: arguments, dashes: "--" };
    while let Some(argument) = rest.next() {
        match argument {
            Argument::Flag { name: "h" | "help", .. } => return Ok(Command::Help),
            Argument::Flag { name: name @ "here", value } => here = switch(name, value)?,
            Argument::Flag { name: name @ ("output" | "o"), value } => {
                format = output(rest.value(name, value)?)?;
            }
            // Nothing is logged here; the arguments of a Deployment can be tried as they are.
            Argument::Flag { name: name @ "log-format", value } => {
                log_format(rest.dashes, rest.value(name, value)?)?;
            }
            Argument::Flag { name, .. } => return Err(rest.unknown(name)),
            Argument::Word(more) if file.is_some() => {
                return Err(Error::operator(format!("check takes one Corefile, got `{more}` as well")));
            }
            Argument::Word(path) => file = Some(PathBuf::from(path)),
        }
    }
    let file = file.ok_or_else(|| Error::operator("check needs a Corefile, as in `rollcall check Corefile`"))?;
    Ok(Command::Check(CheckOptions { file, output: format, here }))
}

fn diff(arguments: &[String], variable: &dyn Fn(&str) -> Option<String>) -> Result<Command, Error> {
    let (mut from, mut to, mut kubeconfig, mut zone, mut ttl) = (None, None, None, "cluster.local".to_owned(), 30);
    let mut show = 10;
    let mut rest = Arguments { rest: arguments, dashes: "--" };
    while let Some(argument) = rest.next() {
        match argument {
            Argument::Flag { name: name @ "from", value } => {
                from = Some(server(name, rest.value(name, value)?, false)?)
            }
            Argument::Flag { name: name @ "to", value } => to = Some(server(name, rest.value(name, value)?, false)?),
            Argument::Flag { name: name @ "kubeconfig", value } => kubeconfig = Some(rest.value(name, value)?),
            Argument::Flag { name: name @ "zone", value } => zone = rest.value(name, value)?.to_owned(),
            Argument::Flag { name: name @ "ttl", value } => {
                let text = rest.value(name, value)?;
                ttl = text.parse().map_err(|_| Error::operator(format!("--ttl needs seconds, got `{text}`")))?;
            }
            Argument::Flag { name: name @ "show", value } => show = number(name, rest.value(name, value)?)?,
            Argument::Flag { name: "h" | "help", .. } => return Ok(Command::Help),
            Argument::Flag { name, .. } => return Err(rest.unknown(name)),
            Argument::Word(word) => {
                return Err(Error::operator(format!(
                    "`{word}` is not expected: diff takes flags only; see rollcall --help"
                )));
            }
        }
    }
    let (Some(from), Some(to)) = (from, to) else {
        return Err(Error::operator(
            "diff needs two servers, as in `rollcall diff --from 10.96.0.10 --to 127.0.0.1:1053`",
        ));
    };
    Ok(Command::Diff(DiffOptions { from, to, connection: connection(kubeconfig, variable)?, zone, ttl, show }))
}

/// The address of a server that is asked, over TLS where that is possible.
fn server(name: &str, text: &str, over_tls: bool) -> Result<UpstreamAddress, Error> {
    let wrong =
        |why: &str| Error::operator(format!("--{name} needs ADDRESS[:PORT], as in 10.96.0.10:53, got `{text}`{why}"));
    let host = UpstreamHost::parse(text).map_err(|error| wrong(&format!(": {error}")))?;
    match (&host.host, host.way) {
        (Ok(address), way) if over_tls || way == Way::Plain => Ok(host.at(*address)),
        _ => Err(wrong("")),
    }
}

/// One argument, taken apart.
enum Argument<'a> {
    Flag { name: &'a str, value: Option<&'a str> },
    Word(&'a str),
}

struct Arguments<'a> {
    rest: &'a [String],
    /// The dashes that messages write before a flag: one for CoreDNS's flags, two for those of subcommands.
    dashes: &'static str,
}

impl<'a> Arguments<'a> {
    fn next(&mut self) -> Option<Argument<'a>> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        let Some(flag) = first.strip_prefix("--").or_else(|| first.strip_prefix('-')).filter(|flag| !flag.is_empty())
        else {
            return Some(Argument::Word(first));
        };
        Some(match flag.split_once('=') {
            Some((name, value)) => Argument::Flag { name, value: Some(value) },
            None => Argument::Flag { name: flag, value: None },
        })
    }

    /// The value of a flag: behind its `=`, or the next argument.
    fn value(&mut self, name: &str, value: Option<&'a str>) -> Result<&'a str, Error> {
        if let Some(value) = value {
            return Ok(value);
        }
        let Some((first, rest)) = self.rest.split_first() else {
            return Err(Error::operator(format!("{}{name} needs a value; see rollcall --help", self.dashes)));
        };
        self.rest = rest;
        Ok(first)
    }

    fn unknown(&self, name: &str) -> Error {
        Error::operator(format!("unknown flag `{}{name}`; see rollcall --help", self.dashes))
    }
}

fn switch(name: &str, value: Option<&str>) -> Result<bool, Error> {
    match value {
        None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
        Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(Error::operator(format!("-{name} takes true or false, got `{other}`"))),
    }
}

fn port(name: &str, text: &str) -> Result<u16, Error> {
    text.parse().map_err(|_| Error::operator(format!("-{name} needs a port from 0 to 65535, got `{text}`")))
}

fn log_format(dashes: &str, text: &str) -> Result<LogFormat, Error> {
    text.parse().map_err(|()| Error::operator(format!("{dashes}log-format takes text or json, got `{text}`")))
}

fn number(name: &str, text: &str) -> Result<usize, Error> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(Error::operator(format!("{name} needs a number above 0, got `{text}`"))),
    }
}

/// The connection to the cluster: the file named, else the pod's own, `$KUBECONFIG`, the kubeconfig of the user.
fn connection(file: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> Result<Connection, Error> {
    let kubeconfig = |file: String| Connection::Kubeconfig { file: file.into(), context: None };
    let set = |name: &str| variable(name).filter(|value| !value.is_empty());
    if let Some(file) = file {
        return Ok(kubeconfig(file.to_owned()));
    }
    if set("KUBERNETES_SERVICE_HOST").is_some() {
        return Ok(Connection::InCluster);
    }
    let first = |list: String| list.split(':').find(|file| !file.is_empty()).map(str::to_owned);
    let home = || set("HOME").map(|home| format!("{home}/.kube/config"));
    set("KUBECONFIG").and_then(first).or_else(home).map(kubeconfig).ok_or_else(|| {
        Error::operator("no cluster to take names from: name a file with --kubeconfig FILE, or set KUBECONFIG")
    })
}

#[cfg(test)]
mod tests;
