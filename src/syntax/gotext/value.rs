//! The values that a template works with, each with the type that Go would show it with.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value in a template.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum GoValue {
    /// Go's `nil`.
    Nil,
    /// A truth.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number without sign, of a size.
    Uint(u64, UintSize),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Text(String),
    /// Several values by number, all of a type.
    List(&'static str, Arc<[Self]>),
    /// Several values by name, all of a type.
    Map(&'static str, Arc<BTreeMap<String, Self>>),
    /// Something with fields.
    Object(Arc<GoObject>),
    /// The data of the whole template.
    Root,
}

/// The size of a number without sign, in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UintSize {
    /// An octet of a text.
    Eight,
    /// A type, a class or an id.
    Sixteen,
    /// Go's `uint64`, as `parseInt` gives it.
    SixtyFour,
}

/// Something with fields.
#[derive(Debug, PartialEq)]
pub(crate) struct GoObject {
    /// The type in Go.
    pub(crate) kind: &'static str,
    /// The text that shows it as a whole.
    pub(crate) shown: String,
    /// The fields by name.
    pub(crate) fields: Vec<(&'static str, GoValue)>,
}

/// The type of values that may be anything.
pub(super) const ANY: &str = "interface {}";

impl GoValue {
    /// Text, from octets that may be none.
    pub(super) fn text(octets: &[u8]) -> Self {
        Self::Text(String::from_utf8_lossy(octets).into_owned())
    }

    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => *number != 0,
            Self::Uint(number, _) => *number != 0,
            Self::Float(number) => *number != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(_, list) => !list.is_empty(),
            Self::Map(_, map) => !map.is_empty(),
            Self::Object(_) | Self::Root => true,
        }
    }

    /// The type as Go names it.
    pub(super) fn kind(&self) -> Cow<'static, str> {
        match self {
            Self::Nil => "<nil>".into(),
            Self::Bool(_) => "bool".into(),
            Self::Int(_) => "int".into(),
            Self::Uint(_, UintSize::Eight) => "uint8".into(),
            Self::Uint(_, UintSize::Sixteen) => "uint16".into(),
            Self::Uint(_, UintSize::SixtyFour) => "uint64".into(),
            Self::Float(_) => "float64".into(),
            Self::Text(_) => "string".into(),
            Self::List(of, _) => format!("[]{of}").into(),
            Self::Map(of, _) => format!("map[string]{of}").into(),
            Self::Object(object) => object.kind.into(),
            Self::Root => "*template.templateData".into(),
        }
    }

    /// The value that stands for one that is not there, by its type.
    pub(super) fn zero(kind: &str) -> Self {
        if kind == "string" { Self::Text(String::new()) } else { Self::Nil }
    }
}

impl From<crate::syntax::expression::ExpressionValue> for GoValue {
    fn from(value: crate::syntax::expression::ExpressionValue) -> Self {
        use crate::syntax::expression::ExpressionValue as Own;
        match value {
            Own::Bool(truth) => Self::Bool(truth),
            Own::Int(number) => Self::Int(number),
            Own::Text(text) => Self::Text(text),
        }
    }
}
