//! Whole messages on the plugin chain, and their way back to octets.
//!
//! The rest of the project names `hickory-proto` types only through this module.

pub use hickory_proto::op::{Message, MessageType, OpCode, Query as Asked, ResponseCode};
pub use hickory_proto::rr::{DNSClass, Name as MessageName, RData, Record, RecordType, rdata};
