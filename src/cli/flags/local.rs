//! The flags of `rollcall local`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use super::{Argument, Arguments, Command, log_format, on_or_off, pages, pages_at, sandbox, server};
use crate::admin::PageAddresses;
use crate::process::error::Error;
use crate::process::interfaces;
use crate::process::logs::LogFormat;
use crate::upstream::UpstreamAddress;
use crate::wire::Label;

/// The part of `--help` for `local`.
pub(super) const HELP: &str = "\
local:
  PATH...                 manifest files, folders with all that is below them, or - for standard input, YAML or JSON;
                          edits are followed. In a folder, what is no manifest is left out
  --listen ADDRESS:PORT   where to answer (default 127.0.0.1:1053); :PORT for all addresses, PORT for 127.0.0.1;
                          may be repeated
  --zone ZONE             the cluster domain (default cluster.local)
  -n, --namespace NAME    the namespace of objects that name none (default default)
  --forward ADDRESS       whom to ask for names outside of the zone: 192.0.2.1, [2001:db8::1]:5353, tls://192.0.2.1%NAME;
                          may be repeated; `none` for nobody, so that they do not exist
                          (default: the resolvers of this machine, from /etc/resolv.conf)
  --ttl SECONDS           how long clients may remember an answer (default 5); 0 for not at all
  --log-format FORMAT, --rollcall.explain ADDRESS:PORT|@SOCKET|none, --rollcall.sandbox on|off
                          as above
  Pods get addresses of 127.1.0.0/16, Services of 127.96.0.0/16. StatefulSet, Deployment, ReplicaSet, DaemonSet, Job and
  ReplicationController stand in for their controllers. Annotations on a workload, its pod template or a Pod:
    rollcall.dev/not-ready: \"web-1,web-2\"   these pods are not ready
    rollcall.dev/ready: \"false\"             none of the pods is
  Charts and kustomizations: helm template CHART | rollcall local -
                             kustomize build DIR | rollcall local -
";

/// The options of `local`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct LocalOptions {
    /// The addresses to answer on.
    pub(in crate::cli) listen: Vec<SocketAddr>,
    /// The cluster domain.
    pub(in crate::cli) zone: String,
    /// The namespace of objects that name none.
    pub(in crate::cli) namespace: String,
    /// The resolvers for other names.
    pub(in crate::cli) forward: Resolvers,
    /// The TTL of answers in seconds.
    pub(in crate::cli) ttl: u16,
    /// The format of log lines.
    pub(in crate::cli) log_format: LogFormat,
    /// The addresses of the page that explains answers.
    pub(in crate::cli) explain: PageAddresses,
    /// True to give up what the process has no use for.
    pub(in crate::cli) sandbox: bool,
    /// Manifest files and folders.
    pub(in crate::cli) paths: Vec<PathBuf>,
}

/// The resolvers for names outside of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Resolvers {
    /// The resolvers of /etc/resolv.conf.
    OfTheMachine,
    /// No resolver at all.
    Nobody,
    /// The resolvers named on the command line.
    These(Vec<UpstreamAddress>),
}

pub(super) fn read(arguments: &[String], variable: &dyn Fn(&str) -> Option<String>) -> Result<Command, Error> {
    let mut options = LocalOptions {
        listen: Vec::new(),
        zone: "cluster.local".to_owned(),
        namespace: "default".to_owned(),
        forward: Resolvers::OfTheMachine,
        ttl: 5,
        log_format: LogFormat::default(),
        explain: pages(variable)?,
        sandbox: sandbox(variable)?,
        paths: Vec::new(),
    };
    let mut rest = Arguments { rest: arguments, dashes: "--" };
    while let Some(argument) = rest.next() {
        let (name, value) = match argument {
            Argument::Word(path) => {
                options.paths.push(path.into());
                continue;
            }
            Argument::Flag { name: "h" | "help", .. } => return Ok(Command::Help),
            Argument::Flag { name, value } => (name, value),
        };
        match name {
            "listen" => {
                for word in rest.value(name, value)?.split(',') {
                    options.listen.extend(listen(word)?);
                }
            }
            "zone" => options.zone = rest.value(name, value)?.to_owned(),
            "n" | "namespace" => options.namespace = namespace(rest.value(name, value)?)?,
            "forward" => {
                for word in rest.value(name, value)?.split(',') {
                    options.forward = forward(options.forward, word)?;
                }
            }
            "ttl" => {
                let text = rest.value(name, value)?;
                let ttl = text.parse().ok().filter(|ttl| *ttl <= 3600);
                ttl.ok_or_else(|| Error::operator(format!("--ttl needs seconds from 0 to 3600, got `{text}`")))
                    .map(|ttl| options.ttl = ttl)?;
            }
            "log-format" => options.log_format = log_format(rest.dashes, rest.value(name, value)?)?,
            "rollcall.explain" => options.explain = pages_at(name, rest.value(name, value)?)?,
            "rollcall.sandbox" => options.sandbox = on_or_off(name, rest.value(name, value)?)?,
            _ => return Err(rest.unknown(name)),
        }
    }
    if options.listen.is_empty() {
        options.listen.push(SocketAddr::from(([127, 0, 0, 1], 1053)));
    }
    if options.paths.is_empty() {
        return Err(Error::operator(
            "local needs manifest files or folders, as in `rollcall local deploy/examples/kubia`, or - for standard input",
        ));
    }
    if options.paths.iter().filter(|path| path.as_os_str() == "-").count() > 1 {
        return Err(Error::operator("standard input (-) can be read only once"));
    }
    Ok(Command::Local(options))
}

/// The addresses that one word names.
fn listen(word: &str) -> Result<Vec<SocketAddr>, Error> {
    let wrong =
        || Error::operator(format!("--listen needs ADDRESS:PORT, as in 127.0.0.1:1053, or :PORT, got `{word}`"));
    if let Ok(address) = word.parse() {
        return Ok(vec![address]);
    }
    if let Ok(port) = word.parse() {
        return Ok(vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port)]);
    }
    let (host, port) = word.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    match host {
        "" => Ok(vec![SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port)]),
        // An IPv6 address wants brackets.
        host if host.contains(':') => Err(wrong()),
        host => {
            let found = (host, port).to_socket_addrs().map_err(|error| {
                Error::operator(format!("--listen {word}: the addresses of {host} cannot be found: {error}"))
            })?;
            let mut addresses: Vec<SocketAddr> = found.collect();
            addresses.sort_unstable();
            addresses.dedup();
            // A machine without IPv6 may know its localhost by that family all the same.
            let own: Vec<IpAddr> = interfaces::list().into_iter().map(|(_, own)| own).collect();
            if addresses.iter().any(|address| own.contains(&address.ip())) {
                addresses.retain(|address| own.contains(&address.ip()));
            }
            Ok(addresses)
        }
    }
}

pub(super) fn namespace(text: &str) -> Result<String, Error> {
    let octet = |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || octet == b'-';
    match Label::new(text.as_bytes()) {
        Ok(_) if text.bytes().all(octet) => Ok(text.to_owned()),
        _ => Err(Error::operator(format!("--namespace needs lower-case letters, digits and -, got `{text}`"))),
    }
}

/// Adds a resolver to those before it.
fn forward(before: Resolvers, word: &str) -> Result<Resolvers, Error> {
    match (before, word) {
        (Resolvers::OfTheMachine | Resolvers::Nobody, "none") => Ok(Resolvers::Nobody),
        (Resolvers::OfTheMachine, word) => Ok(Resolvers::These(vec![resolver(word)?])),
        (Resolvers::These(mut these), word) if word != "none" => {
            these.push(resolver(word)?);
            Ok(Resolvers::These(these))
        }
        _ => Err(Error::operator("--forward none stands alone")),
    }
}

fn resolver(word: &str) -> Result<UpstreamAddress, Error> {
    server("forward", word, true)
}
