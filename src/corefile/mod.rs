//! Turns the text of a Corefile into a syntax tree with file, line and column; knows no directive's meaning.

mod error;
mod lex;
mod parse;
mod tree;

pub use error::Error;
pub use parse::{Source, parse};
pub use tree::{Corefile, Directive, Key, Position, Scheme, ServerBlock, Token};
