//! The origin of an answer, object by object: for people who ask.

use super::service::Mirrored;
use super::slice::Slice;
use crate::wire::Label;

/// The origin of an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Explanation {
    /// The resourceVersion of the Service object and the Unix second in which it came.
    pub service: Option<(u64, u32)>,
    /// The slices that name the Service.
    pub slices: Vec<ExplainedSlice>,
    /// Endpoints that no slice lists, kept for a moment because they may be between two slices.
    pub held: usize,
}

/// The share of one slice in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedSlice {
    /// Its name.
    pub name: String,
    /// Its resourceVersion.
    pub version: u64,
    /// The Unix second in which this version came.
    pub arrived: u32,
    /// The number of labels that are ready in it.
    pub ready: usize,
    /// The number of labels that are not.
    pub not_ready: usize,
    /// Whether the label that was asked for is ready in it; `None` where it is not listed, or none was asked for.
    pub lists: Option<bool>,
}

impl Explanation {
    /// The origin of the answers for a Service, or for one label of it.
    pub(super) fn of(mirrored: &Mirrored, label: Option<&Label>) -> Self {
        let explain = |slice: &Slice| {
            let ready = slice.ready().count();
            ExplainedSlice {
                name: slice.name.to_string(),
                version: slice.version,
                arrived: slice.arrived,
                ready,
                not_ready: slice.endpoints.len() - ready,
                lists: label.and_then(|label| {
                    let listed = slice.endpoints.find(label.as_bytes());
                    listed.map(|entry| entry.is_ready()).reduce(|one, other| one || other)
                }),
            }
        };
        Self {
            service: mirrored.object.as_ref().map(|object| (object.version, object.arrived)),
            slices: mirrored.slices.iter().map(explain).collect(),
            held: mirrored.holds().len(),
        }
    }
}
