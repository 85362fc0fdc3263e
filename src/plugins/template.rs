//! Name: `template`
//!
//! Description: answers by templates, filled in from the query.
//!
//! Syntax:
//!
//! ```text
//! template CLASS TYPE [ZONES...] {
//!     match REGEX...
//!     var NAME EXPRESSION
//!     expr EXPRESSION
//!     answer RR...
//!     additional RR...
//!     authority RR...
//!     rcode CODE
//!     ederror CODE [REASON]
//!     fallthrough [ZONES...]
//! }
//! ```
//!
//! Class and type may be `ANY`. The first regular expression that matches the name (lower case, final dot) counts; without any,
//! all names match. A record template is a zone-file line with the actions of Go's text templates, whose first record counts:
//! `.Zone`, `.Name`, `.Class`, `.Type`, `.Regex`, `.Match` (by number), `.Group` (by name), `.Remote`, `.Meta "LABEL"`, `.Question` with
//! `Name` as the client spells it and the numbers `Qtype` and `Qclass`, and `.Message` with the query's header fields and sections;
//! variables, pipes, `if`, `with`, `range`, all functions of Go's templates with the verbs of its `printf`, and `parseInt TEXT BASE BITS`.
//! With `expr`, the expression must be true as well; `var` names the value of one, for later expressions and as `.Var.NAME`.
//! Expressions are those of `view`, with `group(NAME)` for a group of the match. The directive may be repeated.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     template IN A example.org {
//!         match ^ip-(?P<a>[0-9]+)-(?P<b>[0-9]+)[.]example[.]org[.]$
//!         answer "{{ .Name }} 60 IN A 10.0.{{ .Group.a }}.{{ .Group.b }}"
//!         fallthrough
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_template_matches_total`, `coredns_template_template_failures_total`,
//! `coredns_template_rr_failures_total`.
//!
//! Ready: always.
//!
//! Differences: what a template does is bounded: 64 parts within one another, 100,000 steps, 1 MiB of text. The records of
//! `.Message` have no fields. A CNAME whose target fails is SERVFAIL, not an answer without addresses.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use regex::Regex;

use super::metrics;
use crate::chain::setup::Context;
use crate::chain::{Choice, FastPathExclusion, Next, Outcome, Plugin, Query, Reply, append};
use crate::corefile::{Directive, Error, Token};
use crate::syntax::expression::{self, Env, Expression, Scope};
use crate::syntax::gotext::{GoObject, GoValue, Template as Text, TemplateData, UintSize};
use crate::syntax::names::read_fallthrough;
use crate::syntax::names::{self, Zones};
use crate::syntax::{record, words};
use crate::wire::message::{
    DNSClass, Message, MessageEdns, MessageQuestion, RData, Record, RecordType, ResponseCode, rdata,
};
use crate::wire::{Failure, Name, Rtype};
use crate::zone::Fallthrough;

/// The plugin: all `template` lines of a server block, in their order.
pub(crate) struct Templates {
    rules: Vec<TemplateRule>,
    /// The block's view, for the metrics.
    view: String,
}

struct TemplateRule {
    /// `None` for any.
    class: Option<DNSClass>,
    /// `None` for any.
    qtype: Option<RecordType>,
    zones: Zones,
    /// The expression as compiled, and as written.
    matches: Vec<(Regex, String)>,
    /// `var`: names and what they stand for, in order.
    variables: (Vec<String>, Vec<Expression>),
    /// `expr`: what must be true beside a match.
    conditions: Vec<Expression>,
    /// Texts by section, with their source for the metrics.
    texts: [Vec<(Text, String)>; 3],
    rcode: ResponseCode,
    extended: Option<(u16, String)>,
    fallthrough: Fallthrough,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TemplateSection {
    Answer,
    Additional,
    Authority,
}

impl TemplateSection {
    fn label(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Additional => "additional",
            Self::Authority => "authority",
        }
    }
}

/// The verdict of a rule on a query.
enum Verdict {
    /// Not for this rule.
    Pass,
    /// Its name matches nothing, and others shall not see it.
    Refused,
    /// It matches.
    Matched(Box<Filling>),
}

impl TemplateRule {
    fn judge(&self, query: &Query) -> Verdict {
        let name = query.qname();
        let (qtype, class) = (query.qtype(), query.qclass());
        let Some(zone) = self.zones.matching(&name) else { return Verdict::Pass };
        if self.class.is_some_and(|own| own != class && class != DNSClass::ANY)
            || self.qtype.is_some_and(|own| own != qtype && qtype != RecordType::ANY)
        {
            return Verdict::Pass;
        }
        let text = name.to_string();
        let captured = self.matches.iter().find_map(|it| it.0.captures(&text).map(|found| (it, found)));
        let Some(((regex, written), captures)) = captured else {
            return if self.fallthrough.covers(name.as_wire()) { Verdict::Pass } else { Verdict::Refused };
        };
        let group = |index: usize| GoValue::Text(captures.get(index).map_or("", |found| found.as_str()).to_owned());
        let by_number: Vec<GoValue> = (0..captures.len()).map(group).collect();
        let mut by_name: BTreeMap<String, GoValue> =
            by_number.iter().enumerate().map(|(i, v)| (i.to_string(), v.clone())).collect();
        for (index, label) in regex.capture_names().enumerate() {
            if let Some(label) = label {
                by_name.insert(label.to_owned(), group(index));
            }
        }
        let named = |name: &str| by_name.get(name).map_or_else(String::new, ToString::to_string);
        let (names_of, expressions) = &self.variables;
        let mut variables = Vec::with_capacity(expressions.len());
        for expression in expressions {
            match expression.value(Env::new(query, &named, &variables)) {
                Some(value) => variables.push(value),
                None => return Verdict::Refused,
            }
        }
        for condition in &self.conditions {
            match condition.value(Env::new(query, &named, &variables)) {
                Some(expression::ExpressionValue::Bool(true)) => {}
                Some(_) if self.fallthrough.covers(name.as_wire()) => return Verdict::Pass,
                _ => return Verdict::Refused,
            }
        }
        let variables = names_of.iter().cloned().zip(variables.into_iter().map(GoValue::from)).collect();
        // Where anything is asked for, the template says what it gives.
        let class = self.class.filter(|_| class == DNSClass::ANY).unwrap_or(class);
        let qtype = self.qtype.filter(|_| qtype == RecordType::ANY).unwrap_or(qtype);
        Verdict::Matched(Box::new(Filling {
            variables: GoValue::Map("interface {}", Arc::new(variables)),
            zone: zone.to_string(),
            name: text,
            class: class.to_string(),
            qtype: Rtype::from(qtype).to_string(),
            regex: written.clone(),
            groups: (GoValue::List("string", by_number.into()), GoValue::Map("string", Arc::new(by_name))),
            message: query.request.message().clone(),
            remote: query.client.peer.ip().to_canonical().to_string(),
            metadata: query.metadata.clone(),
        }))
    }

    async fn answer(&self, query: &Query, filling: &Filling, view: &str) -> Outcome {
        let labels =
            [query.server.as_ref(), filling.zone.as_str(), view, filling.class.as_str(), filling.qtype.as_str()];
        metrics::TEMPLATE_MATCHES.with_label_values(&labels).inc();
        if self.rcode == ResponseCode::ServFail {
            let mut message = query.reply_message();
            message.metadata.response_code = self.rcode;
            return Outcome::Reply(Reply::from_message("template", message));
        }
        let mut message = query.reply_message();
        message.metadata.authoritative = true;
        message.metadata.response_code = self.rcode;
        let sections = [TemplateSection::Answer, TemplateSection::Additional, TemplateSection::Authority]
            .into_iter()
            .zip(&self.texts);
        // Of more records than the answer can hold, those that would not are not made.
        let chosen = sections.flat_map(|(section, texts)| {
            let Choice { records, all } = query.some_places(texts.len());
            let is_cut = !all && (section != TemplateSection::Additional || query.limit.over_udp);
            message.metadata.truncation |= is_cut;
            records.into_iter().filter_map(move |at| Some((section, texts.get(at)?)))
        });
        for (section, (text, source)) in chosen.collect::<Vec<_>>() {
            let failed = |metric: &prometheus::IntCounterVec, why: String| {
                let [server, zone, view, class, qtype] = labels;
                metric.with_label_values(&[server, zone, view, class, qtype, section.label(), source]).inc();
                Outcome::Failed("template", Failure::servfail(format!("plugin/template: {why}")))
            };
            let line = match text.fill(filling) {
                Ok(line) => line,
                Err(why) => return failed(&metrics::TEMPLATE_FAILURES, why),
            };
            let made = match record::parse_line(&line, None, 3600) {
                Ok(made) => made,
                Err(why) => return failed(&metrics::TEMPLATE_RR_FAILURES, why),
            };
            match section {
                TemplateSection::Answer => self.add(&mut message, made, query).await,
                TemplateSection::Additional => message.additionals.push(made),
                TemplateSection::Authority => message.authorities.push(made),
            }
        }
        if let (Some((code, reason)), Some(_)) = (&self.extended, query.request.edns()) {
            // Extended DNS Errors are option 15 (RFC 8914 section 2).
            let octets = [code.to_be_bytes().as_slice(), reason.as_bytes()].concat();
            let edns = message.edns.get_or_insert_with(MessageEdns::new);
            edns.options_mut().insert(rdata::opt::EdnsOption::Unknown(15, octets));
        }
        Outcome::Reply(Reply::from_message("template", message))
    }

    /// Adds a record to the answer; a CNAME is followed when addresses are asked for.
    async fn add(&self, message: &mut Message, made: Record, query: &Query) {
        let target = match &made.data {
            RData::CNAME(target) if matches!(query.qtype(), RecordType::A | RecordType::AAAA) => Some(target.0.clone()),
            _ => None,
        };
        message.answers.push(made);
        let Some(target) = target else { return };
        // What is not known of the target changes nothing: the alias is the answer. Who fails may know it later.
        let rcode = message.metadata.response_code;
        let theirs = match query.resolver.lookup(query, &target, query.qtype()).await {
            Outcome::Reply(mut reply) => match reply.message() {
                Ok(found) => {
                    found.authorities.clear();
                    append(message, found);
                    message.metadata.response_code
                }
                Err(failure) => failure.rcode.into(),
            },
            Outcome::Failed(_, failure) => failure.rcode.into(),
            Outcome::Next | Outcome::Drop => rcode,
        };
        message.metadata.response_code = if theirs == ResponseCode::ServFail { theirs } else { rcode };
    }
}

/// The data that the texts of a rule are filled in from.
struct Filling {
    variables: GoValue,
    zone: String,
    name: String,
    class: String,
    qtype: String,
    regex: String,
    groups: (GoValue, GoValue),
    message: Message,
    remote: String,
    metadata: crate::chain::Metadata,
}

impl TemplateData for Filling {
    fn field(&self, name: &str) -> Option<GoValue> {
        let text = |text: &str| GoValue::Text(text.to_owned());
        Some(match name {
            "Zone" => text(&self.zone),
            "Name" => text(&self.name),
            "Class" => text(&self.class),
            "Type" => text(&self.qtype),
            "Regex" => text(&self.regex),
            "Var" => self.variables.clone(),
            "Match" => self.groups.0.clone(),
            "Group" => self.groups.1.clone(),
            "Remote" => text(&self.remote),
            "Message" => self.message(),
            "Question" => question(self.message.queries.first()?),
            _ => return None,
        })
    }

    fn is_method(&self, name: &str) -> bool {
        name == "Meta"
    }

    fn call(&self, _: &str, argument: &str) -> GoValue {
        GoValue::Text(self.metadata.get(argument).cloned().unwrap_or_default())
    }
}

impl Filling {
    /// The query by the names that it has in Go.
    fn message(&self) -> GoValue {
        let Message { metadata, queries, answers, authorities, additionals, edns, .. } = &self.message;
        let records = |count: usize| GoValue::List("dns.RR", vec![GoValue::Nil; count].into());
        let asked: Vec<GoValue> = queries.iter().map(question).collect();
        let fields = vec![
            ("Id", GoValue::Uint(metadata.id.into(), UintSize::Sixteen)),
            ("Response", GoValue::Bool(false)),
            ("Opcode", GoValue::Int(u8::from(metadata.op_code).into())),
            ("Authoritative", GoValue::Bool(metadata.authoritative)),
            ("Truncated", GoValue::Bool(metadata.truncation)),
            ("RecursionDesired", GoValue::Bool(metadata.recursion_desired)),
            ("RecursionAvailable", GoValue::Bool(metadata.recursion_available)),
            ("Zero", GoValue::Bool(false)),
            ("AuthenticatedData", GoValue::Bool(metadata.authentic_data)),
            ("CheckingDisabled", GoValue::Bool(metadata.checking_disabled)),
            ("Rcode", GoValue::Int(u16::from(metadata.response_code).into())),
            ("Compress", GoValue::Bool(false)),
            ("Question", GoValue::List("dns.Question", asked.into())),
            ("Answer", records(answers.len())),
            ("Ns", records(authorities.len())),
            ("Extra", records(additionals.len() + usize::from(edns.is_some()))),
        ];
        GoValue::Object(Arc::new(GoObject { kind: "dns.Msg", shown: format!("query {}", metadata.id), fields }))
    }
}

/// A question by the names that it has in Go.
fn question(asked: &MessageQuestion) -> GoValue {
    let number = |number: u16| GoValue::Uint(number.into(), UintSize::Sixteen);
    let name = asked.name.to_ascii();
    let shown = format!(";{name}\t{}\t {}", asked.query_class, Rtype::from(asked.query_type));
    let fields = vec![
        ("Name", GoValue::Text(name)),
        ("Qtype", number(asked.query_type.into())),
        ("Qclass", number(asked.query_class.into())),
    ];
    GoValue::Object(Arc::new(GoObject { kind: "dns.Question", shown, fields }))
}

impl Plugin for Templates {
    fn name(&self) -> &'static str {
        "template"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            for rule in &self.rules {
                match rule.judge(query) {
                    Verdict::Pass => {}
                    Verdict::Refused => {
                        let name = names::text(&query.name());
                        let why = format!("plugin/template: {name} matches no template, and there is no fallthrough");
                        return Outcome::Failed("template", Failure::servfail(why));
                    }
                    Verdict::Matched(filling) => return rule.answer(query, &filling, &self.view).await,
                }
            }
            Outcome::Next
        })
    }

    fn needs_message(&self, cluster_zones: &[Name]) -> Option<String> {
        // A rule for zones below the cluster's takes the chain by its zones; one for the zones above would take everything.
        let above = |rule: &&TemplateRule| {
            rule.zones.0.iter().any(|zone| rule.qtype.is_none() && cluster_zones.iter().any(|own| own.is_within(zone)))
        };
        self.rules.iter().find(above).map(|_| "a template of any type covers cluster names".to_owned())
    }
}

//----------- Setup ----------------------------------------------------------

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let mut rules = Vec::new();
    for line in lines {
        let rule = rule(line, context)?;
        for zone in &rule.zones.0 {
            let exclusion = match rule.qtype {
                Some(qtype) => Some(FastPathExclusion::Zone(zone.clone(), Some(qtype.into()))),
                // Zones with a type of any that cover a whole cluster zone are told by `needs_message`.
                None if !zone.is_root() => Some(FastPathExclusion::Zone(zone.clone(), None)),
                None => None,
            };
            context.settings.exclusions.extend(exclusion);
        }
        rules.push(rule);
    }
    Ok(vec![Arc::new(Templates { rules, view: context.view.to_owned() })])
}

fn rule(directive: &Directive, context: &Context<'_, '_>) -> Result<TemplateRule, Error> {
    let [class, qtype, zones @ ..] = directive.arguments.as_slice() else {
        return Err(directive.name.error("template needs CLASS TYPE, then zones if wanted"));
    };
    let mut rule = TemplateRule {
        class: read_class(class)?,
        qtype: read_type(qtype)?,
        zones: Zones::read(zones, context.zones)?,
        matches: Vec::new(),
        variables: (Vec::new(), Vec::new()),
        conditions: Vec::new(),
        texts: Default::default(),
        rcode: ResponseCode::NoError,
        extended: None,
        fallthrough: Fallthrough::None,
    };
    for line in directive.lines() {
        line.no_body()?;
        let some = |what: &str| match line.arguments.as_slice() {
            [] => Err(line.name.error(format!("{} needs {what}", line.name.text))),
            words => Ok(words),
        };
        match line.name.text.as_str() {
            "match" => {
                for word in some("a regular expression")? {
                    rule.matches.push((words::regex(word)?, word.text.clone()));
                }
            }
            "var" => {
                let [name, words @ ..] = line.arguments.as_slice() else {
                    return Err(line.name.error("var needs NAME EXPRESSION"));
                };
                let first = words.first().ok_or_else(|| name.error("var needs an expression after its name"))?;
                let is_name = !name.text.starts_with(|c: char| c.is_ascii_digit())
                    && name.text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
                if !is_name || expression::is_reserved(&name.text) {
                    return Err(name.error(format!("`{}` cannot name a variable", name.text)));
                }
                let expression = read_expression(words, first, &rule.variables.0)?;
                rule.variables.0.push(name.text.clone());
                rule.variables.1.push(expression);
            }
            "expr" => {
                let words = some("an expression")?;
                let first = words.first().unwrap_or(&line.name);
                rule.conditions.push(read_expression(words, first, &rule.variables.0)?);
            }
            "answer" => rule.texts[0].extend(texts(some("a record")?)?),
            "additional" => rule.texts[1].extend(texts(some("a record")?)?),
            "authority" => rule.texts[2].extend(texts(some("a record")?)?),
            "rcode" => rule.rcode = words::rcode(words::value(line, "a response code")?)?.into(),
            "ederror" => match line.arguments.as_slice() {
                [code] => rule.extended = Some((words::number(code, 0..=u16::MAX)?, String::new())),
                [code, reason] => rule.extended = Some((words::number(code, 0..=u16::MAX)?, reason.text.clone())),
                _ => return Err(line.name.error("ederror needs a code and takes a reason after it")),
            },
            "fallthrough" => rule.fallthrough = read_fallthrough(line)?,
            // Lookups go through the server always; old Corefiles ask for it.
            "upstream" => {}
            _ => {
                let known =
                    ["match", "var", "expr", "answer", "additional", "authority", "rcode", "ederror", "fallthrough"];
                return Err(words::unknown(line, "template", &known));
            }
        }
    }
    if rule.matches.is_empty() {
        let all = words::compile(".*").map_err(|why| directive.name.error(why))?;
        rule.matches.push((all, ".*".to_owned()));
    }
    Ok(rule)
}

/// The words of a line as one expression.
fn read_expression(words: &[Token], first: &Token, variables: &[String]) -> Result<Expression, Error> {
    let text = words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    let read = Expression::parse(&text, Scope { groups: true, variables });
    read.map_err(|why| first.error(format!("`{text}` is no expression: {why}")))
}

fn texts(words: &[Token]) -> Result<Vec<(Text, String)>, Error> {
    let read = |word: &Token| {
        let text =
            Text::parse(&word.text).map_err(|why| word.error(format!("`{}` is no template: {why}", word.text)))?;
        Ok((text, word.text.clone()))
    };
    words.iter().map(read).collect()
}

fn read_class(word: &Token) -> Result<Option<DNSClass>, Error> {
    match word.text.to_ascii_uppercase().as_str() {
        "ANY" => Ok(None),
        class => class.parse().map(Some).map_err(|_| word.error(format!("`{}` is no class", word.text))),
    }
}

fn read_type(word: &Token) -> Result<Option<RecordType>, Error> {
    match word.text.to_ascii_uppercase().as_str() {
        "ANY" => Ok(None),
        name => {
            let rtype =
                Rtype::from_name(name).ok_or_else(|| word.error(format!("`{}` is no record type", word.text)))?;
            Ok(Some(rtype.into()))
        }
    }
}

#[cfg(test)]
mod tests;
