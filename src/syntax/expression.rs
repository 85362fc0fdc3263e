//! The expressions of `view` and `template`: read once, worked out for each query.
//!
//! What cannot be worked out, as whether a text that is no address lies in a network, is neither true nor false: it is
//! unknown, and so is its opposite (Kleene's logic). `false && unknown` is false, `true || unknown` is true. Who asks
//! whether an expression is true is told so only where it is known.
//!
//! By hand: the language is that of a Go library, of which no crate has the operators, and what a query may cost is bounded.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use regex::Regex;

use super::{names, words};
use crate::wire::message::{DNSClass, MessageName, RecordType};

/// An expression.
#[derive(Debug)]
pub(crate) enum Expression {
    Literal(ExpressionValue),
    List(Vec<Self>),
    Call(ExpressionFunction, Vec<Self>),
    Not(Box<Self>),
    /// All of several are true.
    And(Vec<Self>),
    /// Any of several is true.
    Or(Vec<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Matches(Box<Self>, Regex),
    In(Box<Self>, Vec<Self>),
    /// `group(…)`: a group of the regular expression.
    Group(Box<Self>),
    /// A variable, by its number.
    Variable(usize),
    /// `#`: the item that a quantifier looks at.
    Item,
    /// `any`, `all` or `none` of a list.
    Each(Quantifier, Vec<Self>, Box<Self>),
}

/// The number of items of a list for which a condition must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantifier {
    Any,
    All,
    None,
}

/// The names that an expression may use beside the functions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Scope<'s> {
    /// True where there are groups.
    pub(crate) groups: bool,
    /// The variables, in the order of their values.
    pub(crate) variables: &'s [String],
}

/// A query, as far as the functions of an expression ask for it.
pub(crate) trait ExpressionSubject {
    /// The name asked for, as spelled.
    fn name(&self) -> MessageName;
    /// The type asked for.
    fn qtype(&self) -> RecordType;
    /// The class asked for.
    fn qclass(&self) -> DNSClass;
    /// Whether the client can take DNSSEC records.
    fn dnssec_ok(&self) -> bool;
    /// The message's id.
    fn id(&self) -> u16;
    /// The message's opcode.
    fn opcode(&self) -> u8;
    /// The number of octets that the client can take.
    fn bufsize(&self) -> u16;
    /// The message's length in octets.
    fn size(&self) -> usize;
    /// The client's address.
    fn peer(&self) -> SocketAddr;
    /// The address that was asked.
    fn local(&self) -> SocketAddr;
    /// The transport's name.
    fn proto(&self) -> &'static str;
    /// The metadata of the query under a label, as plugins know it.
    fn metadata(&self, label: &str) -> Option<&str>;
}

/// The surroundings that an expression is worked out in.
#[derive(Clone, Copy)]
pub(crate) struct Env<'e> {
    pub(crate) query: &'e dyn ExpressionSubject,
    /// The group of a name or number.
    pub(crate) group: &'e dyn Fn(&str) -> String,
    /// The values of the variables.
    pub(crate) variables: &'e [ExpressionValue],
    item: Option<&'e ExpressionValue>,
}

impl<'e> Env<'e> {
    /// The surroundings of a template's expression.
    pub(crate) fn new(
        query: &'e dyn ExpressionSubject,
        group: &'e dyn Fn(&str) -> String,
        variables: &'e [ExpressionValue],
    ) -> Self {
        Self { query, group, variables, item: None }
    }
}

impl<'e, S: ExpressionSubject> From<&'e S> for Env<'e> {
    fn from(query: &'e S) -> Self {
        Self { query, group: &|_| String::new(), variables: &[], item: None }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ExpressionValue {
    Bool(bool),
    Int(i64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
    StartsWith,
    EndsWith,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExpressionFunction {
    Bufsize,
    Class,
    ClientIp,
    Do,
    Id,
    Name,
    Opcode,
    Port,
    Proto,
    ServerIp,
    ServerPort,
    Size,
    Type,
    InCidr,
    Metadata,
    Replace,
    Lower,
    Upper,
    Trim,
    Len,
}

const FUNCTIONS: [(&str, ExpressionFunction, usize); 20] = [
    ("bufsize", ExpressionFunction::Bufsize, 0),
    ("class", ExpressionFunction::Class, 0),
    ("client_ip", ExpressionFunction::ClientIp, 0),
    ("do", ExpressionFunction::Do, 0),
    ("id", ExpressionFunction::Id, 0),
    ("name", ExpressionFunction::Name, 0),
    ("opcode", ExpressionFunction::Opcode, 0),
    ("port", ExpressionFunction::Port, 0),
    ("proto", ExpressionFunction::Proto, 0),
    ("server_ip", ExpressionFunction::ServerIp, 0),
    ("server_port", ExpressionFunction::ServerPort, 0),
    ("size", ExpressionFunction::Size, 0),
    ("type", ExpressionFunction::Type, 0),
    ("incidr", ExpressionFunction::InCidr, 2),
    ("metadata", ExpressionFunction::Metadata, 1),
    ("replace", ExpressionFunction::Replace, 3),
    ("lower", ExpressionFunction::Lower, 1),
    ("upper", ExpressionFunction::Upper, 1),
    ("trim", ExpressionFunction::Trim, 1),
    ("len", ExpressionFunction::Len, 1),
];

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says what is not understood.
    pub(crate) fn parse(text: &str, scope: Scope<'_>) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut rest = Rest { tokens: &tokens, scope, has_item: false, depth: 0 };
        let found = or(&mut rest)?;
        match rest.tokens.first() {
            None => Ok(found),
            Some(token) => Err(format!("`{}` cannot stand there", token.text)),
        }
    }

    /// Whether it is known to be true of a query.
    pub(crate) fn is_true<'e>(&self, env: impl Into<Env<'e>>) -> bool {
        self.truth(env.into()) == Some(true)
    }

    /// Whether it is true or false; `None` when that is unknown, as for what is neither.
    fn truth(&self, env: Env<'_>) -> Option<bool> {
        match self.value(env)? {
            ExpressionValue::Bool(truth) => Some(truth),
            ExpressionValue::Int(_) | ExpressionValue::Text(_) => None,
        }
    }

    /// The value; `None` when it is unknown, as for an address that is none.
    pub(crate) fn value(&self, env: Env<'_>) -> Option<ExpressionValue> {
        Some(match self {
            Self::Literal(value) => value.clone(),
            Self::List(_) => return None,
            Self::Call(function, arguments) => return function.call(arguments, env),
            Self::Not(inner) => ExpressionValue::Bool(!inner.truth(env)?),
            Self::And(parts) => ExpressionValue::Bool(!any(parts.iter().map(|part| Some(!part.truth(env)?)))?),
            Self::Or(parts) => ExpressionValue::Bool(any(parts.iter().map(|part| part.truth(env)))?),
            Self::Compare(comparison, left, right) => {
                ExpressionValue::Bool(comparison.holds(&left.value(env)?, &right.value(env)?)?)
            }
            Self::Matches(left, regex) => match left.value(env)? {
                ExpressionValue::Text(text) => ExpressionValue::Bool(regex.is_match(&text)),
                _ => return None,
            },
            Self::In(left, list) => {
                let left = left.value(env)?;
                ExpressionValue::Bool(any(list.iter().map(|item| Some(item.value(env)? == left)))?)
            }
            Self::Group(name) => ExpressionValue::Text((env.group)(&name.value(env)?.to_string())),
            Self::Variable(at) => env.variables.get(*at)?.clone(),
            Self::Item => env.item?.clone(),
            Self::Each(quantifier, list, predicate) => {
                let mut truths = list.iter().map(|item| {
                    let item = item.value(env)?;
                    predicate.truth(Env { item: Some(&item), ..env })
                });
                ExpressionValue::Bool(match quantifier {
                    Quantifier::Any => any(truths)?,
                    Quantifier::None => !any(truths)?,
                    Quantifier::All => !any(truths.by_ref().map(|truth| Some(!truth?)))?,
                })
            }
        })
    }
}

/// Whether any of several is true: known as soon as one is, unknown where none is and one might be.
fn any(truths: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut found = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return Some(true),
            Some(false) => {}
            None => found = None,
        }
    }
    found
}

impl fmt::Display for ExpressionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(truth) => truth.fmt(f),
            Self::Int(number) => number.fmt(f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl Comparison {
    /// Whether it holds; unknown for values that cannot be compared so.
    fn holds(self, left: &ExpressionValue, right: &ExpressionValue) -> Option<bool> {
        let order = match (left, right) {
            (ExpressionValue::Int(left), ExpressionValue::Int(right)) => Some(left.cmp(right)),
            (ExpressionValue::Text(left), ExpressionValue::Text(right)) => Some(left.cmp(right)),
            (ExpressionValue::Bool(left), ExpressionValue::Bool(right)) => {
                return match self {
                    Self::Equal => Some(left == right),
                    Self::Unequal => Some(left != right),
                    _ => None,
                };
            }
            _ => None,
        };
        let texts = || match (left, right) {
            (ExpressionValue::Text(left), ExpressionValue::Text(right)) => Some((left.as_str(), right.as_str())),
            _ => None,
        };
        Some(match self {
            Self::Equal => order?.is_eq(),
            Self::Unequal => order?.is_ne(),
            Self::Less => order?.is_lt(),
            Self::LessOrEqual => order?.is_le(),
            Self::Greater => order?.is_gt(),
            Self::GreaterOrEqual => order?.is_ge(),
            Self::Contains => texts().map(|(left, right)| left.contains(right))?,
            Self::StartsWith => texts().map(|(left, right)| left.starts_with(right))?,
            Self::EndsWith => texts().map(|(left, right)| left.ends_with(right))?,
        })
    }
}

impl ExpressionFunction {
    fn call(self, arguments: &[Expression], env: Env<'_>) -> Option<ExpressionValue> {
        let query = env.query;
        let text = |at: usize| match arguments.get(at)?.value(env)? {
            ExpressionValue::Text(text) => Some(text),
            _ => None,
        };
        let (peer, local) = (query.peer(), query.local());
        Some(match self {
            Self::Bufsize => ExpressionValue::Int(i64::from(query.bufsize())),
            Self::Class => ExpressionValue::Text(query.qclass().to_string()),
            Self::ClientIp => ExpressionValue::Text(peer.ip().to_canonical().to_string()),
            Self::Do => ExpressionValue::Bool(query.dnssec_ok()),
            Self::Id => ExpressionValue::Int(i64::from(query.id())),
            Self::Name => ExpressionValue::Text(names::text(&query.name())),
            Self::Opcode => ExpressionValue::Int(i64::from(query.opcode())),
            Self::Port => ExpressionValue::Int(i64::from(peer.port())),
            Self::Proto => ExpressionValue::Text(query.proto().to_owned()),
            Self::ServerIp => ExpressionValue::Text(local.ip().to_canonical().to_string()),
            Self::ServerPort => ExpressionValue::Int(i64::from(local.port())),
            Self::Size => ExpressionValue::Int(query.size() as i64),
            Self::Type => ExpressionValue::Text(query.qtype().to_string()),
            Self::InCidr => {
                let address: IpAddr = text(0)?.parse().ok()?;
                ExpressionValue::Bool(text(1)?.parse::<IpNet>().ok()?.contains(&address))
            }
            Self::Metadata => ExpressionValue::Text(query.metadata(&text(0)?).unwrap_or_default().to_owned()),
            Self::Replace => ExpressionValue::Text(text(0)?.replace(&text(1)?, &text(2)?)),
            Self::Lower => ExpressionValue::Text(text(0)?.to_lowercase()),
            Self::Upper => ExpressionValue::Text(text(0)?.to_uppercase()),
            Self::Trim => ExpressionValue::Text(text(0)?.trim().to_owned()),
            Self::Len => ExpressionValue::Int(text(0)?.chars().count() as i64),
        })
    }
}

//----------- Reading --------------------------------------------------------

#[derive(Debug)]
struct ExpressionToken {
    text: String,
    quoted: bool,
}

fn tokens(text: &str) -> Result<Vec<ExpressionToken>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let mut word = String::new();
        match c {
            c if c.is_whitespace() => continue,
            '\'' | '"' => {
                loop {
                    match chars.next() {
                        Some('\\') => word.extend(chars.next()),
                        Some(end) if end == c => break,
                        Some(other) => word.push(other),
                        None => return Err("a quote is not closed".into()),
                    }
                }
                tokens.push(ExpressionToken { text: word, quoted: true });
                continue;
            }
            '(' | ')' | '[' | ']' | ',' | '#' => word.push(c),
            '&' | '|' | '=' | '!' | '<' | '>' => {
                word.push(c);
                let second = if matches!(c, '&' | '|') { c } else { '=' };
                word.extend(chars.next_if_eq(&second));
            }
            c if c.is_alphanumeric() || c == '_' => {
                word.push(c);
                while let Some(c) = chars.next_if(|&c| c.is_alphanumeric() || c == '_') {
                    word.push(c);
                }
            }
            other => return Err(format!("`{other}` is not understood")),
        }
        tokens.push(ExpressionToken { text: word, quoted: false });
    }
    Ok(tokens)
}

/// The text still to be read, and the names that may be used in it.
struct Rest<'t> {
    tokens: &'t [ExpressionToken],
    scope: Scope<'t>,
    /// Within a quantifier, so that there is an item.
    has_item: bool,
    /// The number of expressions around the present one.
    depth: usize,
}

/// Reading and working out go one call deeper for each expression within another; no honest one is as deep as this.
const DEEPEST: usize = 64;

/// Reads an expression that lies within another.
fn deeper(
    rest: &mut Rest<'_>,
    read: impl FnOnce(&mut Rest<'_>) -> Result<Expression, String>,
) -> Result<Expression, String> {
    if rest.depth >= DEEPEST {
        return Err(format!("more than {DEEPEST} expressions lie within one another"));
    }
    rest.depth += 1;
    let found = read(rest);
    rest.depth -= 1;
    found
}

/// Takes a token that is one of these words.
fn take<'w>(rest: &mut Rest<'_>, words: &[&'w str]) -> Option<&'w str> {
    let (first, after) = rest.tokens.split_first()?;
    let found = words.iter().find(|word| !first.quoted && first.text == **word)?;
    rest.tokens = after;
    Some(found)
}

fn or(rest: &mut Rest<'_>) -> Result<Expression, String> {
    chain(rest, &["||", "or"], and, Expression::Or)
}

fn and(rest: &mut Rest<'_>) -> Result<Expression, String> {
    chain(rest, &["&&", "and"], not, Expression::And)
}

/// Parts between words: one part alone is itself.
fn chain(
    rest: &mut Rest<'_>,
    words: &[&str],
    part: impl Fn(&mut Rest<'_>) -> Result<Expression, String>,
    all: impl FnOnce(Vec<Expression>) -> Expression,
) -> Result<Expression, String> {
    let first = part(rest)?;
    let mut parts = vec![first];
    while take(rest, words).is_some() {
        parts.push(part(rest)?);
    }
    match <[_; 1]>::try_from(parts) {
        Ok([only]) => Ok(only),
        Err(parts) => Ok(all(parts)),
    }
}

fn not(rest: &mut Rest<'_>) -> Result<Expression, String> {
    match take(rest, &["!", "not"]) {
        Some(_) => Ok(Expression::Not(Box::new(deeper(rest, not)?))),
        None => comparison(rest),
    }
}

fn comparison(rest: &mut Rest<'_>) -> Result<Expression, String> {
    let left = operand(rest)?;
    let negated = match rest.tokens {
        [first, second, ..] if first.text == "not" && !first.quoted && second.text == "in" => {
            take(rest, &["not"]);
            true
        }
        _ => false,
    };
    const OPERATORS: [(&str, Comparison); 9] = [
        ("==", Comparison::Equal),
        ("!=", Comparison::Unequal),
        ("<=", Comparison::LessOrEqual),
        (">=", Comparison::GreaterOrEqual),
        ("<", Comparison::Less),
        (">", Comparison::Greater),
        ("contains", Comparison::Contains),
        ("startsWith", Comparison::StartsWith),
        ("endsWith", Comparison::EndsWith),
    ];
    if take(rest, &["in"]).is_some() {
        let Expression::List(list) = operand(rest)? else {
            return Err("`in` needs a list, as in ['A', 'AAAA']".into());
        };
        let found = Expression::In(Box::new(left), list);
        return Ok(if negated { Expression::Not(Box::new(found)) } else { found });
    }
    if take(rest, &["matches"]).is_some() {
        let Expression::Literal(ExpressionValue::Text(text)) = operand(rest)? else {
            return Err("`matches` needs a regular expression in quotes".into());
        };
        return Ok(Expression::Matches(Box::new(left), words::compile(&text)?));
    }
    for (word, comparison) in OPERATORS {
        if take(rest, &[word]).is_some() {
            return Ok(Expression::Compare(comparison, Box::new(left), Box::new(operand(rest)?)));
        }
    }
    Ok(left)
}

fn operand(rest: &mut Rest<'_>) -> Result<Expression, String> {
    let Some((first, after)) = rest.tokens.split_first() else { return Err("it ends too early".into()) };
    rest.tokens = after;
    if first.quoted {
        return Ok(Expression::Literal(ExpressionValue::Text(first.text.clone())));
    }
    match first.text.as_str() {
        "(" => {
            let found = deeper(rest, or)?;
            take(rest, &[")"]).ok_or("a `(` is not closed")?;
            Ok(found)
        }
        "[" => Ok(Expression::List(items(rest, "]")?)),
        "true" => Ok(Expression::Literal(ExpressionValue::Bool(true))),
        "false" => Ok(Expression::Literal(ExpressionValue::Bool(false))),
        "#" if rest.has_item => Ok(Expression::Item),
        "any" => each(rest, Quantifier::Any),
        "all" => each(rest, Quantifier::All),
        "none" => each(rest, Quantifier::None),
        "group" if rest.scope.groups => {
            take(rest, &["("]).ok_or("`group` needs its argument in parentheses")?;
            let name = deeper(rest, or)?;
            take(rest, &[")"]).ok_or("`group` takes 1 argument")?;
            Ok(Expression::Group(Box::new(name)))
        }
        word => {
            if let Some(at) = rest.scope.variables.iter().position(|own| own == word) {
                return Ok(Expression::Variable(at));
            }
            if let Ok(number) = word.parse() {
                return Ok(Expression::Literal(ExpressionValue::Int(number)));
            }
            let (_, function, arity) = FUNCTIONS
                .iter()
                .find(|(name, ..)| *name == word)
                .ok_or_else(|| format!("there is no function `{word}`"))?;
            take(rest, &["("]).ok_or_else(|| format!("`{word}` needs its arguments in parentheses"))?;
            let arguments = items(rest, ")")?;
            if arguments.len() != *arity {
                return Err(format!("`{word}` takes {arity} argument(s)"));
            }
            Ok(Expression::Call(*function, arguments))
        }
    }
}

/// `([…], PREDICATE)`.
fn each(rest: &mut Rest<'_>, quantifier: Quantifier) -> Result<Expression, String> {
    const HOW: &str = "a list and a predicate are needed, as in any(['10.0.0.0/8'], incidr(client_ip(), #))";
    take(rest, &["("]).ok_or(HOW)?;
    let Expression::List(list) = operand(rest)? else { return Err(HOW.into()) };
    take(rest, &[","]).ok_or(HOW)?;
    let outer = std::mem::replace(&mut rest.has_item, true);
    let predicate = deeper(rest, or)?;
    rest.has_item = outer;
    take(rest, &[")"]).ok_or(HOW)?;
    Ok(Expression::Each(quantifier, list, Box::new(predicate)))
}

/// Whether a word means something in expressions already.
pub(crate) fn is_reserved(word: &str) -> bool {
    const WORDS: [&str; 16] = [
        "any",
        "all",
        "none",
        "group",
        "true",
        "false",
        "nil",
        "and",
        "or",
        "not",
        "in",
        "matches",
        "contains",
        "startsWith",
        "endsWith",
        "let",
    ];
    WORDS.contains(&word) || FUNCTIONS.iter().any(|(name, ..)| *name == word)
}

fn items(rest: &mut Rest<'_>, end: &str) -> Result<Vec<Expression>, String> {
    let mut items = Vec::new();
    if take(rest, &[end]).is_some() {
        return Ok(items);
    }
    loop {
        items.push(deeper(rest, or)?);
        match take(rest, &[",", end]) {
            Some(",") => {}
            Some(_) => return Ok(items),
            None => return Err(format!("`{end}` is missing")),
        }
    }
}

#[cfg(test)]
mod tests;
