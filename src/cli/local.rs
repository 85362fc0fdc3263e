//! `rollcall local PATH...`: the names of manifests, without a cluster.

mod other_names;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use other_names::OutsideNames;

use super::flags::local::{LocalOptions, Resolvers};
use crate::chain::setup::Carryover;
use crate::cluster;
use crate::cluster::manifests::{LocalCluster, Sources};
use crate::corefile::CorefileSource;
use crate::files;
use crate::process::error::Error;
use crate::process::mirrors::Fixed;
use crate::process::plan::{self, Plan};
use crate::process::{corefile_source, interfaces};
use crate::upstream::{UpstreamAddress, nameservers};
use crate::wire::Name;
use crate::zone::Reader;

/// The address of systemd-resolved, which has a file of its own for the resolvers that it asks itself.
const RESOLVED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// Reads the manifests.
///
/// # Errors
/// When a path cannot be read or a file that is named is wrong, with the place.
pub(super) fn cluster(options: &LocalOptions) -> Result<LocalCluster, Error> {
    let sources = Sources { paths: options.paths.clone(), namespace: options.namespace.clone() };
    LocalCluster::start(&sources, cluster::IndexSettings::default()).map_err(|error| Error::operator(error.to_string()))
}

/// The plan of the server, and the hash of its Corefile.
///
/// # Errors
/// When what the flags say makes no server.
pub(super) fn plan(options: &LocalOptions, reader: &Reader, carryover: &Carryover) -> Result<(Plan, String), Error> {
    let asked = resolvers(options)?;
    let zone = options.zone.trim_end_matches('.');
    match asked.as_slice() {
        [] => tracing::info!("names outside of {zone} do not exist: nobody is asked for them"),
        some => tracing::info!("names outside of {zone} are asked of {}", some.join(", ")),
    }
    let source = CorefileSource::Text { name: "built-in Corefile".to_owned(), text: corefile(options, &asked) };
    let corefile = corefile_source::read(&source)?;
    let port = options.listen.first().map_or(53, SocketAddr::port);
    let mut blocks = plan::set_up(&corefile, port, &mut Fixed(reader.clone()), carryover, None)?;
    for block in blocks.iter_mut().filter(|block| block.keys.iter().any(|key| key.zone.is_root())) {
        let outside = OutsideNames::new(reader.clone(), &asked);
        let at = block.chain.iter().position(|plugin| matches!(plugin.name(), "loop" | "forward"));
        block.chain.insert(at.unwrap_or(block.chain.len()), std::sync::Arc::new(outside));
    }
    Ok((Plan::of(blocks, port)?, corefile_source::hash(&corefile)))
}

/// The Corefile of a server that has the cluster's names and asks others for the rest. What cannot be elsewhere is asked of
/// nobody: the addresses that are given out here, and the names that RFC 6761 keeps at home.
fn corefile(options: &LocalOptions, asked: &[String]) -> String {
    let mut ports: BTreeMap<u16, Vec<IpAddr>> = BTreeMap::new();
    for address in &options.listen {
        ports.entry(address.port()).or_default().push(address.ip());
    }
    let LocalOptions { zone, ttl, .. } = options;
    let forward = match asked {
        [] => String::new(),
        some => format!(
            "    loop
    forward . {} {{
        policy sequential
        max_fails 1
        health_check 1s
        failfast_all_unhealthy_upstreams
    }}
",
            some.join(" ")
        ),
    };
    let block = |(port, addresses): (u16, Vec<IpAddr>)| {
        // All addresses of both families, where nothing else is said.
        let all = addresses.iter().any(|address| address.is_unspecified() && address.is_ipv6());
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let bind = if all { String::new() } else { format!("    bind {}\n", addresses.join(" ")) };
        let kubernetes = format!("pods insecure\n        ttl {ttl}");
        format!(
            ".:{port} {{
{bind}    errors
    kubernetes {zone} in-addr.arpa ip6.arpa {{
        {kubernetes}
        fallthrough in-addr.arpa ip6.arpa
    }}
{forward}    loadbalance
}}
127.in-addr.arpa:{port} f.7.d.f.ip6.arpa:{port} {{
{bind}    errors
    kubernetes {zone} 127.in-addr.arpa f.7.d.f.ip6.arpa {{
        {kubernetes}
    }}
    loadbalance
}}
localhost:{port} {{
{bind}    local
}}
invalid:{port} {{
{bind}    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"
        )
    };
    ports.into_iter().map(block).collect()
}

/// The resolvers for all other names, never this server itself.
fn resolvers(options: &LocalOptions) -> Result<Vec<String>, Error> {
    let own = |address: SocketAddr| {
        options.listen.iter().any(|listen| {
            let every = listen.ip().is_unspecified() && is_of_this_machine(address.ip());
            listen.port() == address.port() && (listen.ip() == address.ip() || every)
        })
    };
    match &options.forward {
        Resolvers::Nobody => Ok(Vec::new()),
        Resolvers::These(these) => {
            if let Some(itself) = these.iter().find(|endpoint| own(endpoint.address)) {
                return Err(Error::operator(format!("--forward {} is this server itself", itself.address)));
            }
            Ok(these.iter().map(ToString::to_string).collect())
        }
        Resolvers::OfTheMachine => {
            let others = |path: &str| {
                let text = files::read_text(Path::new(path), files::CONFIGURATION).unwrap_or_default();
                let others = nameservers(&text).into_iter().filter(|endpoint| !own(endpoint.address));
                others.collect::<Vec<UpstreamAddress>>()
            };
            let mut found = others("/etc/resolv.conf");
            // It may ask this server for what this server asks it.
            if found.iter().any(|endpoint| endpoint.address.ip() == RESOLVED) {
                found = Some(others("/run/systemd/resolve/resolv.conf")).filter(|all| !all.is_empty()).unwrap_or(found);
            }
            Ok(found.iter().map(ToString::to_string).collect())
        }
    }
}

fn is_of_this_machine(address: IpAddr) -> bool {
    address.is_loopback() || interfaces::list().iter().any(|(_, own)| *own == address)
}

/// The text printed once names are answered: what is served, where, and commands to try.
pub(super) fn introduction(cluster: &LocalCluster, listen: &[SocketAddr], options: &LocalOptions) -> String {
    let zone = options.zone.trim_end_matches('.');
    let shown = listen.iter().map(|address| match address.ip().is_unspecified() {
        true => format!("all addresses at port {}", address.port()),
        false => address.to_string(),
    });
    let end = match options.paths.iter().all(|path| path == Path::new("-")) {
        true => "End",
        false => "Edits are followed; end",
    };
    let mut text = format!(
        "{}\nAnswering on {} for {zone}, over UDP and TCP. {end} with Ctrl-C.\n",
        cluster.summary(),
        shown.collect::<Vec<_>>().join(" and "),
    );
    let asked = listen.first().map(|address| match address.ip() {
        ip if ip.is_unspecified() => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), address.port()),
        _ => *address,
    });
    let lines = match (asked, options.zone.parse::<Name>()) {
        (Some(asked), Ok(zone)) => cluster.summary().dig_lines(asked, &zone),
        _ => Vec::new(),
    };
    if !lines.is_empty() {
        text.push_str("Try:\n");
        lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::flags::{self, Command};

    fn options(line: &str) -> LocalOptions {
        match flags::read(line.split_whitespace().map(Into::into), &|_| None) {
            Ok(Command::Local(options)) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nobody_asks_itself() {
        let asked = |line: &str| resolvers(&options(line)).map_err(|error| error.to_string());
        let both = asked("local --listen 127.0.0.1:5353 --forward 127.0.0.1:53,[::1]:5300 x");
        assert_eq!(both, Ok(vec!["127.0.0.1:53".to_owned(), "[::1]:5300".to_owned()]));
        assert_eq!(asked("local --forward none x"), Ok(Vec::new()));
        let said = "--forward 127.0.0.1:5353 is this server itself";
        assert_eq!(asked("local --listen 127.0.0.1:5353 --forward 127.0.0.1:5353 x"), Err(said.to_owned()));
        assert_eq!(asked("local --listen :5353 --forward 127.0.0.1:5353 x"), Err(said.to_owned()));
    }

    #[test]
    fn the_corefile_is_one_and_its_chain_ends_outside() {
        let (_, reader) = crate::zone::pair();
        for line in
            ["local x", "local --listen :1053,127.0.0.2:1054,[::1]:1055 --forward tls://192.0.2.1%dns.example x"]
        {
            let (plan, _) = plan(&options(line), &reader, &Carryover::default()).unwrap();
            let root = plan.blocks.iter().find(|block| block.keys.iter().any(|key| key.zone.is_root())).unwrap();
            let names: Vec<&str> = root.chain.iter().map(|plugin| plugin.name()).collect();
            assert!(names.contains(&"outside"), "{names:?}");
            assert!(root.fast().is_ok(), "cluster names need no chain");
        }
        let text = corefile(&options("local --listen :1053 --ttl 7 x"), &[]);
        assert!(!text.contains("bind") && text.contains("ttl 7") && !text.contains("forward"), "{text}");
    }
}
