//! Health checks: begun by a failed exchange, ended by any answer.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Upstream;
use super::metrics::{CHECK_FAILURES, OLD_CHECK_FAILURES, PROXY};
use crate::tasks;
use crate::wire::{Class, Flags, Name, Rtype, bare_message};

/// The check of an upstream's health.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// The pause between two checks; zero for none at all.
    pub interval: Duration,
    /// Whether the query wants recursion (RD).
    pub recursion: bool,
    /// The name whose NS records are asked for.
    pub domain: Name,
}

impl Default for Check {
    fn default() -> Self {
        Self { interval: Duration::from_millis(500), recursion: true, domain: Name::root() }
    }
}

/// The time that an answer is waited for.
const LIMIT: Duration = Duration::from_secs(1);

impl Check {
    /// Checks an upstream until it answers, unless that goes on already.
    pub(super) fn start(&self, upstream: &Arc<Upstream>, stream: bool) {
        if self.interval.is_zero() || upstream.being_checked.swap(true, Ordering::Relaxed) {
            return;
        }
        let (query, interval, upstream) = (self.query(), self.interval, Arc::downgrade(upstream));
        tokio::spawn(async move {
            // Gone with its server block: nobody wants to know any more.
            while let Some(one) = upstream.upgrade() {
                if tasks::caught("health check", one.check(&query, stream, LIMIT)).await == Some(true) {
                    one.checks_failed.store(0, Ordering::Relaxed);
                    one.being_checked.store(false, Ordering::Relaxed);
                    return;
                }
                one.checks_failed.fetch_add(1, Ordering::Relaxed);
                CHECK_FAILURES.with_label_values(&[PROXY, one.label()]).inc();
                OLD_CHECK_FAILURES.with_label_values(&[one.label()]).inc();
                drop(one);
                tokio::time::sleep(interval).await;
            }
        });
    }

    fn query(&self) -> Vec<u8> {
        let flags = Flags::default().with_if(self.recursion, Flags::RD);
        bare_message(0, flags, self.domain.as_wire(), Rtype::NS, Class::IN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_query_asks_for_ns_with_and_without_recursion() {
        assert_eq!(Check::default().query(), b"\0\0\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01");
        let check = Check { recursion: false, domain: "example.org".parse().unwrap(), ..Check::default() };
        assert_eq!(check.query(), b"\0\0\0\0\0\x01\0\0\0\0\0\0\x07example\x03org\0\0\x02\0\x01");
    }
}
