//! The questions that take the chain though the zone could answer them.

use std::sync::Arc;

use crate::syntax::filter::NameFilter;
use crate::wire::{Name, Question, Rtype, is_within};

/// A kind of question that takes the chain though the zone could answer it.
#[derive(Clone, Debug)]
pub enum FastPathExclusion {
    /// Questions of this type.
    Type(Rtype),
    /// Questions with the NSID option.
    Nsid,
    /// Names whose first label is this, in lower case.
    FirstLabel(Box<[u8]>),
    /// This name.
    Name(Name),
    /// Names that may be in this set.
    Names(Arc<NameFilter>),
    /// Names in this zone, of this type where one is given.
    Zone(Name, Option<Rtype>),
}

impl FastPathExclusion {
    /// Whether a question is of this kind.
    pub fn holds(&self, question: &Question<'_>) -> bool {
        match self {
            Self::Type(qtype) => question.qtype == *qtype,
            Self::Nsid => question.edns.is_some_and(|edns| edns.nsid),
            Self::FirstLabel(label) => {
                let (first, rest) = question.qname.as_wire().split_first().unwrap_or((&0, &[]));
                rest.get(..usize::from(*first)) == Some(label)
            }
            Self::Names(filter) => filter.holds(question.qname.as_wire()),
            Self::Name(name) => question.qname.as_wire() == name.as_wire(),
            Self::Zone(zone, qtype) => {
                // A question for any type is one for this type as well.
                qtype.is_none_or(|qtype| [qtype, Rtype::ANY].contains(&question.qtype))
                    && is_within(question.qname.as_wire(), zone.as_wire())
            }
        }
    }
}
