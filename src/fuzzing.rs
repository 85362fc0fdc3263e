//! Doors to what reads foreign octets within rooms, for the fuzzing targets of `tests/fuzz/learn`: nobody else comes here.
//!
//! Each hands octets to the code that the server runs, as it would, and gives back what that made of them. Nothing is decided
//! here, and no property is checked: those are the targets' own.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use crate::cluster::watch_events;
use crate::serve::{Front, https_age, message_of_get, tcp_front};
use crate::syntax::expression::{Env, Expression, ExpressionSubject, Scope};
use crate::syntax::gotext::{GoObject, GoValue, Template, TemplateData, UintSize};
use crate::syntax::record::{parse_line, parse_zone_text};
use crate::wire::message::{DNSClass, MessageName, Record, RecordType};

//----------- Connections ----------------------------------------------------

/// The first message of what a client has sent over TCP, and whether it is a query; `None` where it is not whole.
pub fn first_message(input: &[u8]) -> Option<(&[u8], bool)> {
    match tcp_front(input) {
        Front::Cut => None,
        Front::Query(octets) => Some((octets, true)),
        Front::Faulty(octets) => Some((octets, false)),
    }
}

/// The message in the URI of a GET over HTTPS, or the status of the answer.
///
/// # Errors
/// The status, where there is no message in it.
pub fn message_of_uri(query: &str) -> Result<Vec<u8>, u16> {
    message_of_get(query).map_err(|status| status.as_u16())
}

/// The seconds that others may keep an answer over HTTPS.
pub fn age(answer: &[u8]) -> u32 {
    https_age(answer)
}

/// The events of a watch's body in chunks, and whether it ends within one; `None` where one is too long.
pub fn events<'c>(is_json: bool, chunks: impl Iterator<Item = &'c [u8]>) -> Option<(Vec<Vec<u8>>, bool)> {
    watch_events(is_json, chunks)
}

//----------- Zone text ------------------------------------------------------

/// The records of a zone file.
///
/// # Errors
/// Line and words of the first fault.
pub fn zone_file(text: &[u8], origin: &MessageName) -> Result<Vec<Record>, (u32, String)> {
    let zone = parse_zone_text(text, origin).map_err(|fault| (fault.line, fault.message))?;
    Ok(zone.records.into_iter().map(|placed| placed.record).collect())
}

/// The record of a line, as `template` has it.
///
/// # Errors
/// The words of the fault.
pub fn record(line: &str) -> Result<Record, String> {
    parse_line(line, None, 3600)
}

//----------- Templates and expressions --------------------------------------

/// The query that templates and expressions are filled in and worked out from.
struct Asked;

/// A template, read and filled in; `None` where it can be read but not filled in.
///
/// # Errors
/// The words of the fault.
pub fn template(text: &str) -> Result<Option<String>, String> {
    Ok(Template::parse(text)?.fill(&Asked).ok())
}

/// The value of an expression as text with its type, as `Bool(true)`; `None` where it is unknown.
///
/// # Errors
/// The words of the fault.
pub fn expression(text: &str) -> Result<Option<String>, String> {
    let variables = ["number".to_owned()];
    let expression = Expression::parse(text, Scope { groups: true, variables: &variables })?;
    let group = |name: &str| format!("g{name}");
    let values = [crate::syntax::expression::ExpressionValue::Int(10)];
    Ok(expression.value(Env::new(&Asked, &group, &values)).map(|value| format!("{value:?}")))
}

impl TemplateData for Asked {
    fn field(&self, name: &str) -> Option<GoValue> {
        let text = |text: &str| GoValue::Text(text.into());
        let map = |kind, pairs: &[(&str, GoValue)]| {
            let pairs = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
            GoValue::Map(kind, Arc::new(pairs.collect::<BTreeMap<_, _>>()))
        };
        let number = |number: u64| GoValue::Uint(number, UintSize::Sixteen);
        let question = || {
            let fields = vec![("Name", text("Ip-10-1.Example.org.")), ("Qtype", number(16)), ("Qclass", number(1))];
            GoValue::Object(GoObject { kind: "dns.Question", shown: ";Ip-10-1.Example.org.".into(), fields }.into())
        };
        Some(match name {
            "Zone" => text("example.org."),
            "Name" => text("ip-10-1.example.org."),
            "Class" => text("IN"),
            "Type" => text("TXT"),
            "Remote" => text("192.0.2.1"),
            "Match" => GoValue::List("string", ["ip-10-1", "10", "1", ""].map(text).into()),
            "Group" => map("string", &[("0", text("ip-10-1")), ("1", text("10")), ("a", text("10"))]),
            "Var" => map("interface {}", &[("text", text("ten")), ("number", GoValue::Int(-10))]),
            "Question" => question(),
            "Message" => {
                let fields = vec![
                    ("Id", number(4711)),
                    ("RecursionDesired", GoValue::Bool(true)),
                    ("Rcode", GoValue::Int(0)),
                    ("Question", GoValue::List("dns.Question", [question()].into())),
                    ("Extra", GoValue::List("dns.RR", [GoValue::Nil].into())),
                ];
                GoValue::Object(GoObject { kind: "dns.Msg", shown: String::new(), fields }.into())
            }
            _ => return None,
        })
    }

    fn is_method(&self, name: &str) -> bool {
        name == "Meta"
    }

    fn call(&self, _: &str, argument: &str) -> GoValue {
        GoValue::Text(argument.chars().rev().collect())
    }
}

impl ExpressionSubject for Asked {
    fn name(&self) -> MessageName {
        MessageName::from_ascii("Ip-10-1.Example.org.").unwrap_or_default()
    }

    fn qtype(&self) -> RecordType {
        RecordType::TXT
    }

    fn qclass(&self) -> DNSClass {
        DNSClass::IN
    }

    fn dnssec_ok(&self) -> bool {
        true
    }

    fn id(&self) -> u16 {
        4711
    }

    fn opcode(&self) -> u8 {
        0
    }

    fn bufsize(&self) -> u16 {
        1232
    }

    fn size(&self) -> usize {
        38
    }

    fn peer(&self) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, 1), 40_000).into()
    }

    fn local(&self) -> SocketAddr {
        (Ipv4Addr::new(192, 0, 2, 53), 53).into()
    }

    fn proto(&self) -> &'static str {
        "udp"
    }

    fn metadata(&self, label: &str) -> Option<&str> {
        (label == "known/label").then_some("value")
    }
}
