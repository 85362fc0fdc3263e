//! The command line of `rollcall explain`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::{Argument, Arguments, Command, Output, connection, output};
use crate::admin::PageAddress;
use crate::cluster::Connection;
use crate::process::error::Error;

/// The part of `--help` that is about `explain`.
pub(super) const HELP: &str = "\
explain:
  NAME                    a name, as it is typed; with -n, as a pod of that namespace would: its search list completes it
  TYPE                    the type of records (default A)
  -n, --namespace NAMESPACE
                          the namespace of the pod; each name of the search is shown
  --server ADDRESS        the server to ask: ADDRESS:PORT or @SOCKET of its -rollcall.explain
                          (default: @rollcall, where a server in the same pod or on the same machine listens, so that
                          `kubectl exec … -- /rollcall explain NAME` needs nothing else)
  --kubeconfig FILE       no server: the objects of that cluster, answered as kubeadm's Corefile has it
  --manifests PATH        no cluster: the objects of these files, as `rollcall local` reads them; may be repeated
  --zone ZONE             the cluster domain, without a server (default cluster.local)
  -o, --output text|json  text for people (default), or an object for programs
  Told are the answer and why: server block and plugins passed, the rule, the objects with their versions and when they
  arrived, what is left out, and for what is missing the cause and the next step.
  Exit status: 0 there is an answer with records, 1 there is none, 2 nobody could be asked.
  The same binary under the name kubectl-rollcall is a plugin of kubectl: `kubectl rollcall explain NAME`.
";

/// The options of `explain`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct ExplainOptions {
    /// The name.
    pub(in crate::cli) name: String,
    /// The type, as written.
    pub(in crate::cli) rtype: Option<String>,
    /// The namespace whose search list completes the name.
    pub(in crate::cli) namespace: Option<String>,
    /// The source of the answer.
    pub(in crate::cli) source: ExplainSource,
    /// The cluster domain, where no server knows it.
    pub(in crate::cli) zone: String,
    /// The format.
    pub(in crate::cli) output: Output,
}

/// The source of an explanation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum ExplainSource {
    /// A server that runs.
    Server(PageAddress),
    /// The objects of a cluster.
    Cluster(Connection),
    /// Manifests.
    Manifests(Vec<PathBuf>),
}

pub(super) fn read(arguments: &[String], variable: &dyn Fn(&str) -> Option<String>) -> Result<Command, Error> {
    let (mut words, mut namespace, mut zone, mut format) = (Vec::new(), None, "cluster.local".to_owned(), Output::Text);
    let (mut server, mut kubeconfig, mut manifests) = (None, None, Vec::<PathBuf>::new());
    let mut rest = Arguments { rest: arguments, dashes: "--" };
    while let Some(argument) = rest.next() {
        match argument {
            Argument::Word(word) => words.push(word.to_owned()),
            Argument::Flag { name: "h" | "help", .. } => return Ok(Command::Help),
            Argument::Flag { name: name @ ("n" | "namespace"), value } => {
                namespace = Some(super::local::namespace(rest.value(name, value)?)?);
            }
            Argument::Flag { name: name @ "server", value } => {
                let text = rest.value(name, value)?;
                server = Some(text.parse().map_err(|()| {
                    Error::operator(format!(
                        "--server needs ADDRESS:PORT or @SOCKET, as in 127.0.0.1:8053, got `{text}`"
                    ))
                })?);
            }
            Argument::Flag { name: name @ "kubeconfig", value } => kubeconfig = Some(rest.value(name, value)?),
            Argument::Flag { name: name @ "manifests", value } => manifests.push(rest.value(name, value)?.into()),
            Argument::Flag { name: name @ "zone", value } => {
                zone = rest.value(name, value)?.trim_end_matches('.').to_owned()
            }
            Argument::Flag { name: name @ ("output" | "o"), value } => format = output(rest.value(name, value)?)?,
            Argument::Flag { name, .. } => return Err(rest.unknown(name)),
        }
    }
    let mut words = words.into_iter();
    let name = words.next().ok_or_else(|| {
        Error::operator("explain needs a name, as in `rollcall explain kubia-0.kubia.default.svc.cluster.local`")
    })?;
    let rtype = words.next();
    if let Some(more) = words.next() {
        return Err(Error::operator(format!("explain takes a name and a type, got `{more}` as well")));
    }
    let source = match (server, kubeconfig, manifests.is_empty()) {
        (Some(server), None, true) => ExplainSource::Server(server),
        (None, Some(file), true) => ExplainSource::Cluster(connection(Some(file), variable)?),
        (None, None, false) => ExplainSource::Manifests(manifests),
        (None, None, true) => ExplainSource::Server(from_environment(variable)),
        _ => return Err(Error::operator("--server, --kubeconfig and --manifests exclude each other")),
    };
    Ok(Command::Explain(ExplainOptions { name, rtype, namespace, source, zone, output: format }))
}

/// The address that a server with the same environment listens on: `kubectl exec` brings the container's.
fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> PageAddress {
    match variable("ROLLCALL_EXPLAIN").and_then(|text| text.parse().ok()).unwrap_or_default() {
        PageAddress::Tcp(at) if at.ip().is_unspecified() => {
            PageAddress::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, at.port())))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(line: &str) -> Result<ExplainOptions, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match read(&words, &|_| None) {
            Ok(Command::Explain(options)) => Ok(options),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn a_name_is_explained_by_a_server_unless_something_else_is_said() {
        let plain = options("web.prod").unwrap();
        assert_eq!((&*plain.name, plain.rtype, plain.namespace), ("web.prod", None, None));
        assert_eq!(plain.source, ExplainSource::Server(PageAddress::default()));
        let all = options("web SRV -n default --server 127.0.0.1:8053 -o json").unwrap();
        assert_eq!((all.rtype.as_deref(), all.namespace.as_deref()), (Some("SRV"), Some("default")));
        assert_eq!(all.source, ExplainSource::Server("127.0.0.1:8053".parse().unwrap()));
        assert_eq!(all.output, Output::Json);
        let files = options("web --manifests a --manifests=b").unwrap();
        assert_eq!(files.source, ExplainSource::Manifests(vec!["a".into(), "b".into()]));
        let cluster = options("web --kubeconfig k").unwrap();
        let file = Connection::Kubeconfig { file: "k".into(), context: None };
        assert_eq!(cluster.source, ExplainSource::Cluster(file));
    }

    #[test]
    fn what_makes_no_question_is_refused() {
        for (line, says) in [
            ("", "needs a name"),
            ("a A b", "got `b` as well"),
            ("a --server 8053", "needs ADDRESS:PORT or @SOCKET"),
            ("a --server @x --manifests .", "exclude each other"),
            ("a -o yaml", "text or json"),
            ("a -n Default", "lower-case"),
            ("a --wrong", "unknown flag `--wrong`"),
        ] {
            let said = options(line).unwrap_err();
            assert!(said.contains(says), "{line}: {said}");
        }
    }
}
