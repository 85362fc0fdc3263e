//! Decodes what came in the encoding that the server chose.

use super::failure::{ApiStatus, WatchFailure};
use crate::cluster::facts::{DecodeError, Frame, Kind, Page, Status, json, protobuf};

/// The encoding in which the API server spells objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
    /// `application/json`.
    Json,
}

/// The most that is held of a page in JSON, in octets: far more than five hundred objects have, and less than a pod.
const MOST: usize = 64 << 20;

/// A page of a list, or a whole one, that is arriving.
#[derive(Debug)]
pub(super) enum ArrivingList {
    /// Objects are decoded as they come.
    Protobuf(protobuf::ListDecoder),
    /// All that came, to be decoded when it is whole.
    Json(Kind, Vec<u8>),
}

impl ArrivingList {
    pub(super) fn new(kind: Kind, encoding: Encoding) -> Self {
        match encoding {
            Encoding::Protobuf => Self::Protobuf(protobuf::ListDecoder::new(kind)),
            Encoding::Json => Self::Json(kind, Vec::new()),
        }
    }

    /// Takes what the transport brought; gives the objects that are whole, once they are so many.
    pub(super) fn push(&mut self, chunk: &[u8], batch: usize) -> Result<Option<Page>, WatchFailure> {
        match self {
            Self::Protobuf(list) => {
                list.push(chunk).map_err(malformed)?;
                Ok((list.waiting() >= batch).then(|| list.take()))
            }
            Self::Json(_, body) => {
                if body.len() + chunk.len() > MOST {
                    return Err(WatchFailure::Malformed(format!("a page of a list of more than {MOST} octets")));
                }
                body.extend_from_slice(chunk);
                Ok(None)
            }
        }
    }

    /// The rest, with the version of the list.
    pub(super) fn end(self) -> Result<Page, WatchFailure> {
        match self {
            Self::Protobuf(list) => list.end().map_err(malformed),
            Self::Json(kind, body) => json::page(kind, &body).map_err(malformed),
        }
    }
}

/// One event of a watch.
pub(super) fn frame(kind: Kind, encoding: Encoding, octets: &[u8]) -> Result<Frame, WatchFailure> {
    match encoding {
        Encoding::Protobuf => protobuf::frame(kind, octets),
        Encoding::Json => json::frame(kind, octets),
    }
    .map_err(malformed)
}

/// The reason why a request was refused; `None` when a proxy says it in its own way.
pub(super) fn status(encoding: Encoding, body: &[u8]) -> Option<ApiStatus> {
    match encoding {
        Encoding::Protobuf => protobuf::status(body),
        Encoding::Json => json::status(body),
    }
    .map(ApiStatus::from)
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err gives it")]
fn malformed(error: DecodeError) -> WatchFailure {
    WatchFailure::Malformed(error.to_string())
}

impl From<Status> for ApiStatus {
    fn from(status: Status) -> Self {
        Self { code: status.code, reason: status.reason, message: status.message, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_in_json_without_end_is_given_up() {
        let mut list = ArrivingList::new(Kind::Service, Encoding::Json);
        let chunk = vec![b' '; 1 << 20];
        let taken = (0..=MOST >> 20).take_while(|_| list.push(&chunk, usize::MAX).is_ok()).count();
        assert_eq!(taken, MOST >> 20);
    }
}
