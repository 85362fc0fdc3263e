//! Reads a question and writes an answer in place, without allocating; wraps `hickory-proto` for whole messages.
//!
//! Not for deciding anything: what the answer is, the zone and the plugins say.

#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unwrap_used))]

mod answer;
mod cut;
mod dashed;
mod edns;
mod error;
mod header;
mod layout;
pub mod message;
mod name;
mod opt;
mod question;
mod random;
pub mod reverse;
mod rtype;
pub mod sample;
mod shuffle;
mod ttl;
mod unpacked;
mod validate;
mod walk;

pub use answer::{Answer, Full, Owner, Place, Section, SrvRow, Target, error_reply, failure_reply};
use cut::ADDITIONAL;
pub use cut::{AnswerOctets, Shears, cut};
pub use dashed::Dashed;
pub use edns::{Edns, MOST_UDP, OwnEdns, udp_limit};
pub use error::{Failure, Malformed, Rcode};
pub use header::{Flags, Header, Opcode};
pub use name::{Label, Labels, Name, NameError, is_within};
pub use opt::{EdnsOption, EdnsOptions, NSID, SUBNET, append_opt, opt_head, option_head};
pub use question::{OwnedQuestion, Parsed, QName, Question, bare_message, parse};
pub use random::{Random, choice};
pub use rtype::{Class, Rtype};
pub use shuffle::{Unlike, shuffle_addresses};
pub use ttl::{Serial, Ttl};
pub use unpacked::unpacked_len;
pub use validate::{check, respell};
pub use walk::{FoundRecord, Records, name_at};
