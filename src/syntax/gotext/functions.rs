//! The functions of templates: Go's own, and `parseInt`.

use std::cmp::Ordering;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::number::parse_uint;
use super::printf;
use super::value::{GoValue, UintSize};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    And,
    Or,
    Not,
    Len,
    Index,
    Slice,
    Print,
    Printf,
    Println,
    Html,
    Js,
    UrlQuery,
    Call,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    ParseInt,
}

/// The kind that an argument must be of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ParameterType {
    Any,
    Text,
    Int,
}

impl Builtin {
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "and" => Self::And,
            "or" => Self::Or,
            "not" => Self::Not,
            "len" => Self::Len,
            "index" => Self::Index,
            "slice" => Self::Slice,
            "print" => Self::Print,
            "printf" => Self::Printf,
            "println" => Self::Println,
            "html" => Self::Html,
            "js" => Self::Js,
            "urlquery" => Self::UrlQuery,
            "call" => Self::Call,
            "eq" => Self::Equal,
            "ne" => Self::NotEqual,
            "lt" => Self::Less,
            "le" => Self::LessOrEqual,
            "gt" => Self::Greater,
            "ge" => Self::GreaterOrEqual,
            "parseInt" => Self::ParseInt,
            _ => return None,
        })
    }

    /// The least and the most arguments that it takes.
    pub(super) fn arity(self) -> std::ops::RangeInclusive<usize> {
        match self {
            Self::Not | Self::Len => 1..=1,
            Self::NotEqual | Self::Less | Self::LessOrEqual | Self::Greater | Self::GreaterOrEqual => 2..=2,
            Self::ParseInt => 3..=3,
            Self::Print | Self::Println | Self::Html | Self::Js | Self::UrlQuery => 0..=usize::MAX,
            Self::And | Self::Or | Self::Index | Self::Slice | Self::Printf | Self::Call | Self::Equal => {
                1..=usize::MAX
            }
        }
    }

    /// The kind that the argument at a place must be of.
    pub(super) fn wanted(self, place: usize) -> ParameterType {
        match (self, place) {
            (Self::ParseInt | Self::Printf, 0) => ParameterType::Text,
            (Self::ParseInt, _) => ParameterType::Int,
            _ => ParameterType::Any,
        }
    }

    /// Calls it; `and` and `or` have decided before they come here.
    pub(super) fn call(self, values: &[GoValue]) -> Result<GoValue, String> {
        match (self, values) {
            (Self::And | Self::Or, [.., last]) => Ok(last.clone()),
            (Self::Not, [value]) => Ok(GoValue::Bool(!value.is_true())),
            (Self::Len, [value]) => len(value),
            (Self::Index, [item, at @ ..]) => at.iter().try_fold(item.clone(), |item, at| index(&item, at)),
            (Self::Slice, [item, at @ ..]) => slice(item, at),
            (Self::Print, values) => Ok(GoValue::Text(printf::print(values))),
            (Self::Println, values) => {
                let shown = values.iter().map(|value| printf::format("%v", std::slice::from_ref(value)));
                Ok(GoValue::Text(shown.collect::<Vec<_>>().join(" ") + "\n"))
            }
            (Self::Printf, [GoValue::Text(format), values @ ..]) => Ok(GoValue::Text(printf::format(format, values))),
            (Self::Html, values) => Ok(GoValue::Text(html(&printf::print(values)))),
            (Self::Js, values) => Ok(GoValue::Text(script(&printf::print(values)))),
            (Self::UrlQuery, values) => Ok(GoValue::Text(url(&printf::print(values)))),
            (Self::Equal, [_]) => Err("eq compares with nothing".into()),
            (Self::Equal, [first, others @ ..]) => any_equal(first, others).map(GoValue::Bool),
            (Self::NotEqual, [one, other]) => any_equal(one, std::slice::from_ref(other)).map(|is| GoValue::Bool(!is)),
            (Self::Less, [one, other]) => order(one, other).map(|order| GoValue::Bool(order.is_lt())),
            (Self::LessOrEqual, [one, other]) => order(one, other).map(|order| GoValue::Bool(order.is_le())),
            (Self::Greater, [one, other]) => order(one, other).map(|order| GoValue::Bool(order.is_gt())),
            (Self::GreaterOrEqual, [one, other]) => order(one, other).map(|order| GoValue::Bool(order.is_ge())),
            (Self::ParseInt, [GoValue::Text(text), GoValue::Int(base), GoValue::Int(bits)]) => {
                parse_uint(text, *base, *bits).map(|number| GoValue::Uint(number, UintSize::SixtyFour))
            }
            (Self::Call, _) => Err("call: nothing here can be called".into()),
            _ => Err(format!("{self:?} does not take these arguments").to_lowercase()),
        }
    }
}

fn len(value: &GoValue) -> Result<GoValue, String> {
    let len = match value {
        GoValue::Text(text) => text.len(),
        GoValue::List(_, list) => list.len(),
        GoValue::Map(_, map) => map.len(),
        other => return Err(format!("len of {}", other.kind())),
    };
    Ok(GoValue::Int(i64::try_from(len).unwrap_or(i64::MAX)))
}

/// A place in a row of so many, or behind it where that is allowed.
fn place(at: &GoValue, bound: usize) -> Result<usize, String> {
    let place = match at {
        GoValue::Int(at) => usize::try_from(*at).ok(),
        GoValue::Uint(at, _) => usize::try_from(*at).ok(),
        other => return Err(format!("{} is no index", other.kind())),
    };
    place.filter(|place| *place < bound).ok_or_else(|| format!("the index {at} is outside of {bound} values"))
}

fn index(item: &GoValue, at: &GoValue) -> Result<GoValue, String> {
    match item {
        GoValue::List(_, list) => Ok(list.get(place(at, list.len())?).cloned().unwrap_or(GoValue::Nil)),
        GoValue::Text(text) => {
            let octet = text.as_bytes().get(place(at, text.len())?).copied().unwrap_or_default();
            Ok(GoValue::Uint(octet.into(), UintSize::Eight))
        }
        GoValue::Map(kind, map) => match at {
            GoValue::Text(key) => Ok(map.get(key).cloned().unwrap_or_else(|| GoValue::zero(kind))),
            other => Err(format!("the key has the type {}, not string", other.kind())),
        },
        other => Err(format!("{} has no index", other.kind())),
    }
}

fn slice(item: &GoValue, at: &[GoValue]) -> Result<GoValue, String> {
    let len = match item {
        GoValue::Text(_) if at.len() > 2 => return Err("a text is cut at two places at most".into()),
        _ if at.len() > 3 => return Err("slice takes three places at most".into()),
        GoValue::Text(text) => text.len(),
        GoValue::List(_, list) => list.len(),
        other => return Err(format!("{} cannot be cut", other.kind())),
    };
    let places = at.iter().map(|at| place(at, len + 1)).collect::<Result<Vec<_>, _>>()?;
    if !places.is_sorted() {
        return Err("slice ends before it begins".into());
    }
    let range = places.first().copied().unwrap_or(0)..places.get(1).copied().unwrap_or(len);
    Ok(match item {
        GoValue::Text(text) => GoValue::text(text.as_bytes().get(range).unwrap_or_default()),
        GoValue::List(kind, list) => GoValue::List(kind, list.get(range).unwrap_or_default().into()),
        _ => GoValue::Nil,
    })
}

fn any_equal(first: &GoValue, others: &[GoValue]) -> Result<bool, String> {
    for other in others {
        let equal = match (first, other) {
            (GoValue::Nil, GoValue::Nil) => true,
            (GoValue::Nil, _) | (_, GoValue::Nil) => false,
            (GoValue::List(..) | GoValue::Map(..), GoValue::List(..) | GoValue::Map(..)) => {
                return Err(format!("{} and {} cannot be compared", first.kind(), other.kind()));
            }
            (GoValue::Object(one), GoValue::Object(other)) => std::sync::Arc::ptr_eq(one, other),
            (GoValue::Bool(one), GoValue::Bool(other)) => one == other,
            _ => order(first, other)?.is_eq(),
        };
        if equal {
            return Ok(true);
        }
    }
    Ok(false)
}

fn order(one: &GoValue, other: &GoValue) -> Result<Ordering, String> {
    let whole = |value: &GoValue| match value {
        GoValue::Int(number) => Some(i128::from(*number)),
        GoValue::Uint(number, _) => Some(i128::from(*number)),
        _ => None,
    };
    match (one, other) {
        (GoValue::Text(one), GoValue::Text(other)) => return Ok(one.cmp(other)),
        (GoValue::Float(one), GoValue::Float(other)) => return Ok(one.total_cmp(other)),
        _ => {}
    }
    match (whole(one), whole(other)) {
        (Some(one), Some(other)) => Ok(one.cmp(&other)),
        _ => Err(format!("{} and {} cannot be compared", one.kind(), other.kind())),
    }
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

fn script(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '\'' | '"' => out.extend(['\\', c]),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_ascii_control() || !printf::is_printable(c) => {
                out.push_str(&format!("\\u{:04X}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// What is escaped in a query: all but the unreserved (RFC 3986 section 2.3) and the space, which Go writes as `+`.
const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');

fn url(text: &str) -> String {
    utf8_percent_encode(text, QUERY).to_string().replace(' ', "+")
}
