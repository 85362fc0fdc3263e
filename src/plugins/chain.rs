//! A query on its way through the plugins of a server block, and the reply on its way back.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;

use crate::wire::message::{Message, MessageName, RecordType};
use crate::wire::{Failure, Rcode};

/// One directive at work in one server block.
pub trait Plugin: Send + Sync {
    /// The directive's name.
    fn name(&self) -> &'static str;

    /// Looks at a query: answers it, hands it on, or drops it.
    /// A plugin that changes the reply of those behind it calls `next.run(query)` and changes what comes back.
    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome>;

    /// Why a cluster name must come through this plugin; `None` when the zone may answer without it.
    fn needs_message(&self, cluster_zones: &[crate::wire::Name]) -> Option<String>;
}

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
    pub(crate) plugins: &'a [Arc<dyn Plugin>],
}

impl<'a> Next<'a> {
    /// Runs the rest of the chain; [`Outcome::Next`] comes back only when nobody was left.
    pub fn run(self, query: &'a mut Query) -> BoxFuture<'a, Outcome> {
        let _ = (query, self.plugins);
        todo!()
    }
}

/// A query and what is known of it.
pub struct Query {
    /// The message; plugins may change its question.
    pub request: Message,
    /// Who asks, and by which way.
    pub client: Client,
    /// When the message arrived.
    pub received: Instant,
    /// The server's label in metrics: `dns://:53`.
    pub server: Arc<str>,
    /// The zone of the server block, with a final dot, as in metrics.
    pub zone: Arc<str>,
    /// The way back into the whole server, for names that an answer leads to.
    pub resolver: Arc<dyn Resolve>,
    /// How many look-ups led here: [`Resolve`] refuses past 8.
    pub depth: u8,
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

/// A transport, as metrics and logs name it.
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
}

#[derive(Debug)]
enum Body {
    Octets(Vec<u8>),
    Message(Box<Message>),
}

impl Reply {
    /// An answer as octets, with the id of the query.
    pub fn from_octets(plugin: &'static str, octets: Vec<u8>) -> Self {
        Self { plugin, body: Body::Octets(octets) }
    }

    /// An answer as a message.
    pub fn from_message(plugin: &'static str, message: Message) -> Self {
        Self { plugin, body: Body::Message(Box::new(message)) }
    }

    /// The response code, read without taking octets apart.
    pub fn rcode(&self) -> Rcode {
        todo!()
    }

    /// The message, to look at or to change; octets are read once.
    ///
    /// # Errors
    /// When the octets are no message.
    pub fn message(&mut self) -> Result<&mut Message, Failure> {
        match &mut self.body {
            Body::Message(message) => Ok(message),
            Body::Octets(_) => todo!(),
        }
    }
}
