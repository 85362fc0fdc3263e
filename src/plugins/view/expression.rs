//! The expressions of `view`: read once, worked out for each query.

use std::net::IpAddr;

use ipnet::IpNet;
use regex::Regex;

use super::super::chain::{Query, Transport};
use super::super::{names, words};

/// An expression.
#[derive(Debug)]
pub(super) enum Expression {
    Literal(Value),
    List(Vec<Self>),
    Call(Function, Vec<Self>),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare(Comparison, Box<Self>, Box<Self>),
    Matches(Box<Self>, Regex),
    In(Box<Self>, Vec<Self>),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
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
pub(super) enum Function {
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
}

const FUNCTIONS: [(&str, Function, usize); 15] = [
    ("bufsize", Function::Bufsize, 0),
    ("class", Function::Class, 0),
    ("client_ip", Function::ClientIp, 0),
    ("do", Function::Do, 0),
    ("id", Function::Id, 0),
    ("name", Function::Name, 0),
    ("opcode", Function::Opcode, 0),
    ("port", Function::Port, 0),
    ("proto", Function::Proto, 0),
    ("server_ip", Function::ServerIp, 0),
    ("server_port", Function::ServerPort, 0),
    ("size", Function::Size, 0),
    ("type", Function::Type, 0),
    ("incidr", Function::InCidr, 2),
    ("metadata", Function::Metadata, 1),
];

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// Says what is not understood.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut rest = tokens.as_slice();
        let found = or(&mut rest)?;
        match rest.first() {
            None => Ok(found),
            Some(token) => Err(format!("`{}` cannot stand there", token.text)),
        }
    }

    /// Whether it is true of a query.
    pub(super) fn is_true(&self, query: &Query) -> bool {
        self.value(query) == Some(Value::Bool(true))
    }

    /// Its value; `None` when it has none, as an address that is none.
    fn value(&self, query: &Query) -> Option<Value> {
        Some(match self {
            Self::Literal(value) => value.clone(),
            Self::List(_) => return None,
            Self::Call(function, arguments) => return function.call(arguments, query),
            Self::Not(inner) => Value::Bool(!inner.is_true(query)),
            Self::And(left, right) => Value::Bool(left.is_true(query) && right.is_true(query)),
            Self::Or(left, right) => Value::Bool(left.is_true(query) || right.is_true(query)),
            Self::Compare(comparison, left, right) => {
                Value::Bool(comparison.holds(&left.value(query)?, &right.value(query)?))
            }
            Self::Matches(left, regex) => match left.value(query)? {
                Value::Text(text) => Value::Bool(regex.is_match(&text)),
                _ => return None,
            },
            Self::In(left, list) => {
                let left = left.value(query)?;
                Value::Bool(list.iter().any(|item| item.value(query).as_ref() == Some(&left)))
            }
        })
    }
}

impl Comparison {
    fn holds(self, left: &Value, right: &Value) -> bool {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let order = match (left, right) {
            (Value::Int(left), Value::Int(right)) => Some(left.cmp(right)),
            (Value::Text(left), Value::Text(right)) => Some(left.cmp(right)),
            _ => None,
        };
        let texts = match (left, right) {
            (Value::Text(left), Value::Text(right)) => Some((left.as_str(), right.as_str())),
            _ => None,
        };
        match self {
            Self::Equal => left == right,
            Self::Unequal => left != right,
            Self::Less => order == Some(Less),
            Self::LessOrEqual => matches!(order, Some(Less | Equal)),
            Self::Greater => order == Some(Greater),
            Self::GreaterOrEqual => matches!(order, Some(Greater | Equal)),
            Self::Contains => texts.is_some_and(|(left, right)| left.contains(right)),
            Self::StartsWith => texts.is_some_and(|(left, right)| left.starts_with(right)),
            Self::EndsWith => texts.is_some_and(|(left, right)| left.ends_with(right)),
        }
    }
}

impl Function {
    fn call(self, arguments: &[Expression], query: &Query) -> Option<Value> {
        let text = |at: usize| match arguments.get(at)?.value(query)? {
            Value::Text(text) => Some(text),
            _ => None,
        };
        let (peer, local) = (query.client.peer, query.client.local);
        Some(match self {
            Self::Bufsize => Value::Int(match query.client.transport {
                Transport::Udp => {
                    query.request.edns.as_ref().map_or(512, |edns| i64::from(edns.max_payload().max(512)))
                }
                _ => 65_535,
            }),
            Self::Class => Value::Text(query.qclass().to_string()),
            Self::ClientIp => Value::Text(peer.ip().to_canonical().to_string()),
            Self::Do => Value::Bool(query.dnssec_ok()),
            Self::Id => Value::Int(i64::from(query.request.metadata.id)),
            Self::Name => Value::Text(names::text(&query.name())),
            Self::Opcode => Value::Int(i64::from(u8::from(query.request.metadata.op_code))),
            Self::Port => Value::Int(i64::from(peer.port())),
            Self::Proto => Value::Text(query.client.transport.label().to_owned()),
            Self::ServerIp => Value::Text(local.ip().to_canonical().to_string()),
            Self::ServerPort => Value::Int(i64::from(local.port())),
            Self::Size => Value::Int(query.size as i64),
            Self::Type => Value::Text(query.qtype().to_string()),
            Self::InCidr => {
                let address: IpAddr = text(0)?.parse().ok()?;
                Value::Bool(text(1)?.parse::<IpNet>().ok()?.contains(&address))
            }
            Self::Metadata => Value::Text(query.metadata.get(&text(0)?).cloned().unwrap_or_default()),
        })
    }
}

//----------- Reading --------------------------------------------------------

#[derive(Debug)]
struct Token {
    text: String,
    quoted: bool,
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
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
                tokens.push(Token { text: word, quoted: true });
                continue;
            }
            '(' | ')' | '[' | ']' | ',' => word.push(c),
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
        tokens.push(Token { text: word, quoted: false });
    }
    Ok(tokens)
}

/// Takes a token that is one of these words.
fn take<'w>(rest: &mut &[Token], words: &[&'w str]) -> Option<&'w str> {
    let (first, after) = rest.split_first()?;
    let found = words.iter().find(|word| !first.quoted && first.text == **word)?;
    *rest = after;
    Some(found)
}

fn or(rest: &mut &[Token]) -> Result<Expression, String> {
    let mut left = and(rest)?;
    while take(rest, &["||", "or"]).is_some() {
        left = Expression::Or(Box::new(left), Box::new(and(rest)?));
    }
    Ok(left)
}

fn and(rest: &mut &[Token]) -> Result<Expression, String> {
    let mut left = not(rest)?;
    while take(rest, &["&&", "and"]).is_some() {
        left = Expression::And(Box::new(left), Box::new(not(rest)?));
    }
    Ok(left)
}

fn not(rest: &mut &[Token]) -> Result<Expression, String> {
    match take(rest, &["!", "not"]) {
        Some(_) => Ok(Expression::Not(Box::new(not(rest)?))),
        None => comparison(rest),
    }
}

fn comparison(rest: &mut &[Token]) -> Result<Expression, String> {
    let left = operand(rest)?;
    let negated = match rest {
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
        let Expression::Literal(Value::Text(text)) = operand(rest)? else {
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

fn operand(rest: &mut &[Token]) -> Result<Expression, String> {
    let Some((first, after)) = rest.split_first() else { return Err("it ends too early".into()) };
    *rest = after;
    if first.quoted {
        return Ok(Expression::Literal(Value::Text(first.text.clone())));
    }
    match first.text.as_str() {
        "(" => {
            let found = or(rest)?;
            take(rest, &[")"]).ok_or("a `(` is not closed")?;
            Ok(found)
        }
        "[" => Ok(Expression::List(items(rest, "]")?)),
        "true" => Ok(Expression::Literal(Value::Bool(true))),
        "false" => Ok(Expression::Literal(Value::Bool(false))),
        word => {
            if let Ok(number) = word.parse() {
                return Ok(Expression::Literal(Value::Int(number)));
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

fn items(rest: &mut &[Token], end: &str) -> Result<Vec<Expression>, String> {
    let mut items = Vec::new();
    if take(rest, &[end]).is_some() {
        return Ok(items);
    }
    loop {
        items.push(or(rest)?);
        match take(rest, &[",", end]) {
            Some(",") => {}
            Some(_) => return Ok(items),
            None => return Err(format!("`{end}` is missing")),
        }
    }
}
