//! `rollcall explain NAME [TYPE]`: why a name is answered as it is, by a server, a cluster or manifests.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;

use super::flags::Output;
use super::flags::explain::{ExplainOptions, ExplainSource};
use crate::admin::{self, PageAddress};
use crate::chain::setup::Carryover;
use crate::cluster::manifests::{LocalCluster, Sources};
use crate::cluster::{Connection, IndexSettings, Mirror, Options};
use crate::corefile::CorefileSource;
use crate::explain::{self, Report};
use crate::files;
use crate::process::corefile_source;
use crate::process::error::Error;
use crate::process::explain::{AskedWhy, Explainer};
use crate::process::mirrors::{Fixed, ZoneOrigin};
use crate::process::plan::{self, Plan};
use crate::wire::Name;
use crate::zone::Reader;

/// The time for the first lists of a cluster.
const PATIENCE: Duration = Duration::from_secs(30);
/// The next step for a name that nobody is asked for here.
const NOBODY: &str = "a server asks its upstreams for it (`forward . /etc/resolv.conf` in kubeadm's Corefile); ask one with \
                      --server, or `kubectl exec` into its pod";

/// Explains, and says whether there is an answer.
///
/// # Errors
/// When nobody could be asked; the message says who, why, and the next step.
pub(super) async fn run(options: &ExplainOptions, out: &mut (dyn Write + Send)) -> Result<bool, Error> {
    let report = match &options.source {
        ExplainSource::Server(address) => ask(address, options).await?,
        ExplainSource::Cluster(connection) => of_cluster(connection, options).await?,
        ExplainSource::Manifests(paths) => {
            let namespace = options.namespace.clone().unwrap_or_else(|| "default".to_owned());
            let sources = Sources { paths: paths.clone(), namespace };
            let cluster = LocalCluster::start(&sources, IndexSettings::default())
                .map_err(|error| Error::operator(error.to_string()))?;
            explain_zone(cluster.reader(), Arc::new(cluster.objects()), options).await?
        }
    };
    let text = match options.output {
        Output::Text => explain::text(&report),
        Output::Json => {
            let text = serde_json::to_string_pretty(&report);
            text.map_err(|error| Error::operator(format!("the report cannot be written: {error}")))? + "\n"
        }
    };
    // A reader that is gone is no reason to fail: the exit status still says what was found.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(report.answered)
}

/// Asks a server.
async fn ask(address: &PageAddress, options: &ExplainOptions) -> Result<Report, Error> {
    let values = [
        ("name", options.name.as_str()),
        ("type", options.rtype.as_deref().unwrap_or_default()),
        ("namespace", options.namespace.as_deref().unwrap_or_default()),
        ("output", "json"),
    ];
    let (status, body) = admin::ask(address, "/explain", &values).await.map_err(|why| {
        Error::operator(format!(
            "no server answers at {address}: {why}; name one with --server, run this in its pod (kubectl exec … -- /rollcall \
             explain NAME), or use --kubeconfig FILE or --manifests PATH without one"
        ))
    })?;
    if status != 200 {
        return Err(Error::operator(format!("{address} says {status}: {}", body.trim_end())));
    }
    serde_json::from_str(&body).map_err(|error| {
        Error::operator(format!("{address} does not answer as a server of this version does: {error}"))
    })
}

/// Reads the objects of a cluster, and explains what they make.
async fn of_cluster(connection: &Connection, options: &ExplainOptions) -> Result<Report, Error> {
    if let Connection::Kubeconfig { file, .. } = connection
        && let Err(error) = files::check(file, files::CONFIGURATION)
    {
        return Err(Error::operator(format!("the kubeconfig {error}; name another with --kubeconfig FILE")));
    }
    let asked = Options { connection: connection.clone(), ..Options::default() };
    let mirror = Mirror::start(&asked, IndexSettings::default(), &Handle::current())
        .map_err(|error| Error::operator(error.to_string()))?;
    let (synced, end) = (mirror.synced(), tokio::time::Instant::now() + PATIENCE);
    let refused = async {
        // What is refused is refused again; an API server that is away may come back.
        loop {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let status = mirror.status();
            let trouble = status.into_iter().find_map(|kind| kind.trouble.filter(|_| !kind.synced));
            if let Some(trouble) = trouble {
                return trouble;
            }
        }
    };
    let trouble = tokio::select! {
        () = synced => None,
        trouble = refused => Some(trouble),
        () = tokio::time::sleep_until(end) => Some(format!("no complete list within {} s", PATIENCE.as_secs())),
    };
    if let Some(trouble) = trouble {
        return Err(Error::operator(format!(
            "{connection}: the cluster could not be listed: {trouble}; it takes the right to list and watch services, \
             endpointslices and namespaces of all namespaces"
        )));
    }
    explain_zone(mirror.reader(), Arc::new(mirror), options).await
}

/// Explains what a zone answers, as the `kubernetes` directive of kubeadm's Corefile has it.
async fn explain_zone(reader: Reader, origin: Arc<dyn ZoneOrigin>, options: &ExplainOptions) -> Result<Report, Error> {
    let zone: Name = options.zone.parse().map_err(|error| {
        Error::operator(format!("--zone needs a domain name, as in cluster.local, got `{}`: {error}", options.zone))
    })?;
    let zone = zone.to_string();
    let zone = zone.trim_end_matches('.');
    let text = format!(
        "{zone} in-addr.arpa ip6.arpa {{\n    kubernetes {zone} in-addr.arpa ip6.arpa {{\n        pods insecure\n    }}\n}}\n"
    );
    let corefile = corefile_source::read(&CorefileSource::Text { name: "built-in Corefile".to_owned(), text })?;
    let blocks = plan::set_up(&corefile, 53, &mut Fixed(reader), &Carryover::default(), None)?;
    let explainer = Explainer::new(&Plan::of(blocks, 53)?, &[origin], NOBODY);
    let asked =
        AskedWhy { name: options.name.clone(), rtype: options.rtype.clone(), namespace: options.namespace.clone() };
    explainer.explain(&asked).await.map_err(Error::operator)
}
