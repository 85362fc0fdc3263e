//! Turns the text of a Corefile into a syntax tree with file, line and column; knows no directive's meaning.
//!
//! [`parse()`] reads words ([`lex`], which gives each its line and column), puts in what `import` names ([`import`]) and builds the [`tree`]. Work and memory are
//! bounded whatever the text says: imports, words, octets, depth and the size of a file each have a limit.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod error;
mod import;
mod key;
mod lex;
mod parse;
mod position;
mod tree;

pub use error::Error;
pub use import::OtherMachine;
pub use parse::{CorefileSource, parse, parse_elsewhere};
pub use position::Position;
pub use tree::{Corefile, Directive, Key, Scheme, ServerBlock, Token};
