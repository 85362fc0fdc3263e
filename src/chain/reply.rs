//! The outcome of a query, and the reply on its way back through the plugins.

use std::fmt;

use crate::wire::message::{self, Message, RData, Size};
use crate::wire::{Failure, Rcode};

/// The outcome of a query at a plugin.
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

/// An answer on its way back through the plugins: octets as long as nobody looks inside, a message from then on.
#[derive(Debug)]
pub struct Reply {
    /// The plugin that wrote it; empty when the server did.
    pub plugin: &'static str,
    body: Body,
    more: Option<More>,
    /// Records of the cluster are in it, or it denies them; set by [`Next::run`](super::Next::run) alone.
    pub(super) of_cluster: bool,
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
            Body::Octets(octets) => Rcode::of(octets),
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

/// Adds what the look-up of a target brought to the CNAME that led there.
pub(crate) fn append(message: &mut Message, found: &mut Message) {
    message.answers.append(&mut found.answers);
    message.authorities.append(&mut found.authorities);
    message.metadata.response_code = found.metadata.response_code;
    message.metadata.truncation |= found.metadata.truncation;
}

#[cfg(test)]
mod tests {
    use super::super::testing::query;
    use super::*;
    use crate::wire::message::{RecordType, ResponseCode};

    #[test]
    fn octets_are_read_when_somebody_looks() {
        let asked = query("a.example.", RecordType::A);
        let mut message = asked.reply_message();
        message.metadata.response_code = ResponseCode::NXDomain;
        let mut reply = Reply::from_octets("test", message.to_vec().unwrap());
        assert_eq!(reply.rcode(), Rcode::NXDOMAIN);
        assert!(reply.as_octets().is_some());
        assert_eq!(reply.message().unwrap().queries, asked.request.message().queries);
        assert!(reply.as_octets().is_none());
        assert!(Reply::from_octets("test", vec![1, 2]).message().is_err());
    }
}
