//! A query on its way through the plugins of a server block: what is asked, by whom, and what is known of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use futures_util::future::BoxFuture;

use super::reply::Outcome;
use super::request::Request;
use super::trace::Trace;
use crate::syntax::expression::ExpressionSubject;
use crate::wire::message::rdata::opt::EdnsCode;
use crate::wire::message::{DNSClass, Message, MessageName, RecordType, Size};
use crate::wire::{self, Name, sample};

/// The label of a query that no server block has yet.
static NO_LABEL: LazyLock<Arc<str>> = LazyLock::new(|| "".into());

/// A query and what is known of it.
pub struct Query {
    /// The request; plugins may change it.
    pub request: Request,
    /// The client that asks, and the way that it came.
    pub client: Client,
    /// The time of the message's arrival.
    pub received: Instant,
    /// Its length in octets, as received.
    pub size: usize,
    /// The size that the answer may have: what would be longer need not be made.
    pub limit: Size,
    /// The server's label in metrics: `dns://:53`.
    pub server: Arc<str>,
    /// The zone of the server block, with a final dot, as in metrics.
    pub zone: Arc<str>,
    /// The labels that plugins give the query; filled where `metadata` is loaded.
    pub metadata: Metadata,
    /// The way back into the whole server, for names that an answer leads to.
    pub resolver: Arc<dyn Resolve>,
    /// The number of look-ups that led here: [`Resolve`] refuses past 8.
    pub depth: u8,
    /// Whether some plugin or look-up has answered it from the cluster's records; the chain notes it.
    pub of_cluster: AtomicBool,
    /// The names of the cluster's zones on the way that it has no records of and others were asked for; the chain notes them.
    pub passed: Mutex<Vec<Name>>,
    /// The EDNS options that a rule put in: those go upstream, whatever they are.
    pub sent_on: Vec<EdnsCode>,
    /// The notes of its way, where somebody asked for them; its answer is the same with them and without.
    pub trace: Option<Arc<Trace>>,
}

impl Query {
    /// A query as it arrives.
    pub fn new(request: Request, client: Client, received: Instant, limit: Size, resolver: Arc<dyn Resolve>) -> Self {
        Self {
            size: request.octets().len(),
            request,
            client,
            received,
            limit,
            server: NO_LABEL.clone(),
            zone: NO_LABEL.clone(),
            metadata: Metadata::new(),
            resolver,
            depth: 0,
            of_cluster: AtomicBool::new(false),
            passed: Mutex::default(),
            sent_on: Vec::new(),
            trace: None,
        }
    }

    /// The name asked for, as spelled.
    pub fn name(&self) -> MessageName {
        self.request.name().clone()
    }

    /// The name asked for, in lower case.
    pub fn qname(&self) -> Name {
        self.request.qname()
    }

    /// The type asked for.
    pub fn qtype(&self) -> RecordType {
        self.request.qtype()
    }

    /// The class asked for.
    pub fn qclass(&self) -> DNSClass {
        self.request.qclass()
    }

    /// Whether the client can take DNSSEC records (DO, RFC 3225).
    pub fn dnssec_ok(&self) -> bool {
        self.request.edns().is_some_and(|edns| edns.dnssec_ok)
    }

    /// Starts an answer: the id, the question and the flags RD and CD of the query, and an OPT record when it has one.
    pub fn reply_message(&self) -> Message {
        self.request.reply_message()
    }

    /// The same client asks something else: a query of its own, one look-up deeper.
    pub fn follow(&self, name: &MessageName, qtype: RecordType) -> Self {
        Self {
            size: self.size,
            server: self.server.clone(),
            zone: self.zone.clone(),
            depth: self.depth.saturating_add(1),
            sent_on: self.sent_on.clone(),
            trace: self.trace.clone(),
            ..Self::new(self.request.follow(name, qtype), self.client, self.received, self.limit, self.resolver.clone())
        }
    }

    /// More records than the answer can hold.
    pub(crate) fn most_records(&self) -> usize {
        // Owner, type, class, TTL and length: no record is shorter.
        const SHORTEST: usize = 12;
        self.limit.limit / SHORTEST
    }

    /// The places, among so many records of the name asked for, of those that may fit into the answer: all, or a choice that is
    /// the client's own.
    pub(crate) fn some_places(&self, count: usize) -> Choice<usize> {
        let most = self.most_records();
        if count <= most {
            return Choice { records: (0..count).collect(), all: true };
        }
        let name = self.qname();
        let mut records = Vec::with_capacity(most);
        sample::draw(count, most, self.client.choice(name.as_wire(), self.received), |at| {
            records.push(at);
            ControlFlow::Continue(())
        });
        Choice { records, all: false }
    }

    /// The same of records that are at hand.
    pub(crate) fn some_of<T: Clone>(&self, records: &[T]) -> Choice<T> {
        let Choice { records: places, all } = self.some_places(records.len());
        Choice { records: places.into_iter().filter_map(|at| records.get(at).cloned()).collect(), all }
    }

    /// Goes on as over TCP: nothing is truncated.
    pub fn go_over_tcp(&mut self) {
        (self.client.transport, self.limit) = (Transport::Tcp, Size::tcp());
    }

    /// Whether what is known so far came from the cluster's records, in part at least.
    pub fn is_of_cluster(&self) -> bool {
        self.of_cluster.load(Ordering::Relaxed)
    }

    /// Whether the way led by a name of the cluster's zones other than this one: that it is not there may change.
    pub(crate) fn has_passed_others(&self, name: &[u8]) -> bool {
        let passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
        passed.iter().any(|other| other.as_wire() != name)
    }

    /// A plugin that answers in these zones has handed the query on.
    pub(super) fn note_passed(&mut self, zones: &[Name]) {
        if zones.is_empty() {
            return;
        }
        let name = self.qname();
        let passed = self.passed.get_mut().unwrap_or_else(PoisonError::into_inner);
        if zones.iter().any(|zone| name.is_within(zone)) && !passed.contains(&name) {
            passed.push(name);
        }
    }

    /// Takes away what is noted of the cluster so far: whether records of it were met, and the names that were passed.
    pub(crate) fn take_marks(&mut self) -> (bool, Vec<Name>) {
        let passed = self.passed.get_mut().unwrap_or_else(PoisonError::into_inner);
        (std::mem::take(self.of_cluster.get_mut()), std::mem::take(passed))
    }

    /// Notes it again, or for a query that led to this one.
    pub(crate) fn add_marks(&self, (of_cluster, passed): (bool, Vec<Name>)) {
        self.of_cluster.fetch_or(of_cluster, Ordering::Relaxed);
        if !passed.is_empty() {
            self.passed.lock().unwrap_or_else(PoisonError::into_inner).extend(passed);
        }
    }
}

impl ExpressionSubject for Query {
    fn name(&self) -> MessageName {
        self.name()
    }

    fn qtype(&self) -> RecordType {
        self.qtype()
    }

    fn qclass(&self) -> DNSClass {
        self.qclass()
    }

    fn dnssec_ok(&self) -> bool {
        self.dnssec_ok()
    }

    fn id(&self) -> u16 {
        self.request.id()
    }

    fn opcode(&self) -> u8 {
        self.request.opcode().0
    }

    fn bufsize(&self) -> u16 {
        match self.client.transport {
            Transport::Udp => self.request.edns().map_or(512, |edns| edns.payload.max(512)),
            _ => u16::MAX,
        }
    }

    fn size(&self) -> usize {
        self.size
    }

    fn peer(&self) -> SocketAddr {
        self.client.peer
    }

    fn local(&self) -> SocketAddr {
        self.client.local
    }

    fn proto(&self) -> &'static str {
        self.client.transport.label()
    }

    fn metadata(&self, label: &str) -> Option<&str> {
        self.metadata.get(label).map(String::as_str)
    }
}

/// Records for an answer.
pub(crate) struct Choice<T> {
    pub(crate) records: Vec<T>,
    /// There are no more of them.
    pub(crate) all: bool,
}

/// The labels that plugins give a query: `kubernetes/service`, `forward/upstream`.
pub type Metadata = HashMap<String, String>;

/// The client that asks, and the way that it came.
#[derive(Clone, Copy, Debug)]
pub struct Client {
    /// The client's address.
    pub peer: SocketAddr,
    /// The address that was asked.
    pub local: SocketAddr,
    /// The transport.
    pub transport: Transport,
}

impl Client {
    /// The seed by which records stay of an answer that is too long for this client; the name in lower-case wire format.
    pub fn choice(&self, name: &[u8], now: Instant) -> u64 {
        // The time of day, read once.
        static BEGUN: LazyLock<(Instant, u64)> = LazyLock::new(|| {
            let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            (Instant::now(), unix.as_secs())
        });
        let (begun, unix) = *BEGUN;
        wire::choice(self.peer.ip().to_canonical(), name, unix + now.saturating_duration_since(begun).as_secs())
    }
}

/// A transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP, also below TLS.
    Tcp,
    /// DNS over HTTPS.
    Https,
    /// DNS over QUIC.
    Quic,
}

impl Transport {
    /// Its name in logs and metrics: as in CoreDNS, that of the protocol at the bottom.
    pub fn label(self) -> &'static str {
        match self {
            Self::Udp | Self::Quic => "udp",
            Self::Tcp | Self::Https => "tcp",
        }
    }
}

/// Asks the whole server, as a client would: block by zone, then its chain.
pub trait Resolve: Send + Sync {
    /// Looks a name up on behalf of a query.
    fn lookup<'a>(&'a self, query: &'a Query, name: &'a MessageName, qtype: RecordType) -> BoxFuture<'a, Outcome>;
}

/// Whether a type asks for a zone transfer.
pub(crate) fn is_transfer(qtype: RecordType) -> bool {
    matches!(qtype, RecordType::AXFR | RecordType::IXFR)
}
