//! Everything that is told of one question. Fields that a reader does not know are left aside, those that are missing are
//! empty: the program that asks may be older or newer than the server.

use serde::{Deserialize, Serialize};

/// Everything that is told of one question.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// The name, as it was asked for.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The namespace of the pod whose search list completes the name; `None` for a name that is taken as it is.
    pub namespace: Option<String>,
    /// Whether there is an answer with records.
    pub answered: bool,
    /// The response code; `None` when there is no answer, or nobody was asked.
    pub rcode: Option<String>,
    /// The records of the answer, as lines of a zone file.
    pub records: Vec<String>,
    /// The names that were asked for in turn, where a search list completes the name.
    pub search: Vec<SearchStep>,
    /// The name that the rest is about.
    pub about: String,
    /// The zone of the server block that it was for.
    pub block: Option<String>,
    /// The plugins of that block.
    pub plugins: Vec<String>,
    /// The plugins on its way, and what each did.
    pub path: Vec<PathStep>,
    /// The zone of the cluster that holds it.
    pub zone: Option<String>,
    /// The rule by which the cluster's names answer it.
    pub rule: Option<String>,
    /// The objects behind it.
    pub objects: Vec<ReportObject>,
    /// Endpoints and pods that are not in the answer.
    pub left_out: Vec<LeftOut>,
    /// What is wrong or unusual, and the next step.
    pub causes: Vec<Cause>,
    /// The Unix second up to which the snapshot is true that is answered from, until the API server has listed all.
    pub snapshot: Option<u64>,
    /// The state of the watches.
    pub watches: Vec<WatchLine>,
    /// What could not be looked at.
    pub gaps: Vec<String>,
}

/// One name of a search.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SearchStep {
    /// The name.
    pub name: String,
    /// The response code; `None` when no answer came.
    pub rcode: Option<String>,
    /// The number of records in the answer.
    pub records: usize,
}

/// One plugin on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PathStep {
    /// The plugin.
    pub plugin: String,
    /// The name that it was asked for.
    pub name: String,
    /// The number of look-ups that led there.
    pub depth: u8,
    /// What it did.
    pub did: String,
    /// Whether it did something: changed, answered or failed.
    pub acted: bool,
}

/// An object behind an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ReportObject {
    /// `Service` or `EndpointSlice`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its resourceVersion; `None` for one that is not known.
    pub resource_version: Option<u64>,
    /// The Unix second in which the event with this version came.
    pub arrived: Option<u32>,
    /// How long ago that is, in seconds.
    pub age: Option<u32>,
    /// What is in it.
    pub note: String,
}

/// An endpoint or a pod that is not in the answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// The pod, or the address of an endpoint without one.
    pub name: String,
    /// The reason.
    pub why: String,
}

/// What is wrong or unusual.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    /// The cause.
    pub cause: String,
    /// The next step.
    pub next: String,
}

/// The state of one watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WatchLine {
    /// The kind of objects.
    pub kind: String,
    /// The state, in words.
    pub state: String,
}

impl Cause {
    /// A cause and the step that mends it.
    pub fn new(cause: impl Into<String>, next: impl Into<String>) -> Self {
        Self { cause: cause.into(), next: next.into() }
    }
}
