//! The helpers that the tests of words share.

use crate::corefile::{Position, Token};

/// A word at line 1.
pub(crate) fn token(text: &str) -> Token {
    Token { text: text.into(), position: Position { file: "Corefile".into(), line: 1, column: 1 } }
}
