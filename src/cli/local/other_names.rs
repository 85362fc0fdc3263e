//! Names outside of the cluster's zone, for a resolver with a pod's search list: it ends at what does not exist, where an
//! error makes it wait or give up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::chain::{Next, Outcome, Plugin, Query, Reply};
use crate::wire::message::{RecordType, ResponseCode};
use crate::wire::{Name, Rcode};
use crate::zone::Reader;

/// The time that the resolvers have: well below the five seconds after which clients ask again.
const PATIENCE: Duration = Duration::from_secs(3);

/// Stands before `forward`. What nobody can be asked for does not exist.
pub(super) struct OutsideNames {
    reader: Reader,
    /// The resolvers, as messages name them; empty without any.
    resolvers: String,
    /// None of the resolvers answered the last time.
    silent: AtomicBool,
}

impl OutsideNames {
    pub(super) fn new(reader: Reader, resolvers: &[String]) -> Self {
        Self { reader, resolvers: resolvers.join(", "), silent: AtomicBool::new(false) }
    }

    /// Notes whether somebody answered; told when it changes.
    fn heard(&self, answered: bool) {
        if self.silent.swap(!answered, Ordering::Relaxed) != answered {
            return;
        }
        match answered {
            true => tracing::info!("{} answers again", self.resolvers),
            false => tracing::warn!(
                "no answer from {}: names outside do not exist until there is one; --forward names another resolver",
                self.resolvers
            ),
        }
    }

    /// Whether a name ends as one that a search list would have made whole: `web-9.web`, `web.default`.
    fn is_rest_of_search(&self, name: &Name) -> bool {
        let Some(last) = name.labels().last() else { return false };
        self.reader.has_namespace(last) || self.reader.services().iter().any(|service| service.name.service() == last)
    }
}

impl Plugin for OutsideNames {
    fn name(&self) -> &'static str {
        "outside"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, next: Next<'a>) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let name = Name::from(&query.name());
            // A top level has no addresses (ICANN SAC 053), and some resolvers look for long all the same.
            let of_zones = [RecordType::NS, RecordType::SOA, RecordType::DS, RecordType::DNSKEY];
            let single = name.labels().count() == 1 && !of_zones.contains(&query.qtype());
            if self.resolvers.is_empty() || single {
                return missing(query);
            }
            match tokio::time::timeout(PATIENCE, next.run(query)).await {
                Ok(Outcome::Reply(reply)) => {
                    self.heard(true);
                    match reply.rcode() {
                        Rcode::REFUSED => missing(query),
                        Rcode::SERVFAIL if self.is_rest_of_search(&name) => missing(query),
                        _ => Outcome::Reply(reply),
                    }
                }
                Ok(Outcome::Failed(_, failure)) if matches!(failure.rcode, Rcode::SERVFAIL | Rcode::REFUSED) => {
                    self.heard(false);
                    missing(query)
                }
                Err(_) => {
                    self.heard(false);
                    missing(query)
                }
                Ok(other) => other,
            }
        })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

/// The name does not exist. Without a SOA record nobody remembers it (RFC 2308 section 5).
fn missing(query: &Query) -> Outcome {
    let mut message = query.reply_message();
    message.metadata.response_code = ResponseCode::NXDomain;
    message.metadata.recursion_available = true;
    Outcome::Reply(Reply::from_message("outside", message))
}
