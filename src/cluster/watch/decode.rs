//! Decodes what came in the encoding that the server chose.

use super::failure::{ApiStatus, Failure};
use crate::cluster::facts::{Frame, Kind, Page, Status, json, protobuf};

/// How the API server spells objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// A page of a list.
pub(super) fn page(kind: Kind, encoding: Encoding, body: &[u8]) -> Result<Page, Failure> {
    match encoding {
        Encoding::Protobuf => protobuf::page(kind, body),
        Encoding::Json => json::page(kind, body),
    }
    .map_err(|error| Failure::Malformed(error.to_string()))
}

/// One event of a watch.
pub(super) fn frame(kind: Kind, encoding: Encoding, octets: &[u8]) -> Result<Frame, Failure> {
    match encoding {
        Encoding::Protobuf => protobuf::frame(kind, octets),
        Encoding::Json => json::frame(kind, octets),
    }
    .map_err(|error| Failure::Malformed(error.to_string()))
}

/// Why a request was refused; `None` when a proxy says it in its own way.
pub(super) fn status(encoding: Encoding, body: &[u8]) -> Option<ApiStatus> {
    match encoding {
        Encoding::Protobuf => protobuf::status(body),
        Encoding::Json => json::status(body),
    }
    .map(ApiStatus::from)
}

impl From<Status> for ApiStatus {
    fn from(status: Status) -> Self {
        Self { code: status.code, reason: status.reason, message: status.message, retry_after: None }
    }
}
