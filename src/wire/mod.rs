//! Reads a question and writes an answer in place, without allocating; wraps `hickory-proto` for whole messages.
//!
//! Not for deciding anything: what the answer is, the zone and the plugins say.

mod answer;
mod edns;
mod error;
pub mod message;
mod name;
mod question;

pub use answer::{Answer, Full, Section};
pub use edns::Edns;
pub use error::{Failure, Rcode};
pub use name::{Label, Labels, Name, NameError};
pub use question::{Parsed, QName, Question, parse};
