//! Server blocks from text, for the tests of directives.

use std::time::Instant;

use super::blocks;
use crate::chain::setup::{Carryover, Host};
use crate::chain::{Block, Mirrors, Source};
use crate::corefile::{Error, Token};
use crate::zone::{Publisher, Reader};

/// Mirrors that hand out one zone, which the test writes.
#[derive(Default)]
pub(crate) struct OneZone {
    pub(crate) publisher: Option<Publisher>,
    pub(crate) sources: Vec<Source>,
}

impl Mirrors for OneZone {
    fn mirror(&mut self, source: &Source, _: &Token) -> Result<Reader, Error> {
        self.sources.push(source.clone());
        Ok(self.publisher.get_or_insert_with(|| crate::zone::pair().0).reader())
    }
}

/// A server block from the text between its braces; directives only, keys `.`.
pub(crate) fn block(text: &str) -> Result<Block, Error> {
    block_with(text, &mut OneZone::default())
}

/// A server block from text, with mirrors of the test's own.
pub(crate) fn block_with(text: &str, mirrors: &mut dyn Mirrors) -> Result<Block, Error> {
    let all = blocks_with(&format!(". {{\n{text}\n}}\n"), mirrors, &Carryover::default())?;
    Ok(all.into_iter().next().unwrap())
}

/// The server blocks of a whole Corefile, with what outlives a reload.
pub(crate) fn blocks_with(text: &str, mirrors: &mut dyn Mirrors, carryover: &Carryover) -> Result<Vec<Block>, Error> {
    let source = crate::corefile::CorefileSource::Text { name: "Corefile".into(), text: text.into() };
    let file = crate::corefile::parse(&source, &|_| None)?;
    let interfaces = [
        ("lo".to_owned(), "127.0.0.1".parse().unwrap()),
        ("lo".to_owned(), "::1".parse().unwrap()),
        ("eth0".to_owned(), "10.244.0.5".parse().unwrap()),
    ];
    let now = Instant::now();
    let mut host = Host {
        interfaces: &interfaces,
        hostname: "server-1",
        default_port: 53,
        mirrors,
        carryover,
        now,
        elsewhere: None,
    };
    blocks::set_up(&file, &mut host)
}

/// The error that a block must give.
pub(crate) fn fault(text: &str) -> String {
    match block(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(error) => error.to_string(),
    }
}
