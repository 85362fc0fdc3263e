//! The rules: what each changes in a query, and what has to be put back in the answer ([`Back`]).

use std::ops::RangeInclusive;

use regex::Regex;

use super::back::Back;
use super::edns::Edns0;
use super::matcher::{Matcher, absolute, check_groups};
use crate::chain::{FastPathExclusion, Metadata, Query};
use crate::corefile::{Error, Token};
use crate::syntax::names;
use crate::syntax::words;
use crate::wire::message::{DNSClass, RecordType, ResponseCode};
use crate::wire::{Name, Rtype};

/// One rule.
pub(super) enum RewriteRule {
    Name {
        from: Matcher,
        to: String,
        answers: Vec<AnswerRule>,
    },
    /// A name made of groups and of what plugins know of the query.
    Metadata {
        from: Regex,
        to: String,
        answers: Vec<AnswerRule>,
    },
    Type {
        from: RecordType,
        to: RecordType,
    },
    Class {
        from: DNSClass,
        to: DNSClass,
    },
    Ttl {
        names: Matcher,
        range: RangeInclusive<u32>,
    },
    Rcode {
        names: Matcher,
        from: ResponseCode,
        to: ResponseCode,
    },
    Cname {
        from: Matcher,
        to: String,
    },
    Edns(Edns0),
}

/// The change to the answer of a rewritten name.
#[derive(Clone, Debug)]
pub(super) enum AnswerRule {
    Auto,
    Name(Regex, String),
    Value(Regex, String),
}

/// The outcome of a rule.
pub(super) enum Rewritten {
    No,
    Yes(Vec<Back>),
}

impl RewriteRule {
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
            "ttl" => match Matcher::read(field, rest, 1, true)? {
                (names, [range]) => Ok(Self::Ttl { names, range: read_range(range)? }),
                (_, [_, extra, ..]) => Err(extra.error("rewrite ttl takes nothing after the TTL")),
                (_, []) => Err(field.error("rewrite ttl needs a TTL")),
            },
            "rcode" => match Matcher::read(field, rest, 2, true)? {
                (names, [from, to]) => {
                    Ok(Self::Rcode { names, from: words::rcode(from)?.into(), to: words::rcode(to)?.into() })
                }
                _ => Err(field.error("rewrite rcode needs NAME FROM TO")),
            },
            "cname" => match Matcher::read(field, rest, 1, false)? {
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
        let (qtype, qclass) = (query.qtype(), query.qclass());
        let back = match self {
            Self::Name { from, to, answers } => {
                let Some(new) = from.rewrite(&name, to) else { return Ok(Rewritten::No) };
                query.request.ask(&names::parse(&new)?, qtype, qclass);
                backs(&name, &new, answers, Some((from, to)))
            }
            Self::Metadata { from, to, answers } => {
                let Some(new) = by_metadata(from, &name, to, &query.metadata) else { return Ok(Rewritten::No) };
                query.request.ask(&names::parse(&new)?, qtype, qclass);
                backs(&name, &new, answers, None)
            }
            Self::Type { from, to } if qtype == *from => {
                query.request.ask(&spelled, *to, qclass);
                Vec::new()
            }
            Self::Class { from, to } if qclass == *from => {
                query.request.ask(&spelled, qtype, *to);
                Vec::new()
            }
            Self::Ttl { names, range } if names.holds(&name) => vec![Back::Ttl(range.clone())],
            Self::Rcode { names, from, to } if names.holds(&name) => vec![Back::Rcode { from: *from, to: *to }],
            // Which CNAMEs there are, the answer shows.
            Self::Cname { from, to } => vec![Back::Cname { from: from.clone(), to: to.clone() }],
            Self::Edns(rule) => match rule.apply(query) {
                Some(back) => back,
                None => return Ok(Rewritten::No),
            },
            _ => return Ok(Rewritten::No),
        };
        Ok(Rewritten::Yes(back))
    }

    /// The reason why cluster names must come through this rule.
    pub(super) fn concerns(&self, zones: &[Name]) -> Option<String> {
        match self {
            Self::Name { from, .. } if from.may_hold(zones) => Some("a name rule may match cluster names".into()),
            Self::Metadata { .. } => Some("a name rule may match cluster names".into()),
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
            Self::Class { from: DNSClass::IN, .. } => Some("a class rule matches cluster names".into()),
            // Types and other classes take the chain by themselves; EDNS options change no cluster answer.
            _ => None,
        }
    }

    /// The questions that come through this rule though others of the cluster need not.
    pub(super) fn exclusion(&self) -> Option<FastPathExclusion> {
        match self {
            Self::Name { from: Matcher::Exact(name), .. }
            | Self::Ttl { names: Matcher::Exact(name), .. }
            | Self::Rcode { names: Matcher::Exact(name), .. } => name.parse().ok().map(FastPathExclusion::Name),
            Self::Type { from, .. } => Some(FastPathExclusion::Type((*from).into())),
            _ => None,
        }
    }
}

/// The changes to the answer after a name has been rewritten; `Auto` stands first and so is done last.
fn backs(name: &str, new: &str, answers: &[AnswerRule], rule: Option<(&Matcher, &str)>) -> Vec<Back> {
    let back = |answer: &AnswerRule| match (answer, rule) {
        (AnswerRule::Auto, Some((Matcher::Suffix(from), to))) => Back::Ending { from: absolute(to), to: from.clone() },
        (AnswerRule::Auto, _) => Back::Names { from: new.to_owned(), to: name.to_owned() },
        (AnswerRule::Name(regex, to), _) => Back::Owner(regex.clone(), to.clone()),
        (AnswerRule::Value(regex, to), _) => Back::Value(regex.clone(), to.clone()),
    };
    answers.iter().map(back).collect()
}

//----------- Reading --------------------------------------------------------

fn read_name(field: &Token, words: &[&Token]) -> Result<RewriteRule, Error> {
    let (from, rest) = Matcher::read(field, words, 1, true)?;
    let Some((to, mut rest)) = rest.split_first() else { return Err(field.error("rewrite name needs FROM TO")) };
    let metadata = rest.first().filter(|word| word.text == "metadata");
    if metadata.is_some() {
        rest = rest.get(1..).unwrap_or_default();
    }
    let answers = read_answers(&from, rest)?;
    let text = absolute(&to.text.to_lowercase());
    match (from, metadata) {
        (Matcher::Regex(from), Some(_)) => {
            check_placeholders(&from, to)?;
            Ok(RewriteRule::Metadata { from, to: absolute(&to.text), answers })
        }
        (_, Some(word)) => Err(word.error("metadata is for names found by regex alone")),
        (from, None) => {
            match &from {
                Matcher::Exact(_) => drop(names::parse(&text).map_err(|why| to.error(why))?),
                Matcher::Regex(regex) => check_groups(regex, to)?,
                _ => {}
            }
            Ok(RewriteRule::Name { from, to: text, answers })
        }
    }
}

/// Reads `answer auto|name FROM TO|value FROM TO`, any number of them; the word `answer` may be left out behind the first.
fn read_answers(from: &Matcher, words: &[&Token]) -> Result<Vec<AnswerRule>, Error> {
    let (mut answers, mut auto, mut rest) = (Vec::new(), None, words);
    let expression = |from: &Token, to: &Token| {
        let regex = words::regex(from)?;
        check_groups(&regex, to)?;
        Ok((regex, to.text.to_lowercase()))
    };
    while let Some((word, after)) = rest.split_first() {
        let behind = match word.text.as_str() {
            "answer" => after,
            _ if auto.is_some() || !answers.is_empty() => rest,
            _ => return Err(word.error(format!("`{}` cannot stand here, only answer can", word.text))),
        };
        rest = match behind {
            [kind, rest @ ..] if kind.text == "auto" => {
                auto = Some(*kind);
                rest
            }
            [kind, from, to, rest @ ..] if kind.text == "name" => {
                let (regex, to) = expression(from, to)?;
                answers.push(AnswerRule::Name(regex, to));
                rest
            }
            [kind, from, to, rest @ ..] if kind.text == "value" => {
                let (regex, to) = expression(from, to)?;
                answers.push(AnswerRule::Value(regex, to));
                rest
            }
            [kind, ..] if !matches!(kind.text.as_str(), "name" | "value") => {
                return Err(kind.error(format!("`{}` is none of auto, name, value", kind.text)));
            }
            _ => return Err(word.error("answer needs auto, name FROM TO or value FROM TO")),
        };
    }
    match auto {
        Some(word) if answers.iter().any(|answer| matches!(answer, AnswerRule::Name(..))) => {
            return Err(word.error("answer auto and answer name exclude each other"));
        }
        // Exact rules put names back by themselves.
        _ if auto.is_some() || matches!(from, Matcher::Exact(_)) => answers.insert(0, AnswerRule::Auto),
        _ => {}
    }
    Ok(answers)
}

/// Makes sure that each `{…}` of a name is a group of the expression or a label of metadata.
fn check_placeholders(regex: &Regex, to: &Token) -> Result<(), Error> {
    for part in placeholders(&to.text) {
        match part {
            Ok(_) => {}
            Err(label) if label.parse::<usize>().is_ok_and(|group| group < regex.captures_len()) => {}
            Err(label) if label.contains('/') && !label.contains('{') => {}
            Err(label) => {
                let said = format!("`{{{label}}}` is neither a group of the expression nor a label of metadata");
                return Err(to.error(said));
            }
        }
    }
    Ok(())
}

/// Takes a text apart: plain text as `Ok`, what stands in braces as `Err`.
fn placeholders(text: &str) -> Vec<Result<&str, &str>> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some((before, (label, after))) =
        rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        parts.extend([Ok(before), Err(label)]);
        rest = after;
    }
    parts.push(Ok(rest));
    parts
}

/// The name made of groups and metadata; `None` when the expression is not found or something is not known.
fn by_metadata(regex: &Regex, name: &str, to: &str, metadata: &Metadata) -> Option<String> {
    let captures = regex.captures(name)?;
    let fill = |part: Result<&str, &str>| match part {
        Ok(text) => Some(text.to_lowercase()),
        Err(label) => match label.parse::<usize>() {
            Ok(group) => Some(captures.get(group).map_or(String::new(), |found| found.as_str().to_owned())),
            Err(_) => metadata.get(label).filter(|value| !value.is_empty()).map(|value| value.to_lowercase()),
        },
    };
    placeholders(to).into_iter().map(fill).collect()
}

fn read_type(word: &Token) -> Result<RecordType, Error> {
    Rtype::from_name(&word.text)
        .map(RecordType::from)
        .ok_or_else(|| word.error(format!("`{}` is no record type", word.text)))
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
