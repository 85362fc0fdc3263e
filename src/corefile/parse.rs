//! Tokens to tree: server blocks, snippets, imports.

use std::path::PathBuf;

use super::{Corefile, Error};

/// Where the text of a Corefile comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A file; imports are relative to its folder.
    File(PathBuf),
    /// Text with a name for its positions; imports are relative to the working folder.
    Text {
        /// How positions name it.
        name: String,
        /// The text.
        text: String,
    },
}

/// Reads a Corefile with everything it imports. `variable` gives the value of an environment variable.
///
/// # Errors
/// At the first fault of the grammar, with its place; a file that cannot be read names the place of its import.
pub fn parse(source: &Source, variable: &dyn Fn(&str) -> Option<String>) -> Result<Corefile, Error> {
    let _ = (source, variable);
    todo!()
}
