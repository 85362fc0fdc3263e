//! Name: `loop`
//!
//! Description: finds out whether what is sent upstream comes back. At the start, for up to 30 seconds, it asks the server itself
//! for the HINFO record of a name that nobody can guess. When that name arrives a second time, an upstream leads back here:
//! queries that would go upstream get SERVFAIL from then on, names of the cluster and of files are answered as before, and the
//! probe is sent every minute until it comes back no more.
//!
//! Syntax:
//!
//! ```text
//! loop
//! ```
//!
//! Examples:
//!
//! ```corefile
//! . {
//!     loop
//!     forward . 192.0.2.53
//! }
//! ```
//!
//! Metrics: `rollcall_loop_detected` {server, zone}: 1 while there is a loop, 0 from the start.
//!
//! Ready: always.
//!
//! Differences: CoreDNS ends its process when it finds a loop, which takes the cluster's names along.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use prometheus::IntGauge;

use crate::chain::settings::Task;
use crate::chain::setup::{Context, once, port};
use crate::chain::{Next, Outcome, Plugin, Query};
use crate::corefile::{Directive, Error, Scheme};
use crate::metrics::metrics;
use crate::syntax::words;
use crate::wire::message::RecordType;
use crate::wire::{Class, Failure, Flags, Name, Rtype, bare_message};

/// The plugin.
pub(crate) struct Loop {
    watch: Arc<Watch>,
}

/// The state of the search for a loop.
struct Watch {
    zone: Name,
    /// The address of the server itself; none for encrypted blocks.
    own: Option<SocketAddr>,
    /// The gauge that shows it. After a reload the watches before and after may count in it for a moment.
    detected: IntGauge,
    state: Mutex<State>,
}

struct State {
    phase: LoopPhase,
    /// Names sent not long ago, with how often each arrived; the last one is the newest.
    probes: Vec<(Name, u32)>,
    socket: Option<UdpSocket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoopPhase {
    /// Probes are sent until one is answered; begun at the first.
    Probing(Option<Instant>),
    /// Probes were answered at this time: a moment later it is over.
    Answered(Instant),
    /// Nothing came back.
    Over,
    /// There is a loop; the next probe is sent at this time, or the last one is judged.
    Looping { next: Instant, judging: bool },
}

const EVERY: Duration = Duration::from_secs(1);
const PROBING: Duration = Duration::from_secs(30);
/// The time after an answer in which a probe may still come back.
const SETTLE: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_secs(60);
/// Longer than a forwarded query lives.
const JUDGE: Duration = Duration::from_secs(6);
const REMEMBERED: usize = 8;

impl Plugin for Loop {
    fn name(&self) -> &'static str {
        "loop"
    }

    fn serve<'a>(&'a self, query: &'a mut Query, _: Next<'a>) -> BoxFuture<'a, Outcome> {
        let outcome = match self.watch.arrived(query) {
            Ok(()) => Outcome::Next,
            Err(failure) => Outcome::Failed("loop", failure),
        };
        Box::pin(async { outcome })
    }

    fn needs_message(&self, _: &[Name]) -> Option<String> {
        None
    }
}

impl Watch {
    fn new(zone: Name, own: Option<SocketAddr>, server: &str) -> Self {
        let detected = DETECTED.with_label_values(&[server, &zone.to_string()]);
        let state = State { phase: LoopPhase::Probing(None), probes: Vec::new(), socket: None };
        Self { zone, own, detected, state: Mutex::new(state) }
    }

    /// Lets a query pass on its way upstream, or not.
    fn arrived(&self, query: &Query) -> Result<(), Failure> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.phase == LoopPhase::Over {
            return Ok(());
        }
        if query.qtype() == RecordType::HINFO {
            let name = query.qname();
            if let Some((_, count)) = state.probes.iter_mut().find(|(probe, _)| *probe == name) {
                *count += 1;
                if *count < 2 {
                    return Ok(());
                }
                if !matches!(state.phase, LoopPhase::Looping { .. }) {
                    self.detected.inc();
                    tracing::error!(
                        zone = %self.zone,
                        from = %query.client.peer,
                        "plugin/loop: an upstream leads back to this server; queries for upstreams of this server block get \
                         SERVFAIL until it does not, other names are answered: look for the own address or a local stub \
                         resolver in the resolv.conf that forward names"
                    );
                }
                state.phase = LoopPhase::Looping { next: Instant::now() + AGAIN, judging: false };
            }
        }
        match state.phase {
            LoopPhase::Looping { .. } => Err(Failure {
                extended: Some(22),
                ..Failure::servfail(format!("loop detected for zone {}: its upstream leads back here", self.zone))
            }),
            _ => Ok(()),
        }
    }

    /// One step, every second until it is over.
    fn step(&self, now: Instant) -> ControlFlow<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match state.phase {
            LoopPhase::Over => return ControlFlow::Break(()),
            LoopPhase::Probing(begun) => {
                let begun = begun.unwrap_or(now);
                if state.answered() {
                    state.phase = LoopPhase::Answered(now);
                } else if now.saturating_duration_since(begun) > PROBING || self.own.is_none() {
                    state.phase = LoopPhase::Over;
                } else {
                    state.phase = LoopPhase::Probing(Some(begun));
                    self.probe(&mut state);
                }
            }
            LoopPhase::Answered(at) if now.saturating_duration_since(at) < SETTLE => {}
            LoopPhase::Answered(_) => {
                (state.phase, state.socket) = (LoopPhase::Over, None);
            }
            LoopPhase::Looping { next, .. } if now < next => {}
            LoopPhase::Looping { judging: false, .. } => {
                self.probe(&mut state);
                state.phase = LoopPhase::Looping { next: now + JUDGE, judging: true };
            }
            LoopPhase::Looping { judging: true, .. } => {
                // It arrived here, went upstream and did not come back; one that never arrived says nothing.
                if state.probes.last().is_some_and(|(_, count)| *count == 1) {
                    tracing::info!(zone = %self.zone, "plugin/loop: the loop is gone; queries go upstream again");
                    self.detected.dec();
                    (state.phase, state.socket) = (LoopPhase::Over, None);
                } else {
                    state.phase = LoopPhase::Looping { next: now + AGAIN, judging: false };
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Sends a probe under a new name: 126 bits that nobody can guess (CVE-2026-26018).
    fn probe(&self, state: &mut State) {
        let Some(to) = self.own else { return };
        let labels = [rand::random::<u64>() >> 1, rand::random::<u64>() >> 1].map(|number| number.to_string());
        let labels = labels.iter().map(String::as_bytes).chain(self.zone.labels());
        let Ok(name) = Name::from_labels(labels) else { return };
        let octets = bare_message(rand::random(), Flags::RD, name.as_wire(), Rtype::HINFO, Class::IN);
        if state.probes.len() >= REMEMBERED {
            state.probes.remove(0);
        }
        state.probes.push((name, 0));
        // One that cannot be sent now is sent again a second later: the listener may not be there yet.
        let here = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        if state.socket.is_none() {
            state.socket = UdpSocket::bind(here).and_then(|socket| socket.set_nonblocking(true).map(|()| socket)).ok();
        }
        if let Some(socket) = &state.socket {
            let _ = socket.send_to(&octets, to);
        }
    }
}

impl Drop for Watch {
    /// A loop of a block that is gone is none.
    fn drop(&mut self) {
        if matches!(self.state.get_mut().unwrap_or_else(PoisonError::into_inner).phase, LoopPhase::Looping { .. }) {
            self.detected.dec();
        }
    }
}

impl State {
    /// Whether a probe was answered.
    fn answered(&self) -> bool {
        let (Some(socket), mut buffer) = (&self.socket, [0; 512]) else { return false };
        while let Ok((length, _)) = socket.recv_from(&mut buffer) {
            let reply = buffer.get(12..length).unwrap_or_default();
            if self.probes.iter().any(|(name, _)| reply.starts_with(name.as_wire())) {
                return true;
            }
        }
        false
    }
}

pub(crate) fn setup(lines: &[&Directive], context: &mut Context<'_, '_>) -> Result<Vec<Arc<dyn Plugin>>, Error> {
    words::alone(once(lines)?)?;
    let key = context.keys.iter().find(|key| key.scheme == Scheme::Dns);
    let zone = key.or_else(|| context.keys.first()).map_or_else(Name::root, |key| key.zone.clone());
    let address = context.settings.bind.first().copied().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let own = key.map(|key| SocketAddr::new(address, port(key, context.host.default_port)));
    let server = own.map_or_else(String::new, |own| match context.settings.bind.first() {
        None => format!("dns://:{}", own.port()),
        Some(_) => format!("dns://{own}"),
    });
    let watch = Arc::new(Watch::new(zone, own, &server));
    let probed = watch.clone();
    context.settings.tasks.push(Task { every: EVERY, run: Arc::new(move |now| probed.step(now)) });
    Ok(vec![Arc::new(Loop { watch })])
}

metrics! {
    pub(super) fn register;

    DETECTED: IntGaugeVec["server", "zone"] =
        "rollcall_loop_detected", "1 while an upstream leads back to this server";
}

#[cfg(test)]
mod tests {
    use super::super::testing::{block, fault};
    use super::*;
    use crate::chain::testing::query;

    fn names_of(watch: &Watch) -> Vec<Name> {
        watch.state.lock().unwrap().probes.iter().map(|(name, _)| name.clone()).collect()
    }

    fn arrives(watch: &Watch, name: &Name) -> Result<(), Failure> {
        watch.arrived(&query(&name.to_string(), RecordType::HINFO))
    }

    fn server() -> (UdpSocket, Watch) {
        server_of("example.org")
    }

    fn server_of(zone: &str) -> (UdpSocket, Watch) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let own = socket.local_addr().unwrap();
        (socket, Watch::new(zone.parse().unwrap(), Some(own), "dns://:53"))
    }

    #[test]
    fn a_probe_that_comes_back_fails_what_goes_upstream_until_it_comes_back_no_more() {
        let (socket, watch) = server();
        let now = Instant::now();
        let _ = watch.step(now);
        let mut buffer = [0; 512];
        assert!(socket.recv(&mut buffer).unwrap() > 12, "the probe is sent to the server itself");
        let probe = names_of(&watch).remove(0);
        assert!(probe.is_within(&"example.org".parse().unwrap()));
        assert!(arrives(&watch, &probe).is_ok());
        assert!(watch.arrived(&query("www.example.org.", RecordType::A)).is_ok());
        assert_eq!(arrives(&watch, &probe).unwrap_err().rcode.0, 2);
        let failure = watch.arrived(&query("www.example.org.", RecordType::A)).unwrap_err();
        assert!(failure.message.contains("loop detected"), "{failure}");

        // A minute later it is tried again, and this time nothing comes back.
        let _ = watch.step(now + AGAIN / 2);
        assert_eq!(names_of(&watch).len(), 1);
        let _ = watch.step(now + AGAIN + EVERY);
        let second = names_of(&watch).remove(1);
        assert_ne!(probe, second);
        assert!(arrives(&watch, &second).is_ok(), "it goes upstream, to see whether it comes back");
        assert!(watch.arrived(&query("www.example.org.", RecordType::A)).is_err());
        assert_eq!(watch.detected.get(), 1);
        let _ = watch.step(now + AGAIN + EVERY * 2 + JUDGE);
        assert_eq!(watch.detected.get(), 0);
        assert!(watch.step(now + AGAIN * 2).is_break(), "nothing is left to do");
        assert!(watch.arrived(&query("www.example.org.", RecordType::A)).is_ok());
    }

    #[test]
    fn a_loop_ends_with_its_server_block() {
        let (_socket, watch) = server_of("gone.example");
        let _ = watch.step(Instant::now());
        let (probe, detected) = (names_of(&watch).remove(0), watch.detected.clone());
        assert_eq!(detected.get(), 0);
        assert!(arrives(&watch, &probe).is_ok() && arrives(&watch, &probe).is_err());
        // A watch of the same zone, as a reload makes it.
        let (_other_socket, next) = server_of("gone.example");
        assert_eq!(detected.get(), 1);
        drop(watch);
        assert_eq!((detected.get(), next.detected.get()), (0, 0));
    }

    #[test]
    fn an_answered_probe_ends_the_watch() {
        let (socket, watch) = server();
        let now = Instant::now();
        let _ = watch.step(now);
        let mut buffer = [0; 512];
        let (length, from) = socket.recv_from(&mut buffer).unwrap();
        socket.send_to(&buffer[..length], from).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        let _ = watch.step(now + EVERY);
        let _ = watch.step(now + EVERY + SETTLE);
        assert_eq!(watch.state.lock().unwrap().phase, LoopPhase::Over);
        let probe = names_of(&watch).remove(0);
        assert!(arrives(&watch, &probe).is_ok() && arrives(&watch, &probe).is_ok());
    }

    #[test]
    fn without_an_answer_probing_ends_after_half_a_minute() {
        let (_socket, watch) = server();
        let now = Instant::now();
        for second in 0..=31 {
            let _ = watch.step(now + EVERY * second);
        }
        assert_eq!(watch.state.lock().unwrap().phase, LoopPhase::Over);
        assert!(names_of(&watch).len() <= REMEMBERED);
    }

    #[test]
    fn names_that_others_ask_for_are_no_probes() {
        let (_socket, watch) = server();
        let _ = watch.step(Instant::now());
        for _ in 0..5 {
            assert!(watch.arrived(&query("1.2.example.org.", RecordType::HINFO)).is_ok());
        }
    }

    #[test]
    fn the_directive_stands_alone_and_brings_a_task() {
        let block = block("loop").unwrap();
        assert_eq!(block.settings.tasks.len(), 1);
        assert!(fault("loop twice").starts_with("Corefile:2:6: "));
        assert!(fault("loop\nloop").starts_with("Corefile:3:1: "));
    }
}
