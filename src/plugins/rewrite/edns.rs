//! EDNS options put into a query, changed or taken out.

use std::net::IpAddr;

use super::back::Back;
use crate::chain::Query;
use crate::corefile::{Error, Token};
use crate::syntax::record::hex_octets;
use crate::syntax::{names, words};
use crate::wire::message::MessageEdns;
use crate::wire::message::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption, NSIDPayload};

/// `edns0 …`.
#[derive(Debug)]
pub(super) struct Edns0 {
    action: OptionAction,
    option: OptionKind,
    /// The answer is to have the option as the client sent it.
    revert: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OptionAction {
    /// Puts the option in, instead of the present one.
    Set,
    /// Puts the option in, beside the present one where several can be.
    Append,
    /// Changes the option where there is one.
    Replace,
    /// Takes the option out.
    Unset,
}

#[derive(Debug)]
enum OptionKind {
    Local(u16, OptionValue),
    Nsid,
    Subnet(u8, u8),
}

#[derive(Debug)]
enum OptionValue {
    Octets(Vec<u8>),
    /// `{qname}` and the like, without braces.
    Variable(String),
}

const VARIABLES: [&str; 7] = ["qname", "qtype", "client_ip", "client_port", "protocol", "server_ip", "server_port"];

impl Edns0 {
    /// Reads what follows `edns0`.
    pub(super) fn read(at: &Token, words: &[&Token]) -> Result<Self, Error> {
        let (words, revert) = match words {
            [_, action, .., last] if last.text == "revert" && action.text.to_lowercase() == "unset" => {
                return Err(last.error("revert is for set, append and replace"));
            }
            [rest @ .., last] if last.text == "revert" => (rest, true),
            all => (all, false),
        };
        let [kind, action, rest @ ..] = words else {
            return Err(at.error("rewrite edns0 needs local, nsid or subnet, then set, append, replace or unset"));
        };
        let action = match action.text.to_lowercase().as_str() {
            "set" => OptionAction::Set,
            "append" => OptionAction::Append,
            "replace" => OptionAction::Replace,
            "unset" => OptionAction::Unset,
            other => return Err(action.error(format!("`{other}` is none of set, append, replace, unset"))),
        };
        let option = match (kind.text.to_lowercase().as_str(), rest) {
            ("local", [code]) if action == OptionAction::Unset => {
                OptionKind::Local(read_code(code)?, OptionValue::Octets(Vec::new()))
            }
            ("local", [code, value]) => OptionKind::Local(read_code(code)?, read_value(value)?),
            ("local", _) => return Err(kind.error("rewrite edns0 local needs CODE VALUE")),
            ("nsid", []) => OptionKind::Nsid,
            ("subnet", []) if action == OptionAction::Unset => OptionKind::Subnet(0, 0),
            ("subnet", [v4, v6]) => OptionKind::Subnet(words::number(v4, 0..=32)?, words::number(v6, 0..=128)?),
            ("subnet", _) => return Err(kind.error("rewrite edns0 subnet needs the bits for IPv4 and for IPv6")),
            ("nsid", [extra, ..]) => return Err(extra.error("rewrite edns0 nsid takes no value")),
            (other, _) => return Err(kind.error(format!("`{other}` is none of local, nsid, subnet"))),
        };
        Ok(Self { action, option, revert })
    }

    /// Changes the options of a query; says what is changed in the answer, or that nothing was.
    pub(super) fn apply(&self, query: &mut Query) -> Option<Vec<Back>> {
        let code = match &self.option {
            OptionKind::Local(code, _) => EdnsCode::from(*code),
            OptionKind::Nsid => EdnsCode::NSID,
            OptionKind::Subnet(..) => EdnsCode::Subnet,
        };
        let before = query.request.message().edns.as_ref().and_then(|edns| edns.option(code).cloned());
        let there = before.is_some();
        let change = match self.action {
            OptionAction::Set => true,
            // Further options of its kind may stand beside the first.
            OptionAction::Append => !there || self.repeats(),
            OptionAction::Replace | OptionAction::Unset => there,
        };
        if !change {
            return None;
        }
        let option = match self.action {
            OptionAction::Unset => None,
            _ => match self.make(query) {
                Some(option) => Some(option),
                None => return None,
            },
        };
        query.sent_on.extend(option.as_ref().map(|_| code));
        query.request.change(|request| {
            let edns = request.edns.get_or_insert_with(MessageEdns::new);
            if !(self.action == OptionAction::Append && self.repeats()) {
                edns.options_mut().remove(code);
            }
            option.into_iter().for_each(|option| edns.options_mut().insert(option));
        });
        Some(if self.revert { vec![Back::Option(code, before)] } else { Vec::new() })
    }

    /// Whether several options of this kind can be in one query.
    fn repeats(&self) -> bool {
        matches!(self.option, OptionKind::Local(_, OptionValue::Octets(_)) | OptionKind::Nsid)
    }

    fn make(&self, query: &Query) -> Option<EdnsOption> {
        match &self.option {
            OptionKind::Local(code, OptionValue::Octets(octets)) => Some(EdnsOption::Unknown(*code, octets.clone())),
            OptionKind::Local(code, OptionValue::Variable(name)) => {
                Some(EdnsOption::Unknown(*code, variable(name, query)?))
            }
            OptionKind::Nsid => NSIDPayload::new(Vec::new()).ok().map(EdnsOption::NSID),
            OptionKind::Subnet(v4, v6) => {
                let address = query.client.peer.ip().to_canonical();
                let bits = if address.is_ipv4() { *v4 } else { *v6 };
                let network = ipnet::IpNet::new(address, bits).ok()?.network();
                Some(EdnsOption::Subnet(ClientSubnet::new(network, bits, 0)))
            }
        }
    }
}

fn variable(name: &str, query: &Query) -> Option<Vec<u8>> {
    let octets = |address: IpAddr| match address.to_canonical() {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    Some(match name {
        "qname" => names::text(&query.name()).into_bytes(),
        "qtype" => u16::from(query.qtype()).to_be_bytes().to_vec(),
        "client_ip" => octets(query.client.peer.ip()),
        "client_port" => query.client.peer.port().to_be_bytes().to_vec(),
        "protocol" => query.client.transport.label().as_bytes().to_vec(),
        "server_ip" => octets(query.client.local.ip()),
        "server_port" => query.client.local.port().to_be_bytes().to_vec(),
        label => query.metadata.get(label)?.clone().into_bytes(),
    })
}

fn read_code(word: &Token) -> Result<u16, Error> {
    let code = match word.text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16),
        None => word.text.parse(),
    };
    code.map_err(|_| word.error(format!("`{}` is no option code from 0 to 65535 or 0xffff", word.text)))
}

fn read_value(word: &Token) -> Result<OptionValue, Error> {
    if let Some(name) = word.text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        if !VARIABLES.contains(&name) && !name.contains('/') {
            let known = VARIABLES.join("}, {");
            return Err(
                word.error(format!("`{}` is no variable; there are {{{known}}} and {{LABEL}} of metadata", word.text))
            );
        }
        return Ok(OptionValue::Variable(name.to_owned()));
    }
    match word.text.strip_prefix("0x") {
        Some(hex) => hex_octets(hex)
            .map(OptionValue::Octets)
            .ok_or_else(|| word.error(format!("`{}` is not in hexadecimal", word.text))),
        None => Ok(OptionValue::Octets(word.text.clone().into_bytes())),
    }
}
