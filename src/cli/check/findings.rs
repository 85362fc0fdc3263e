//! The findings in a Corefile, for people and for programs.

use std::sync::Arc;

use serde::Serialize;

use crate::corefile::Error;

/// One thing worth a word, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The server would refuse the Corefile for it.
    Fault(Error),
    /// Something that works otherwise than it reads, or that only the serving machine can show.
    Note(Error),
}

impl Finding {
    /// Whether the Corefile is refused for it.
    pub(super) fn is_fault(&self) -> bool {
        matches!(self, Self::Fault(_))
    }

    /// The place and the words.
    pub(super) fn error(&self) -> &Error {
        match self {
            Self::Fault(error) | Self::Note(error) => error,
        }
    }

    /// The key by which findings are sorted.
    pub(super) fn place(&self) -> (Arc<str>, u32, u32, String) {
        let Error { position, message } = self.error();
        (position.file.clone(), position.line, position.column, message.clone())
    }
}

/// A finding as a program reads it. Fields may be added; those that are here keep their names and meanings.
#[derive(Serialize)]
struct Row<'f> {
    file: &'f str,
    /// The line, from 1; `null` for the file as a whole.
    line: Option<u32>,
    column: Option<u32>,
    severity: &'static str,
    message: &'f str,
    /// The likely cause, or the next step.
    hint: Option<&'f str>,
}

/// The findings as a JSON array, ended by a line break.
pub(super) fn json(findings: &[Finding]) -> String {
    let rows: Vec<Row<'_>> = findings.iter().map(row).collect();
    let text = serde_json::to_string_pretty(&rows).unwrap_or_else(|_| unreachable!("text and numbers can be written"));
    text + "\n"
}

fn row(finding: &Finding) -> Row<'_> {
    let Error { position, message } = finding.error();
    let is_placed = position.line > 0;
    // What is wrong comes first in every message, and what to do about it behind a semicolon.
    let (message, hint) = message.split_once("; ").map_or((&**message, None), |(what, hint)| (what, Some(hint)));
    Row {
        file: &position.file,
        line: is_placed.then_some(position.line),
        column: is_placed.then_some(position.column),
        severity: if finding.is_fault() { "error" } else { "note" },
        message,
        hint,
    }
}
