//! The rules: what each changes in a query, and what has to be put back in the answer.

use std::ops::RangeInclusive;

use regex::Regex;

use super::super::chain::Query;
use super::super::names;
use super::super::settings::Divert;
use super::super::template::read_rcode;
use super::super::{record, words};
use super::edns::Edns0;
use super::matcher::{Matcher, absolute, by_groups};
use super::{Message, MessageName, RData, Record, RecordType, rdata};
use crate::corefile::{Error, Token};
use crate::wire::Name;
use crate::wire::message::{DNSClass, ResponseCode};

/// One rule.
pub(super) enum Rule {
    Name { from: Matcher, to: String, answers: Vec<AnswerRule> },
    Type { from: RecordType, to: RecordType },
    Class { from: DNSClass, to: DNSClass },
    Ttl { names: Matcher, range: RangeInclusive<u32> },
    Rcode { names: Matcher, from: ResponseCode, to: ResponseCode },
    Cname { from: Matcher, to: String },
    Edns(Edns0),
}

/// What the answer of a rewritten name gets.
#[derive(Clone, Debug)]
pub(super) enum AnswerRule {
    Auto,
    Name(Regex, String),
    Value(Regex, String),
}

/// What came of a rule.
pub(super) enum Rewritten {
    No,
    Yes(Vec<Back>),
}

/// What is changed in the answer.
#[derive(Debug)]
pub(super) enum Back {
    /// Names that are this one or end with it become the other, owners and values.
    Names {
        from: String,
        to: String,
    },
    /// Names that begin with this begin with the other.
    Beginning {
        from: String,
        to: String,
    },
    /// Names that end with this text end with the other.
    Ending {
        from: String,
        to: String,
    },
    /// Owners that match.
    Owner(Regex, String),
    /// Names in values that match.
    Value(Regex, String),
    Ttl(RangeInclusive<u32>),
    Rcode {
        from: ResponseCode,
        to: ResponseCode,
    },
    Cname {
        from: Matcher,
        to: String,
    },
}

impl Rule {
    /// Reads a rule from its words.
    pub(super) fn read(at: &Token, words: &[&Token]) -> Result<Self, Error> {
        let Some((field, rest)) = words.split_first() else {
            return Err(at.error("rewrite needs a rule: name, type, class, ttl, rcode, cname or edns0"));
        };
        match field.text.to_lowercase().as_str() {
            "name" => read_name(field, rest),
            "type" => match rest {
                [from, to] => Ok(Self::Type { from: read_type(from)?, to: read_type(to)? }),
                _ => Err(field.error("rewrite type needs FROM TO")),
            },
            "class" => match rest {
                [from, to] => Ok(Self::Class { from: read_class(from)?, to: read_class(to)? }),
                _ => Err(field.error("rewrite class needs FROM TO")),
            },
            "ttl" => match Matcher::read(field, rest, 1)? {
                (names, [range]) => Ok(Self::Ttl { names, range: read_range(range)? }),
                (_, [_, extra, ..]) => Err(extra.error("rewrite ttl takes nothing after the TTL")),
                (_, []) => Err(field.error("rewrite ttl needs a TTL")),
            },
            "rcode" => match Matcher::read(field, rest, 2)? {
                (names, [from, to]) => Ok(Self::Rcode { names, from: read_rcode(from)?, to: read_rcode(to)? }),
                _ => Err(field.error("rewrite rcode needs NAME FROM TO")),
            },
            "cname" => match Matcher::read(field, rest, 1)? {
                (from, [to]) => Ok(Self::Cname { from, to: to.text.to_lowercase() }),
                _ => Err(field.error("rewrite cname needs FROM TO")),
            },
            "edns0" => Edns0::read(field, rest).map(Self::Edns),
            other => {
                Err(field
                    .error(format!("rewrite has no `{other}`; it has name, type, class, ttl, rcode, cname, edns0")))
            }
        }
    }

    /// Changes a query.
    ///
    /// # Errors
    /// When the name that comes of it is none.
    pub(super) fn apply(&self, query: &mut Query) -> Result<Rewritten, String> {
        let spelled = query.name();
        let name = names::text(&spelled);
        let Some(question) = query.request.queries.first_mut() else { return Ok(Rewritten::No) };
        let back = match self {
            Self::Name { from, to, answers } => {
                let Some(new) = from.rewrite(&name, to) else { return Ok(Rewritten::No) };
                question.name = names::parse(&new)?;
                self.backs(&name, &new, answers, from, to)
            }
            Self::Type { from, to } if question.query_type == *from => {
                question.query_type = *to;
                Vec::new()
            }
            Self::Class { from, to } if question.query_class == *from => {
                question.query_class = *to;
                Vec::new()
            }
            Self::Ttl { names, range } if names.holds(&name) => vec![Back::Ttl(range.clone())],
            Self::Rcode { names, from, to } if names.holds(&name) => vec![Back::Rcode { from: *from, to: *to }],
            // Which CNAMEs there are, the answer shows.
            Self::Cname { from, to } => vec![Back::Cname { from: from.clone(), to: to.clone() }],
            Self::Edns(rule) => {
                if !rule.apply(query) {
                    return Ok(Rewritten::No);
                }
                Vec::new()
            }
            _ => return Ok(Rewritten::No),
        };
        Ok(Rewritten::Yes(back))
    }

    fn backs(&self, name: &str, new: &str, answers: &[AnswerRule], from: &Matcher, to: &str) -> Vec<Back> {
        let mut back: Vec<Back> = Vec::new();
        if answers.is_empty() && matches!(from, Matcher::Exact(_)) {
            back.push(Back::Names { from: new.to_owned(), to: name.to_owned() });
        }
        for answer in answers {
            back.push(match (answer, from) {
                (AnswerRule::Auto, Matcher::Suffix(from)) => Back::Ending { from: absolute(to), to: from.clone() },
                (AnswerRule::Auto, Matcher::Prefix(from)) => Back::Beginning { from: to.to_owned(), to: from.clone() },
                (AnswerRule::Auto, _) => Back::Names { from: new.to_owned(), to: name.to_owned() },
                (AnswerRule::Name(regex, to), _) => Back::Owner(regex.clone(), to.clone()),
                (AnswerRule::Value(regex, to), _) => Back::Value(regex.clone(), to.clone()),
            });
        }
        back
    }

    /// Why cluster names must come through this rule.
    pub(super) fn concerns(&self, zones: &[Name]) -> Option<String> {
        match self {
            Self::Name { from, .. } if from.may_hold(zones) => Some("a name rule may match cluster names".into()),
            Self::Ttl { names, .. } if names.may_hold(zones) => Some("a ttl rule may match cluster names".into()),
            Self::Rcode { names, .. } if names.may_hold(zones) => Some("an rcode rule may match cluster names".into()),
            // A CNAME that leads out of the cluster takes the chain anyway.
            Self::Cname { from, .. } => {
                let inside = match from {
                    Matcher::Exact(name) => {
                        name.parse::<Name>().is_ok_and(|name| zones.iter().any(|zone| name.is_within(zone)))
                    }
                    other => other.may_hold(zones),
                };
                inside.then(|| "a cname rule may match cluster names".into())
            }
            // Types take the chain by themselves; EDNS options and classes change no cluster answer.
            _ => None,
        }
    }

    /// The questions that come through this rule though others of the cluster need not.
    pub(super) fn diverts(&self) -> Option<Divert> {
        match self {
            Self::Name { from: Matcher::Exact(name), .. }
            | Self::Ttl { names: Matcher::Exact(name), .. }
            | Self::Rcode { names: Matcher::Exact(name), .. } => name.parse().ok().map(Divert::Name),
            Self::Type { from, .. } => Some(Divert::Type((*from).into())),
            _ => None,
        }
    }
}

impl Back {
    /// Changes an answer; `spelled` is the question as the client spelled it.
    pub(super) fn put_back(&self, message: &mut Message, spelled: Option<&MessageName>) {
        if let Self::Rcode { from, to } = self {
            if message.metadata.response_code == *from {
                message.metadata.response_code = *to;
            }
            return;
        }
        let sections = [&mut message.answers, &mut message.authorities, &mut message.additionals];
        for record in sections.into_iter().flatten() {
            match self {
                Self::Ttl(range) => record.ttl = record.ttl.clamp(*range.start(), *range.end()),
                Self::Owner(..) => self.change(&mut record.name, spelled),
                Self::Value(..) => values(record).into_iter().for_each(|name| self.change(name, spelled)),
                _ => {
                    self.change(&mut record.name, spelled);
                    values(record).into_iter().for_each(|name| self.change(name, spelled));
                }
            }
        }
    }

    fn change(&self, name: &mut MessageName, spelled: Option<&MessageName>) {
        let text = names::text(name);
        let new = match self {
            Self::Names { from, to } => {
                let left = text.strip_suffix(from.as_str()).filter(|left| left.is_empty() || left.ends_with('.'));
                left.map(|left| format!("{left}{to}"))
            }
            Self::Beginning { from, to } => text.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")),
            Self::Ending { from, to } => text.strip_suffix(from.as_str()).map(|left| format!("{left}{to}")),
            Self::Owner(regex, to) | Self::Value(regex, to) => by_groups(regex, &text, to),
            _ => None,
        };
        if let Some(new) = new.and_then(|new| names::parse(&new).ok()) {
            *name = match spelled {
                Some(spelled) if *spelled == new => spelled.clone(),
                _ => new,
            };
        }
    }
}

/// The names in the value of a record.
fn values(record: &mut Record) -> Vec<&mut MessageName> {
    match &mut record.data {
        RData::CNAME(rdata::CNAME(name)) | RData::NS(rdata::NS(name)) | RData::PTR(rdata::PTR(name)) => vec![name],
        RData::SRV(srv) => vec![&mut srv.target],
        RData::MX(mx) => vec![&mut mx.exchange],
        RData::SOA(soa) => vec![&mut soa.mname, &mut soa.rname],
        RData::NAPTR(naptr) => vec![&mut naptr.replacement],
        _ => Vec::new(),
    }
}

//----------- Reading --------------------------------------------------------

fn read_name(field: &Token, words: &[&Token]) -> Result<Rule, Error> {
    let (from, rest) = Matcher::read(field, words, 1)?;
    let Some((to, mut rest)) = rest.split_first() else { return Err(field.error("rewrite name needs FROM TO")) };
    let mut answers = Vec::new();
    while let Some((word, after)) = rest.split_first() {
        if word.text.to_lowercase() != "answer" {
            return Err(word.error(format!("`{}` cannot stand here, only answer can", word.text)));
        }
        rest = match after {
            [kind, rest @ ..] if kind.text == "auto" => {
                answers.push(AnswerRule::Auto);
                rest
            }
            [kind, from, to, rest @ ..] if kind.text == "name" => {
                answers.push(AnswerRule::Name(words::regex(from)?, to.text.to_lowercase()));
                rest
            }
            [kind, from, to, rest @ ..] if kind.text == "value" => {
                answers.push(AnswerRule::Value(words::regex(from)?, to.text.to_lowercase()));
                rest
            }
            // The old way to write `answer name FROM TO`.
            [from, to, rest @ ..] if from.text != "name" && from.text != "value" => {
                answers.push(AnswerRule::Name(words::regex(from)?, to.text.to_lowercase()));
                rest
            }
            _ => return Err(word.error("answer needs auto, name FROM TO or value FROM TO")),
        };
    }
    let text = to.text.to_lowercase();
    if matches!(from, Matcher::Exact(_)) {
        names::parse(&text).map_err(|why| to.error(why))?;
    }
    Ok(Rule::Name { from, to: text, answers })
}

fn read_type(word: &Token) -> Result<RecordType, Error> {
    record::parse_type(&word.text).ok_or_else(|| word.error(format!("`{}` is no record type", word.text)))
}

fn read_class(word: &Token) -> Result<DNSClass, Error> {
    let class = word.text.to_ascii_uppercase().parse();
    class.map_err(|_| word.error(format!("`{}` is no class", word.text)))
}

/// `60`, `60-120`, `-120` or `60-`.
fn read_range(word: &Token) -> Result<RangeInclusive<u32>, Error> {
    let fault = || word.error(format!("`{}` is no TTL: write SECONDS, MIN-MAX, MIN- or -MAX", word.text));
    let seconds = |text: &str, unset: u32| if text.is_empty() { Ok(unset) } else { text.parse().map_err(|_| fault()) };
    match word.text.split_once('-') {
        None => {
            let ttl = word.text.parse().map_err(|_| fault())?;
            Ok(ttl..=ttl)
        }
        Some(("", "")) => Err(fault()),
        Some((least, most)) => {
            let (least, most) = (seconds(least, 0)?, seconds(most, i32::MAX as u32)?);
            if least <= most { Ok(least..=most) } else { Err(fault()) }
        }
    }
}
