//! Name: `dns64`
//!
//! Description: makes AAAA records from A records for clients that have IPv6 alone (RFC 6147).
//!
//! Syntax:
//!
//! ```text
//! dns64 [PREFIX] {
//!     prefix PREFIX
//!     translate_all
//!     allow_ipv4
//! }
//! ```
//!
//! The prefix is `64:ff9b::/96` unless given; its length is 32, 40, 48, 56, 64 or 96. `translate_all` replaces AAAA records
//! that there are; `allow_ipv4` answers clients that ask over IPv4 too.
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     dns64 64:ff9b:1::/96 {
//!         translate_all
//!     }
//!     whoami
//! }
//! ```
//!
//! Metrics: `coredns_dns64_requests_translated_total{server}`.
//!
//! Ready: always.
//!
//! Differences: the flags AA and RA are those of the answer with the IPv4 addresses.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use ipnet::Ipv6Net;

use super::metrics;
use crate::chain::setup::{Context, last};
use crate::chain::{FastPathExclusion, Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error, Token};
use crate::syntax::words;
use crate::wire::Name;
use crate::wire::message::{DNSClass, Message, RData, Record, RecordType, ResponseCode, rdata};

/// The plugin.
pub(crate) struct Dns64 {
    prefix: Ipv6Net,
    translate_all: bool,
    allow_ipv4: bool,
}

impl Dns64 {
    fn wants(&self, query: &Query) -> bool {
        let over_ipv6 = query.client.peer.ip().to_canonical().is_ipv6();
        query.qtype() == RecordType::AAAA && query.qclass() == DNSClass::IN && (over_ipv6 || self.allow_ipv4)
    }

    /// Whether an answer is to be replaced (RFC 6147 sections 5.1.1 to 5.1.4).
    fn replaces(&self, message: &Message) -> bool {
        // A name that does not exist has no A either.
        message.metadata.response_code != ResponseCode::NXDomain
            && (self.translate_all || !message.answers.iter().any(is_usable))
    }

    /// The answer from A records, the CNAMEs before them kept; nothing when there are none.
    fn translate(&self, query: &Query, negative: Option<u32>, found: &Message) -> Option<Message> {
        if found.metadata.response_code != ResponseCode::NoError {
            return None;
        }
        let mut message = query.reply_message();
        message.metadata.authoritative = found.metadata.authoritative;
        message.metadata.recursion_available = found.metadata.recursion_available;
        message.metadata.truncation = found.metadata.truncation;
        for record in &found.answers {
            match &record.data {
                RData::A(address) => {
                    let data = RData::AAAA(rdata::AAAA(embed(self.prefix, address.0)));
                    // RFC 6147 section 5.1.7: not longer than the negative answer that it stands for.
                    let ttl = negative.map_or(record.ttl, |negative| negative.min(record.ttl));
                    message.answers.push(Record::from_rdata(record.name.clone(), ttl, data));
                }
                RData::CNAME(_) => message.answers.push(record.clone()),
                _ => {}
            }
        }
        message.answers.iter().any(|record| record.record_type() == RecordType::AAAA).then_some(message)
    }
}

/// Whether a record is an AAAA that is no mapped IPv4 address (RFC 6147 section 5.1.4).
fn is_usable(record: &Record) -> bool {
    matches!(&record.data, RData::AAAA(address) if address.0.to_ipv4_mapped().is_none())
}

/// Puts an IPv4 address into a prefix; bits 64 to 71 stay zero (RFC 6052 section 2.2).
fn embed(prefix: Ipv6Net, address: Ipv4Addr) -> Ipv6Addr {
    let mut octets = prefix.network().octets();
    let start = usize::from(prefix.prefix_len() / 8);
    let places = (start..16).filter(|place| *place != 8 || start == 12);
    for (place, octet) in places.zip(address.octets()) {
        if let Some(target) = octets.get_mut(place) {
            *target = octet;
        }
    }
    octets.into()
}

impl Plugin for Dns64 {
    fn name(&self) -> &'static str {
        "dns64"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if !self.wants(query) {
                return Outcome::Next;
            }
            let name = query.name();
            let mut outcome = next.run(&mut *query).await;
            let negative = match &mut outcome {
                Outcome::Reply(reply) => match reply.message() {
                    Ok(message) if self.replaces(message) => {
                        message.authorities.iter().find(|it| it.record_type() == RecordType::SOA).map(|soa| soa.ttl)
                    }
                    _ => return outcome,
                },
                // RFC 6147 section 5.1.2: an error counts as an empty answer.
                Outcome::Failed(..) => None,
                Outcome::Next | Outcome::Drop => return outcome,
            };
            if let Outcome::Reply(mut found) = query.resolver.lookup(query, &name, RecordType::A).await
                && let Ok(found) = found.message()
                && let Some(message) = self.translate(query, negative, found)
            {
                metrics::DNS64_TRANSLATED.with_label_values(&[query.server.as_ref()]).inc();
                return Outcome::Reply(Reply::from_message("dns64", message));
            }
            outcome
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        // Questions of type AAAA take the chain.
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    let dns64 = last(lines, read)?;
    context.settings.exclusions.push(FastPathExclusion::Type(RecordType::AAAA.into()));
    Ok(vec![Arc::new(dns64)])
}

fn read(directive: &Directive) -> Result<Dns64, Error> {
    let well_known = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);
    let mut dns64 = Dns64 { prefix: well_known, translate_all: false, allow_ipv4: false };
    if !directive.arguments.is_empty() {
        dns64.prefix = read_prefix(directive.one_argument("a prefix")?)?;
    }
    for line in directive.lines() {
        match line.name.text.as_str() {
            "prefix" => dns64.prefix = read_prefix(words::value(line, "a prefix")?)?,
            "translate_all" => {
                words::alone(line)?;
                dns64.translate_all = true;
            }
            "allow_ipv4" => {
                words::alone(line)?;
                dns64.allow_ipv4 = true;
            }
            _ => return Err(words::unknown(line, "dns64", &["prefix", "translate_all", "allow_ipv4"])),
        }
    }
    Ok(dns64)
}

fn read_prefix(word: &Token) -> Result<Ipv6Net, Error> {
    match word.text.parse::<Ipv6Net>() {
        Ok(prefix) if [32, 40, 48, 56, 64, 96].contains(&prefix.prefix_len()) => Ok(prefix.trunc()),
        _ => Err(word.error(format!("`{}` is no IPv6 prefix of length 32, 40, 48, 56, 64 or 96", word.text))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::{Answers, Asks, lines, message, query, run};

    fn ask(text: &str, zone: &str, rcode: Option<ResponseCode>) -> (Vec<String>, ResponseCode) {
        let zone = || Answers { exact: true, rcode, ..Answers::with(zone) };
        let mut chain = block(text).unwrap().chain;
        chain.push(Arc::new(zone()));
        let mut asked = query("a.example.", RecordType::AAAA);
        asked.resolver = Arc::new(Asks(vec![Arc::new(zone())]));
        let reply = message(run(&chain, &mut asked));
        (lines(&reply.answers), reply.metadata.response_code)
    }

    const V4: &str = "a.example. 30 IN A 10.96.0.80";
    const BOTH: &str = "a.example. 30 IN A 10.96.0.80\na.example. 30 IN AAAA fd00::1";

    #[test]
    fn aaaa_is_made_from_a_when_there_is_none() {
        let own = "dns64 {\nprefix 64:ff9b:1::/96\nallow_ipv4\n}";
        assert_eq!(ask(own, V4, None).0, ["a.example. 30 IN AAAA 64:ff9b:1::a60:50"]);
        assert_eq!(ask(own, BOTH, None).0, ["a.example. 30 IN AAAA fd00::1"]);
        let all = "dns64 {\ntranslate_all\nallow_ipv4\n}";
        assert_eq!(ask(all, BOTH, None).0, ["a.example. 30 IN AAAA 64:ff9b::a60:50"]);
        let (answers, rcode) = ask(all, V4, Some(ResponseCode::NXDomain));
        assert!(answers.is_empty() && rcode == ResponseCode::NXDomain);
        // Over IPv4 only where it is allowed.
        assert!(ask("dns64", V4, None).0.is_empty());
    }

    #[test]
    fn addresses_are_embedded_as_rfc_6052_shows() {
        for (prefix, address) in [
            ("2001:db8::/32", "2001:db8:c000:221::"),
            ("2001:db8:100::/40", "2001:db8:1c0:2:21::"),
            ("2001:db8:122::/48", "2001:db8:122:c000:2:2100::"),
            ("2001:db8:122:300::/56", "2001:db8:122:3c0:0:221::"),
            ("2001:db8:122:344::/64", "2001:db8:122:344:c0:2:2100::"),
            ("2001:db8:122:344::/96", "2001:db8:122:344::c000:221"),
        ] {
            assert_eq!(
                embed(prefix.parse().unwrap(), Ipv4Addr::new(192, 0, 2, 33)),
                address.parse::<Ipv6Addr>().unwrap()
            );
        }
    }

    #[test]
    fn wrong_prefixes_are_refused() {
        assert!(fault("dns64 64:ff9b::/97").starts_with("Corefile:2:7:"));
        assert!(fault("dns64 {\nprefix 10.0.0.0/8\n}").starts_with("Corefile:3:8:"));
        assert!(fault("dns64 {\ntranslate\n}").starts_with("Corefile:3:1:"));
    }
}
