//! A query on its way through the plugins of a server block, and the reply on its way back.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use futures_util::future::BoxFuture;

use crate::syntax::expression::Subject;
use crate::wire::message::rdata::opt::EdnsCode;
use crate::wire::message::{self, Asked, DNSClass, Message, MessageName, OpCode, RData, Record, RecordType, Size};
use crate::wire::{self, Failure, Name, Question, Rcode, sample};
use crate::zone::{TtlBounds, View};

/// One directive at work in one server block.
pub trait Plugin: Send + Sync {
    /// The directive's name.
    fn name(&self) -> &'static str;

    /// Looks at a query: answers it, hands it on, or drops it.
    /// A plugin that changes the reply of those behind it calls `next.run(query)` and changes what comes back.
    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome>;

    /// Why a cluster name must come through this plugin; `None` when the zone may answer without it.
    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String>;

    /// The cluster's names, of the plugin that answers from them.
    fn view(&self) -> Option<Arc<View>> {
        None
    }

    /// Gives what it remembers without the chain; `None` for plugins that remember nothing. `behind` are the plugins behind
    /// it, `shuffled` says that some plugin before it puts addresses in a random order.
    fn recall(&self, server: &Arc<str>, behind: &[Arc<dyn Plugin>], shuffled: bool) -> Option<Box<dyn Recall>> {
        let _ = (server, behind, shuffled);
        None
    }

    /// What it makes of the TTLs of the cluster's records that pass through it.
    fn ttl_bounds(&self) -> Option<TtlBounds> {
        None
    }

    /// What it does to a remembered answer that comes from behind it.
    fn passing(&self) -> Passing {
        Passing::NeedsMessage
    }

    /// Says what it knows of a query, for `log`, `template`, `rewrite` and `view`. Asked only where `metadata` is loaded.
    fn metadata(&self, query: &Query, into: &mut Metadata) {
        let _ = (query, into);
    }

    /// The zones in which it answers from the cluster's records.
    fn cluster_zones(&self) -> &[Name] {
        &[]
    }

    /// Whether it answers from the cluster's records: whatever it says, and whatever is made of that, is in no cache.
    fn is_of_cluster(&self) -> bool {
        !self.cluster_zones().is_empty()
    }

    /// Whether it makes another class of this one: then a query of this class is for those behind it.
    fn takes_class(&self, class: DNSClass) -> bool {
        let _ = class;
        false
    }

    /// All records of a zone that it holds, for `transfer`: the SOA first and not again at the end. They are made one
    /// by one, as the client takes them.
    fn transfer(&self, zone: &MessageName) -> Option<Box<dyn Iterator<Item = Record> + Send>> {
        let _ = zone;
        None
    }

    /// The search path of the client for `autopath`, when the plugin knows the client.
    fn search_path(&self, query: &Query) -> Option<Vec<MessageName>> {
        let _ = query;
        None
    }
}

/// What a plugin does to a remembered answer that comes from behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passing {
    /// It may look at the query or the answer: the chain must run.
    NeedsMessage,
    /// It leaves it as it is.
    Unchanged,
    /// It puts addresses in a random order.
    Shuffled,
}

/// Gives remembered answers of one server block without running its chain.
pub trait Recall: Send + Sync {
    /// Writes the remembered answer to a question into the buffer, or as much of it as the client can take, and returns its
    /// length. `None` when there is none, when it takes more than writing it, or when the client can take more than the
    /// buffer holds: then the chain sees to it.
    fn recall(&self, asking: &Asking<'_>, buffer: &mut [u8]) -> Option<usize>;
}

/// A question, and all that decides how its answer looks.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'q> {
    /// The question.
    pub question: &'q Question<'q>,
    /// Who asks.
    pub client: &'q Client,
    /// When it arrived.
    pub received: Instant,
    /// How large the answer may be.
    pub size: Size,
    /// The seed of random orders.
    pub seed: u64,
}

/// What plugins know of a query, by label: `kubernetes/service`, `forward/upstream`.
pub type Metadata = HashMap<String, String>;

/// What a plugin does with a query.
#[derive(Debug)]
pub enum Outcome {
    /// It has an answer.
    Reply(Reply),
    /// The query is for the next plugin.
    Next,
    /// The client gets nothing.
    Drop,
    /// It should have answered and could not; the name of the plugin that failed.
    Failed(&'static str, Failure),
}

/// The plugins behind the present one.
#[derive(Clone, Copy)]
pub struct Next<'a> {
    plugins: &'a [Arc<dyn Plugin>],
    behind: &'static str,
}

impl<'a> Next<'a> {
    /// The whole chain of a server block.
    pub fn new(plugins: &'a [Arc<dyn Plugin>]) -> Self {
        Self { plugins, behind: "" }
    }

    /// Runs the rest of the chain.
    ///
    /// [`Outcome::Next`] comes back only from a chain without any plugin. Where the last plugin hands a query on,
    /// the operator is told that nobody is left to answer, and the client gets SERVFAIL.
    pub fn run(self, query: &'a mut Query) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let (mut plugins, mut behind) = (self.plugins, self.behind);
            while let Some((first, rest)) = plugins.split_first() {
                behind = first.name();
                match first.serve(&mut *query, Next { plugins: rest, behind }).await {
                    Outcome::Next => {
                        query.note_passed(first.cluster_zones());
                        plugins = rest;
                    }
                    done => return note_cluster(first.is_of_cluster(), query, done),
                }
            }
            match behind {
                "" => Outcome::Next,
                last => Outcome::Failed(last, Failure::servfail(format!("plugin/{last}: no next plugin found"))),
            }
        })
    }

    /// Runs the chain for a query that another one led to: whether that met the cluster's records counts for both.
    pub async fn run_for(self, asking: &Query, asked: &'a mut Query) -> Outcome {
        let outcome = self.run(&mut *asked).await;
        let of_cluster = matches!(&outcome, Outcome::Reply(reply) if reply.of_cluster);
        let (met, passed) = asked.take_marks();
        asking.add_marks((of_cluster || met, passed));
        outcome
    }

    /// The plugins themselves, for those that ask their neighbours.
    pub(crate) fn plugins(&self) -> &'a [Arc<dyn Plugin>] {
        self.plugins
    }
}

/// Says of an outcome whether records of the cluster are in it, or their absence: its plugin has them, or a look-up that it
/// made led there, though it may have gone on elsewhere from there.
fn note_cluster(of_cluster: bool, query: &Query, mut outcome: Outcome) -> Outcome {
    match &mut outcome {
        Outcome::Reply(reply) => {
            reply.of_cluster |= of_cluster || query.is_of_cluster();
            query.of_cluster.fetch_or(reply.of_cluster, Ordering::Relaxed);
        }
        Outcome::Failed(..) => {
            query.of_cluster.fetch_or(of_cluster, Ordering::Relaxed);
        }
        Outcome::Next | Outcome::Drop => {}
    }
    outcome
}

/// A query and what is known of it.
pub struct Query {
    /// The message; plugins may change its question.
    pub request: Message,
    /// Who asks, and by which way.
    pub client: Client,
    /// When the message arrived.
    pub received: Instant,
    /// Its length in octets, as received.
    pub size: usize,
    /// How large the answer may be: what would be longer need not be made.
    pub limit: Size,
    /// The server's label in metrics: `dns://:53`.
    pub server: Arc<str>,
    /// The zone of the server block, with a final dot, as in metrics.
    pub zone: Arc<str>,
    /// What plugins know of the query; filled where `metadata` is loaded.
    pub metadata: Metadata,
    /// The way back into the whole server, for names that an answer leads to.
    pub resolver: Arc<dyn Resolve>,
    /// How many look-ups led here: [`Resolve`] refuses past 8.
    pub depth: u8,
    /// Whether some plugin or look-up has answered it from the cluster's records; the chain notes it.
    pub of_cluster: AtomicBool,
    /// The names of the cluster's zones on the way that it has no records of and others were asked for; the chain notes them.
    pub passed: Mutex<Vec<Name>>,
    /// The EDNS options that a rule put in: those go upstream, whatever they are.
    pub sent_on: Vec<EdnsCode>,
}

impl Query {
    /// The name asked for, as spelled; the root when there is no question.
    pub fn name(&self) -> MessageName {
        self.request.queries.first().map_or_else(MessageName::root, |asked| asked.name.clone())
    }

    /// The type asked for.
    pub fn qtype(&self) -> RecordType {
        self.request.queries.first().map_or(RecordType::ZERO, |asked| asked.query_type)
    }

    /// The class asked for.
    pub fn qclass(&self) -> DNSClass {
        self.request.queries.first().map_or(DNSClass::IN, |asked| asked.query_class)
    }

    /// Whether the client can take DNSSEC records (DO, RFC 3225).
    pub fn dnssec_ok(&self) -> bool {
        self.request.edns.as_ref().is_some_and(|edns| edns.flags().dnssec_ok)
    }

    /// Starts an answer: the id, the question and the flags RD and CD of the query, and an OPT record when it has one.
    pub fn reply_message(&self) -> Message {
        message::answer_to(&self.request)
    }

    /// The same client asks something else: a query of its own, one look-up deeper.
    pub fn follow(&self, name: &MessageName, qtype: RecordType) -> Self {
        let mut request = Message::query();
        request.metadata.id = self.request.metadata.id;
        request.metadata.op_code = OpCode::Query;
        request.metadata.recursion_desired = self.request.metadata.recursion_desired;
        request.metadata.checking_disabled = self.request.metadata.checking_disabled;
        request.queries.push(Asked::query(name.clone(), qtype));
        request.edns.clone_from(&self.request.edns);
        Self {
            request,
            client: self.client,
            received: self.received,
            size: self.size,
            limit: self.limit,
            server: self.server.clone(),
            zone: self.zone.clone(),
            metadata: Metadata::new(),
            resolver: self.resolver.clone(),
            depth: self.depth.saturating_add(1),
            of_cluster: AtomicBool::new(false),
            passed: Mutex::default(),
            sent_on: self.sent_on.clone(),
        }
    }

    /// More records than the answer can hold.
    pub(crate) fn most_records(&self) -> usize {
        // Owner, type, class, TTL and length: no record is shorter.
        const SHORTEST: usize = 12;
        self.limit.limit / SHORTEST
    }

    /// Of so many records of the name asked for, the places of those that may fit into the answer: all, or a choice that is
    /// the client's own.
    pub(crate) fn some_places(&self, count: usize) -> Choice<usize> {
        let most = self.most_records();
        if count <= most {
            return Choice { records: (0..count).collect(), all: true };
        }
        let name = Name::from(&self.name());
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

    /// From now on as over TCP: nothing is truncated.
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
    fn note_passed(&mut self, zones: &[Name]) {
        if zones.is_empty() {
            return;
        }
        let name = Name::from(&self.name());
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

impl Subject for Query {
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
        self.request.metadata.id
    }

    fn opcode(&self) -> u8 {
        self.request.metadata.op_code.into()
    }

    fn bufsize(&self) -> u16 {
        match self.client.transport {
            Transport::Udp => self.request.edns.as_ref().map_or(512, |edns| edns.max_payload().max(512)),
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

/// Who asks, and by which way.
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

/// An answer on its way back through the plugins: octets as long as nobody looks inside, a message from then on.
#[derive(Debug)]
pub struct Reply {
    /// The plugin that wrote it; empty when the server did.
    pub plugin: &'static str,
    body: Body,
    more: Option<More>,
    /// Records of the cluster are in it, or it denies them; set by [`Next::run`] alone.
    of_cluster: bool,
}

/// The messages of an answer behind the first one, made one by one as they are taken.
pub struct More(Box<dyn Iterator<Item = Vec<u8>> + Send>);

impl More {
    /// Messages, in order.
    pub fn new(messages: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Self {
        Self(Box::new(messages))
    }

    /// Adds the messages of another answer behind these.
    pub fn append(&mut self, other: Self) {
        let first = std::mem::replace(&mut self.0, Box::new(std::iter::empty()));
        self.0 = Box::new(first.chain(other.0));
    }
}

impl Iterator for More {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        self.0.next()
    }
}

impl fmt::Debug for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("More")
    }
}

#[derive(Debug)]
enum Body {
    Octets(Vec<u8>),
    Message(Box<Message>),
}

impl Reply {
    /// An answer as octets, with the id of the query.
    pub fn from_octets(plugin: &'static str, octets: Vec<u8>) -> Self {
        Self { plugin, body: Body::Octets(octets), more: None, of_cluster: false }
    }

    /// An answer as a message.
    pub fn from_message(plugin: &'static str, message: Message) -> Self {
        Self { plugin, body: Body::Message(Box::new(message)), more: None, of_cluster: false }
    }

    /// Adds messages that follow the first one over TCP, as in a zone transfer (RFC 5936 section 2.2).
    pub(crate) fn followed_by(mut self, more: More) -> Self {
        self.more = Some(more);
        self
    }

    /// Takes the messages that follow the first one; most answers have none.
    pub fn take_more(&mut self) -> Option<More> {
        self.more.take()
    }

    /// Whether it holds records of the cluster, or denies that there are some: no cache may have it.
    pub fn is_of_cluster(&self) -> bool {
        self.of_cluster
    }

    /// The response code, read without taking octets apart.
    pub fn rcode(&self) -> Rcode {
        match &self.body {
            Body::Octets(octets) => Rcode(u16::from(octets.get(3).copied().unwrap_or(2) & 0x0f)),
            Body::Message(message) => Rcode(message.metadata.response_code.into()),
        }
    }

    /// The message, to look at or to change; octets are read once.
    ///
    /// # Errors
    /// When the octets are no message.
    pub fn message(&mut self) -> Result<&mut Message, Failure> {
        if let Body::Octets(octets) = &self.body {
            let message = message::decode(octets).map_err(|failure| {
                Failure::servfail(format!("plugin/{}: its answer cannot be read: {failure}", self.plugin))
            })?;
            self.body = Body::Message(Box::new(message));
        }
        match &mut self.body {
            Body::Message(message) => Ok(message),
            Body::Octets(_) => Err(Failure::servfail("the answer was not read")),
        }
    }

    /// The answer as octets. Of a message that is too long for one, `seed` decides which records stay.
    pub fn into_octets(self, seed: u64) -> Vec<u8> {
        match self.body {
            Body::Octets(octets) => octets,
            Body::Message(message) => {
                let mut buffer = Vec::new();
                message::encode(&message, Size::tcp(), seed, &mut buffer);
                buffer
            }
        }
    }

    /// The octets, as long as nobody has looked inside, or where looking shows no more: a message that holds data as
    /// octets becomes octets again.
    pub(crate) fn octets_unless_read(&mut self) -> Option<&mut Vec<u8>> {
        if let Body::Message(message) = &self.body
            && message.all_sections().any(|record| matches!(record.data, RData::Unknown { .. }))
        {
            let mut buffer = Vec::with_capacity(512);
            message::encode(message, Size::tcp(), 0, &mut buffer);
            self.body = Body::Octets(buffer);
        }
        match &mut self.body {
            Body::Octets(octets) => Some(octets),
            Body::Message(_) => None,
        }
    }

    /// The octets, to be changed in place; a message is written first.
    pub(crate) fn octets_mut(&mut self) -> &mut Vec<u8> {
        if let Body::Message(message) = &self.body {
            let mut buffer = Vec::new();
            message::encode(message, Size::tcp(), 0, &mut buffer);
            self.body = Body::Octets(buffer);
        }
        match &mut self.body {
            Body::Octets(octets) => octets,
            Body::Message(_) => unreachable!("it was written above"),
        }
    }

    /// The octets, as long as nobody has looked inside.
    pub fn as_octets(&self) -> Option<&[u8]> {
        match &self.body {
            Body::Octets(octets) => Some(octets),
            Body::Message(_) => None,
        }
    }
}

/// Whether a type asks for a zone transfer.
pub(crate) fn is_transfer(qtype: RecordType) -> bool {
    matches!(qtype, RecordType::AXFR | RecordType::IXFR)
}

/// Adds what the look-up of a target brought to the CNAME that led there.
pub(crate) fn append(message: &mut Message, found: &mut Message) {
    message.answers.append(&mut found.answers);
    message.authorities.append(&mut found.authorities);
    message.metadata.response_code = found.metadata.response_code;
    message.metadata.truncation |= found.metadata.truncation;
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Answers, Hands, query, run};
    use super::*;
    use crate::wire::message::ResponseCode;

    #[test]
    fn a_query_passes_those_that_hand_it_on() {
        let chain: Vec<Arc<dyn Plugin>> = vec![Arc::new(Hands), Arc::new(Answers::with("a.example. 5 IN A 192.0.2.1"))];
        let Outcome::Reply(mut reply) = run(&chain, &mut query("a.example.", RecordType::A)) else {
            panic!("no reply")
        };
        assert_eq!(reply.message().unwrap().answers.len(), 1);
    }

    #[test]
    fn a_chain_that_nobody_answers_fails_at_its_last_plugin() {
        let chain: Vec<Arc<dyn Plugin>> = vec![Arc::new(Hands)];
        let Outcome::Failed("hands", failure) = run(&chain, &mut query("a.example.", RecordType::A)) else {
            panic!("not failed")
        };
        assert_eq!(failure.message, "plugin/hands: no next plugin found");
        assert_eq!(failure.rcode, Rcode::SERVFAIL);
        assert!(matches!(run(&[], &mut query("a.example.", RecordType::A)), Outcome::Next));
    }

    #[test]
    fn octets_are_read_when_somebody_looks() {
        let asked = query("a.example.", RecordType::A);
        let mut message = asked.reply_message();
        message.metadata.response_code = ResponseCode::NXDomain;
        let mut reply = Reply::from_octets("test", message.to_vec().unwrap());
        assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
        assert!(reply.as_octets().is_some());
        assert_eq!(reply.message().unwrap().queries, asked.request.queries);
        assert!(reply.as_octets().is_none());
        assert!(Reply::from_octets("test", vec![1, 2]).message().is_err());
    }
}
