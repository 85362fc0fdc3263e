//! Name: `erratic`
//!
//! Description: answers every A and AAAA with a fixed address and drops, delays or truncates some answers, to test clients.
//!
//! Syntax:
//!
//! ```text
//! erratic {
//!     drop [AMOUNT]
//!     truncate [AMOUNT]
//!     delay [AMOUNT [DURATION]]
//!     large
//! }
//! ```
//!
//! One in AMOUNT queries is dropped, truncated or delayed; the amount is 2 and the duration 100ms unless given. One in two
//! is dropped where nothing else is asked for. `large` repeats the record of type A thirty times.
//!
//! Examples:
//!
//! ```corefile
//! example.org {
//!     erratic {
//!         drop 3
//!     }
//! }
//! ```
//!
//! Metrics: none.
//!
//! Ready: always.
//!
//! Differences: zone transfers get SERVFAIL as other types do.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::chain::setup::{Context, last};
use crate::chain::{Next, Outcome, Plugin, Query, Reply};
use crate::corefile::{Directive, Error};
use crate::syntax::words;
use crate::wire::message::{RData, Record, RecordType, rdata};
use crate::wire::{Failure, Name};

/// The plugin.
#[derive(Debug, Default)]
pub(crate) struct Erratic {
    drop: u64,
    truncate: u64,
    delay: u64,
    time: Duration,
    large: bool,
    asked: AtomicU64,
}

impl Plugin for Erratic {
    fn name(&self) -> &'static str {
        "erratic"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let one_in = |amount: u64| amount > 0 && number.is_multiple_of(amount);
            if one_in(self.drop) {
                return Outcome::Drop;
            }
            if one_in(self.delay) {
                tokio::time::sleep(self.time).await;
            }
            let data = match query.qtype() {
                RecordType::A => RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, 53))),
                RecordType::AAAA => RData::AAAA(rdata::AAAA(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x53))),
                other => {
                    let why = format!("plugin/erratic: {other} is never answered");
                    return Outcome::Failed("erratic", Failure::servfail(why));
                }
            };
            let mut message = query.reply_message();
            message.metadata.authoritative = true;
            message.metadata.truncation = one_in(self.truncate);
            let record = Record::from_rdata(query.name(), 0, data);
            let copies = if self.large && query.qtype() == RecordType::A { 30 } else { 1 };
            message.answers.extend(std::iter::repeat_n(record, copies));
            Outcome::Reply(Reply::from_message("erratic", message))
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

pub(crate) fn setup(lines: &[&Directive], _: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    Ok(vec![Arc::new(last(lines, read)?)])
}

fn read(directive: &Directive) -> Result<Erratic, Error> {
    directive.no_arguments()?;
    let mut erratic = Erratic { time: Duration::from_millis(100), ..Erratic::default() };
    for line in directive.lines() {
        line.no_body()?;
        let amount = match line.arguments.as_slice() {
            [] => 2,
            [amount, ..] => words::number(amount, 0..=u64::MAX)?,
        };
        match (line.name.text.as_str(), line.arguments.get(1..).unwrap_or_default()) {
            ("drop", []) => erratic.drop = amount,
            ("truncate", []) => erratic.truncate = amount,
            ("large", []) if line.arguments.is_empty() => erratic.large = true,
            ("delay", rest) => {
                erratic.delay = amount;
                match rest {
                    [] => {}
                    [time] => erratic.time = words::duration(time)?,
                    [_, extra, ..] => return Err(extra.error("delay takes AMOUNT and DURATION and nothing after them")),
                }
            }
            ("drop" | "truncate", [extra, ..]) => return Err(extra.error("only an amount can stand here")),
            _ => return Err(words::unknown(line, "erratic", &["drop", "truncate", "delay", "large"])),
        }
    }
    let drops = directive.lines().iter().any(|line| line.name.text == "drop");
    if !drops && erratic.delay == 0 && erratic.truncate == 0 {
        erratic.drop = 2;
    }
    Ok(erratic)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::{message, query, run};

    #[test]
    fn one_in_so_many_is_dropped() {
        let chain = block("erratic {\ndrop 3\n}").unwrap().chain;
        let dropped = (0..9).filter(|_| matches!(run(&chain, &mut query("a.example.", RecordType::A)), Outcome::Drop));
        assert_eq!(dropped.count(), 3);
    }

    #[test]
    fn answers_can_be_large() {
        let chain = block("erratic {\nlarge\ndrop 0\n}").unwrap().chain;
        let reply = message(run(&chain, &mut query("a.example.", RecordType::A)));
        assert_eq!(reply.answers.len(), 30);
    }

    #[test]
    fn wrong_amounts_are_refused() {
        assert!(fault("erratic {\ndrop some\n}").starts_with("Corefile:3:6:"));
        assert!(fault("erratic {\ndelay 1 soon\n}").starts_with("Corefile:3:9:"));
        assert!(fault("erratic {\nlose\n}").starts_with("Corefile:3:1:"));
    }
}
