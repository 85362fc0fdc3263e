//! How the API server is reached: credentials of the pod, a kubeconfig, or an address with certificates.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::ConfigExt;
use kube::config::{AuthInfo, Kubeconfig};
use kube::{Client, Config};
use ring::digest::{SHA256, digest};
use tower::timeout::TimeoutLayer;
use tower::{BoxError, ServiceBuilder};
use tower_http::decompression::DecompressionLayer;

use super::direct::Direct;
use crate::files;

/// The API server's address, and our identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub enum Connection {
    /// The service account that Kubernetes mounts into a pod; token and CA are read again as they change.
    #[default]
    InCluster,
    /// `kubeconfig FILE [CONTEXT]`.
    Kubeconfig {
        /// The file.
        file: PathBuf,
        /// The context; the file's current one where absent.
        context: Option<String>,
    },
    /// `endpoint URL`, with `tls CERT KEY CA` where given.
    Endpoint {
        /// The URL; `http://` or, with certificates, `https://` is assumed where it has no scheme.
        url: String,
        /// The files of `tls`.
        tls: Option<TlsFiles>,
    },
    /// An API server in this process, that is not reached over a socket.
    Direct(Direct),
}

/// The files of the option `tls`. Those that are absent are left to the defaults.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct TlsFiles {
    /// The client certificate, in PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
    /// The certificates that sign the API server's, in PEM; the system's where absent.
    pub ca: Option<PathBuf>,
}

/// A client, and what is known of it.
pub(super) struct Connected {
    pub(super) client: Client,
    /// Host and port of the API server, for metrics.
    pub(super) host: String,
    /// The credentials come from a command, which is not to be run twice a second.
    pub(super) runs_a_command: bool,
}

impl Connection {
    /// Reads the credentials and makes a client with a connection pool of its own. Nothing is sent yet.
    ///
    /// # Errors
    /// When a file cannot be read or does not hold what it should; the message names file or option and the next step.
    ///
    /// # Panics
    /// Outside a tokio runtime: the client starts a task.
    pub(super) fn connect(&self, connect_timeout: Duration, silence: Duration) -> Result<Connected, ConnectError> {
        // Names the one provider, so that no second one in the tree makes rustls refuse to choose. Lost if set already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if let Self::Direct(direct) = self {
            return Ok(Connected { client: direct.connect(), host: direct.to_string(), runs_a_command: false });
        }
        let mut config = self.config()?;
        // The supervisor retries, with what it knows of the state; kube would do it unseen, up to fifteen times.
        config.default_retry = false;
        config.connect_timeout = Some(connect_timeout);
        // Reading has no limit here: a list and a watch each have their own.
        config.read_timeout = None;
        config.write_timeout = Some(connect_timeout);
        // Where nobody has to be trusted, a system without certificates is no obstacle.
        if config.accept_invalid_certs || config.cluster_url.scheme_str() == Some("http") {
            config.root_cert.get_or_insert_default();
        }
        let host = config.cluster_url.authority().map(ToString::to_string).unwrap_or_default();
        let runs_a_command = config.auth_info.exec.is_some();
        let client = client(config, silence).map_err(|error| {
            ConnectError::new(format!("{self}: no client can be made of these credentials: {}", chain(&*error)))
        })?;
        Ok(Connected { client, host, runs_a_command })
    }

    /// The cluster that this leads to: the address of its API server, and a number for the certificates that sign it, which
    /// no two clusters share.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub(super) fn cluster(&self) -> Result<String, ConnectError> {
        if let Self::Direct(direct) = self {
            return Ok(direct.to_string());
        }
        let config = self.config()?;
        let certificates = config.root_cert.iter().flatten().flatten().copied().collect::<Vec<u8>>();
        let number = digest(&SHA256, &certificates);
        let number: String = number.as_ref().iter().take(8).map(|octet| format!("{octet:02x}")).collect();
        Ok(format!("{} with CA {number}", config.cluster_url))
    }

    fn config(&self) -> Result<Config, ConnectError> {
        match self {
            Self::InCluster => Config::incluster().map_err(|error| {
                ConnectError::new(format!(
                    "no credentials of a pod found: {}; outside a cluster, set 'kubeconfig FILE [CONTEXT]' or \
                     'endpoint URL' in the kubernetes directive; inside one, check that automountServiceAccountToken \
                     is not off",
                    chain(&error)
                ))
            }),
            Self::Kubeconfig { file, context } => from_kubeconfig(file, context.as_deref()),
            Self::Endpoint { url, tls } => from_endpoint(url, tls.as_ref()),
            Self::Direct(direct) => Err(ConnectError::new(format!("{direct}: it is reached without credentials"))),
        }
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InCluster => f.write_str("in-cluster service account"),
            Self::Kubeconfig { file, context: None } => write!(f, "kubeconfig {}", file.display()),
            Self::Kubeconfig { file, context: Some(context) } => {
                write!(f, "kubeconfig {} context {context}", file.display())
            }
            Self::Endpoint { url, .. } => write!(f, "endpoint {url}"),
            Self::Direct(direct) => direct.fmt(f),
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The most that a connection holds of a body. hyper's 400 KiB, which a list fills, the watch after it would keep.
const READ_BUFFER: usize = 64 << 10;

/// A client as kube makes it, with three differences.
///
/// Without Nagle's algorithm (<https://github.com/kube-rs/kube/issues/2056>): that holds a request back until the server
/// acknowledges the end of the TLS handshake, which takes it 40 ms. With HTTP/2 where the server speaks it, for the sake
/// of its pings: a connection that fell silent, as behind a load balancer that failed over, is noticed in seconds; over
/// HTTP/1.1 the system's own probes have to do. And the TLS handshake is part of what a connection has its time for.
fn client(config: Config, silence: Duration) -> Result<Client, BoxError> {
    if config.proxy_url.is_some() {
        return Ok(Client::try_from(config)?);
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(config.connect_timeout);
    // The system counts whole seconds, from one on.
    tcp.set_keepalive(Some(silence.max(SECOND)));
    tcp.set_keepalive_interval(Some(SECOND));
    tcp.set_keepalive_retries(Some(2));
    #[cfg(target_os = "linux")]
    tcp.set_tcp_user_timeout(Some(silence * 2));
    let tls = HttpsConnectorBuilder::new().with_tls_config(config.rustls_client_config()?).https_or_http();
    let tls = match &config.tls_server_name {
        Some(name) => tls.with_server_name_resolver(FixedServerNameResolver::new(name.clone().try_into()?)),
        None => tls,
    };
    let connector = ServiceBuilder::new()
        .map_future(Box::pin)
        .option_layer(config.connect_timeout.map(TimeoutLayer::new))
        .service(tls.enable_all_versions().wrap_connector(tcp));
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(DecompressionLayer::new())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(
            hyper_util::client::legacy::Client::builder(TokioExecutor::new())
                .http1_max_buf_size(READ_BUFFER)
                .timer(TokioTimer::new())
                .http2_keep_alive_interval(silence)
                .http2_keep_alive_timeout(silence)
                .http2_keep_alive_while_idle(true)
                .build(connector),
        );
    Ok(Client::new(service, config.default_namespace))
}

fn from_kubeconfig(file: &Path, context: Option<&str>) -> Result<Config, ConnectError> {
    let shown = file.display();
    // Named here once; the reader's own words would name the file again.
    readable(file).map_err(|why| ConnectError::new(format!("kubeconfig {shown}: {why}")))?;
    let mut kubeconfig = Kubeconfig::read_from(file)
        .map_err(|error| ConnectError::new(format!("kubeconfig {shown}: {}", chain(&error))))?;
    let known = || kubeconfig.contexts.iter().map(|named| named.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(context) = context {
        if !kubeconfig.contexts.iter().any(|named| named.name == context) {
            return Err(ConnectError::new(format!(
                "kubeconfig {shown}: there is no context '{context}'; the file has: {}",
                known()
            )));
        }
        kubeconfig.current_context = Some(context.to_owned());
    } else if kubeconfig.current_context.as_deref().unwrap_or_default().is_empty() {
        return Err(ConnectError::new(format!(
            "kubeconfig {shown}: current-context is not set; name one of its contexts after the file: {}",
            known()
        )));
    }
    for named in named_files(&kubeconfig) {
        readable(Path::new(named)).map_err(|why| ConnectError::new(format!("kubeconfig {shown}: {named}: {why}")))?;
    }
    Config::try_from(kubeconfig).map_err(|error| ConnectError::new(format!("kubeconfig {shown}: {}", chain(&error))))
}

/// Whether kube, which reads whatever there is, may read a file.
fn readable(file: &Path) -> Result<(), String> {
    files::check(file, files::CONFIGURATION).map_err(|error| error.why())
}

/// The files that the present context of a kubeconfig has kube read.
fn named_files(kubeconfig: &Kubeconfig) -> impl Iterator<Item = &str> {
    let context = kubeconfig.contexts.iter().find(|named| Some(&named.name) == kubeconfig.current_context.as_ref());
    let context = context.and_then(|named| named.context.as_ref());
    let clusters = kubeconfig.clusters.iter().filter(move |named| context.is_some_and(|own| own.cluster == named.name));
    let users = kubeconfig
        .auth_infos
        .iter()
        .filter(move |named| context.is_some_and(|own| own.user.as_ref() == Some(&named.name)));
    let authorities = clusters.filter_map(|named| named.cluster.as_ref()).map(|cluster| &cluster.certificate_authority);
    let credentials = users.filter_map(|named| named.auth_info.as_ref());
    let credentials = credentials.flat_map(|user| [&user.client_certificate, &user.client_key, &user.token_file]);
    authorities.chain(credentials).filter_map(|file| file.as_deref())
}

fn from_endpoint(url: &str, tls: Option<&TlsFiles>) -> Result<Config, ConnectError> {
    let full = match (url.contains("://"), tls) {
        (true, _) => url.to_owned(),
        (false, Some(_)) => format!("https://{url}"),
        (false, None) => format!("http://{url}"),
    };
    let uri: http::Uri = full
        .parse()
        .map_err(|error| ConnectError::new(format!("endpoint {url}: {error}; write it as https://HOST:PORT")))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().unwrap_or_default().is_empty() {
        return Err(ConnectError::new(format!(
            "endpoint {url}: not a URL of an API server; write it as https://HOST:PORT"
        )));
    }
    let mut config = Config::new(uri);
    let Some(tls) = tls else { return Ok(config) };
    for file in [&tls.cert, &tls.key, &tls.ca].into_iter().flatten() {
        // Named here, with the option; the client would fail later and say less.
        readable(file).map_err(|why| ConnectError::new(format!("tls {}: {why}", file.display())))?;
    }
    if tls.cert.is_some() != tls.key.is_some() {
        return Err(ConnectError::new(
            "tls: a client certificate and its key go together; give both or none".to_owned(),
        ));
    }
    let path = |file: &Option<PathBuf>| file.as_ref().map(|file| file.to_string_lossy().into_owned());
    config.auth_info =
        AuthInfo { client_certificate: path(&tls.cert), client_key: path(&tls.key), ..AuthInfo::default() };
    if let Some(file) = &tls.ca {
        let pem = files::read(file, files::CONFIGURATION)
            .map_err(|error| ConnectError::new(format!("tls {}: {}", file.display(), error.why())))?;
        config.root_cert = Some(certificates(&pem).ok_or_else(|| {
            ConnectError::new(format!("tls {}: holds no certificate in PEM (BEGIN CERTIFICATE)", file.display()))
        })?);
        config.root_cert_file = Some(file.clone());
    }
    Ok(config)
}

/// The certificates of a PEM file; `None` where there is none, or one is broken.
fn certificates(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let found: Vec<Vec<u8>> =
        CertificateDer::pem_slice_iter(pem).map(|cert| cert.map(|der| der.to_vec())).collect::<Result<_, _>>().ok()?;
    (!found.is_empty()).then_some(found)
}

/// An error with its causes, in one line. Kube's own texts repeat their cause; such repetitions are left out.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

//----------- ConnectError ----------------------------------------------------

/// The credentials cannot be used: the operator's to mend.
#[derive(Debug)]
pub struct ConnectError(Box<str>);

impl ConnectError {
    fn new(text: String) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "apiVersion: v1\nkind: Config\n\
        clusters: [{name: c, cluster: {server: 'https://127.0.0.1:6443', insecure-skip-tls-verify: true}}]\n\
        users: [{name: u, user: {token: t}}]\n\
        contexts: [{name: one, context: {cluster: c, user: u}}, {name: two, context: {cluster: missing, user: u}}]\n";

    fn connect(connection: &Connection) -> Result<String, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _guard = runtime.enter();
        connect_to(connection).map(|made| made.host).map_err(|error| error.to_string())
    }

    fn connect_to(connection: &Connection) -> Result<Connected, ConnectError> {
        connection.connect(Duration::from_secs(1), Duration::from_secs(1))
    }

    fn kubeconfig(text: &str, context: Option<&str>) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, text).unwrap();
        connect(&Connection::Kubeconfig { file, context: context.map(str::to_owned) })
    }

    /// Nagle's algorithm would hold it back until the end of the handshake is acknowledged, for which a server has 40 ms.
    #[tokio::test]
    async fn a_request_follows_the_handshake_at_once() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut config = rollcall_testing::tls::server(&rollcall_testing::tls::certificate_for(&["localhost"]));
        // Tickets would carry the acknowledgement.
        config.send_tls13_tickets = 0;
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config");
        std::fs::write(&file, KUBECONFIG.replace("127.0.0.1:6443", &address.to_string())).unwrap();
        let connection = Connection::Kubeconfig { file, context: Some("one".to_owned()) };
        let mut least = Duration::MAX;
        for _ in 0..5 {
            let client = connect_to(&connection).unwrap().client;
            let request = http::Request::get("/api").body(kube::client::Body::empty()).unwrap();
            let asked = tokio::spawn(async move { client.send(request).await.map(drop) });
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(stream).await.unwrap();
            let greeted = std::time::Instant::now();
            tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 100]).await.unwrap();
            least = least.min(greeted.elapsed());
            asked.abort();
        }
        assert!(least < Duration::from_millis(30), "{least:?}");
    }

    #[test]
    fn kubeconfig_with_a_named_context_connects() {
        assert_eq!(kubeconfig(KUBECONFIG, Some("one")).unwrap(), "127.0.0.1:6443");
    }

    #[test]
    fn kubeconfig_without_current_context_lists_its_contexts() {
        let error = kubeconfig(KUBECONFIG, None).unwrap_err();
        assert!(error.contains("current-context is not set") && error.contains("one, two"), "{error}");
    }

    #[test]
    fn kubeconfig_with_an_unknown_context_lists_its_contexts() {
        let error = kubeconfig(KUBECONFIG, Some("three")).unwrap_err();
        assert!(error.contains("no context 'three'") && error.contains("one, two"), "{error}");
    }

    #[test]
    fn kubeconfig_whose_context_names_no_cluster_is_refused() {
        let error = kubeconfig(KUBECONFIG, Some("two")).unwrap_err();
        assert!(error.contains("config: ") && error.contains("missing"), "{error}");
    }

    #[test]
    fn missing_kubeconfig_names_the_file() {
        let error =
            connect(&Connection::Kubeconfig { file: "/nonexistent/kubeconfig".into(), context: None }).unwrap_err();
        assert!(error.contains("/nonexistent/kubeconfig"), "{error}");
    }

    #[test]
    fn endpoint_without_scheme_is_http_without_tls_and_https_with_it() {
        let bare = Connection::Endpoint { url: "127.0.0.1:8080".to_owned(), tls: None };
        assert_eq!(bare.config().unwrap().cluster_url.scheme_str(), Some("http"));
        let tls = Connection::Endpoint { url: "127.0.0.1:8080".to_owned(), tls: Some(TlsFiles::default()) };
        assert_eq!(tls.config().unwrap().cluster_url.scheme_str(), Some("https"));
        assert_eq!(connect(&tls).unwrap(), "127.0.0.1:8080");
    }

    #[test]
    fn endpoint_that_is_no_url_says_how_to_write_it() {
        for url in ["ftp://x", "https://", "http://a b"] {
            let error = connect(&Connection::Endpoint { url: url.to_owned(), tls: None }).unwrap_err();
            assert!(error.contains("https://HOST:PORT"), "{error}");
        }
    }

    #[test]
    fn tls_with_a_missing_or_broken_file_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        std::fs::write(&ca, "no certificate").unwrap();
        let tls = |files| Connection::Endpoint { url: "https://127.0.0.1:1".to_owned(), tls: Some(files) };
        let error = connect(&tls(TlsFiles { ca: Some(ca.clone()), ..TlsFiles::default() })).unwrap_err();
        assert!(error.contains("ca.crt") && error.contains("BEGIN CERTIFICATE"), "{error}");
        let missing = TlsFiles { cert: Some("/nonexistent/a".into()), key: Some(ca.clone()), ca: None };
        let error = connect(&tls(missing)).unwrap_err();
        assert!(error.contains("/nonexistent/a"), "{error}");
        let error = connect(&tls(TlsFiles { cert: Some(ca), key: None, ca: None })).unwrap_err();
        assert!(error.contains("go together"), "{error}");
    }

    #[test]
    fn client_certificate_files_are_used() {
        let folder = rollcall_testing::tls::folder(&["own"]);
        let (cert, key) = (folder.path().join("own.crt"), folder.path().join("own.key"));
        let files = TlsFiles { cert: Some(cert.clone()), key: Some(key), ca: Some(cert) };
        let connection = Connection::Endpoint { url: "localhost:6443".to_owned(), tls: Some(files) };
        assert_eq!(connect(&connection).unwrap(), "localhost:6443");
    }

    #[test]
    fn outside_a_cluster_the_message_says_what_to_set() {
        if std::env::var_os("KUBERNETES_SERVICE_HOST").is_none() {
            let error = connect(&Connection::InCluster).unwrap_err();
            assert!(error.contains("kubeconfig FILE [CONTEXT]"), "{error}");
        }
    }
}
