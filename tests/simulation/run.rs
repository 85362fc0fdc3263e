//! One run: a world, its faults, and a server of ours in it, all from one seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use rollcall::cluster::{Connection, IndexSettings, Mirror, Options, Timing, WallClock};
use rollcall::wire::Rcode;
use tokio::runtime::{Builder, Handle};

use crate::api::{Action, Model, Shared, direct, lock};
use crate::chance::Chance;
use crate::faults::{Fault, Trouble};
use crate::objects::{Content, KINDS, Kind};
use crate::oracle::Oracle;
use crate::trace::Trace;
use crate::workload::Workload;

/// After the last fault, so many milliseconds pass until all that was true before has to be there.
const CONVERGED: u64 = 1_000;

/// How a run went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The promise that was broken, if one was.
    pub(crate) broken: Option<String>,
    /// The number of all that happened.
    pub(crate) number: u64,
    /// All that happened, where it was asked for.
    pub(crate) lines: Vec<String>,
    /// The time that passed in the run, in milliseconds.
    pub(crate) lasted: u64,
    /// How often a client found another version.
    pub(crate) looks: u64,
    /// How often the cluster changed.
    pub(crate) changes: usize,
    /// How many faults there were.
    pub(crate) faults: usize,
}

/// How much of a run is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Nothing but how it went.
    Nothing,
    /// All that happened, in words and as a number.
    Words,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, keep: Keep) -> Outcome {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    // Made within, where the clock is one that stands.
    runtime.block_on(async move { Run::new(seed, keep).go().await })
}

struct Run {
    seed: u64,
    shared: Shared,
    workload: Workload,
    options: Options,
    mirror: Option<Mirror>,
    starts: u64,
    jumped: Arc<AtomicI64>,
    faults: usize,
    /// When the last fault is over, and since when all that is older than a second has to be there.
    quiet: Option<u64>,
}

impl Run {
    fn new(seed: u64, keep: Keep) -> Self {
        let mut chance = Chance::of(seed, 0);
        let namespaces = u8::try_from(chance.range(1, 3)).unwrap();
        let workload = Workload::new(seed, namespaces, u8::try_from(chance.range(3, 6)).unwrap());
        let oracle = Oracle::new(workload.services());
        let trace = Trace::new(keep == Keep::Words);
        let servers = chance.pick(&[1, 2, 3]);
        let mut model = Model::new(seed, servers, oracle, trace);
        let quiet = chance.length(2_000, 60_000);
        let faults = plan(&mut model, &mut chance, quiet, servers);
        let jumped = Arc::new(AtomicI64::new(0));
        let (start, own) = (model.moment(0), Arc::clone(&jumped));
        let clock = WallClock::new(move || {
            let seconds = 1_700_000_000 + own.load(Ordering::Relaxed);
            Duration::from_secs(seconds.max(0).unsigned_abs()) + start.elapsed()
        });
        let shared = Arc::new(std::sync::Mutex::new(model));
        let timing = Timing { whole_lists: chance.percent(60), ..Timing::default() };
        let options = Options {
            connection: Connection::Direct(direct(&shared)),
            pods: true,
            timing,
            clock,
            ..Options::default()
        };
        Self { seed, shared, workload, options, mirror: None, starts: 0, jumped, faults, quiet: None }
    }

    async fn go(mut self) -> Outcome {
        self.workload.found(&mut lock(&self.shared));
        lock(&self.shared).see_all();
        self.start();
        let sooner = Arc::clone(&lock(&self.shared).sooner);
        loop {
            let (at, action) = {
                let mut model = lock(&self.shared);
                let Some(((at, _), _)) = model.agenda.first_key_value() else { break };
                let at = *at;
                let action = if at <= model.now() { model.agenda.pop_first() } else { None };
                (model.moment(at), action.map(|(_, action)| action))
            };
            match action {
                Some(action) => {
                    if !self.act(action) || lock(&self.shared).oracle.broken.is_some() {
                        break;
                    }
                    // The server of ours does what it can do before the next thing happens.
                    tokio::task::yield_now().await;
                }
                None => drop(tokio::time::timeout_at(at, sooner.notified()).await),
            }
        }
        drop(self.mirror.take());
        let mut model = lock(&self.shared);
        let lasted = model.now();
        if let Some(broken) = model.oracle.broken.clone() {
            model.trace.note(|| broken);
        }
        Outcome {
            broken: model.oracle.broken.take(),
            number: model.trace.number(),
            lines: model.trace.lines().to_vec(),
            lasted,
            looks: model.oracle.looks,
            changes: model.etcd.log.len(),
            faults: self.faults,
        }
    }

    /// A server of ours starts, with nothing in its memory.
    fn start(&mut self) {
        drop(self.mirror.take());
        self.starts += 1;
        self.options.seed = Some(self.seed.wrapping_mul(31).wrapping_add(self.starts * 1000));
        let mirror = Mirror::start(&self.options, IndexSettings::default(), &Handle::current()).unwrap();
        let mut model = lock(&self.shared);
        let floors = model.least();
        (model.claims, model.lost, model.lies) = ([0; KINDS], [false; KINDS], [Some(0); KINDS]);
        model.oracle.start(mirror.reader(), floors);
        model.oracle.disturbed = model.now();
        drop(model);
        self.mirror = Some(mirror);
    }

    /// Does what is due; whether there is more to come.
    fn act(&mut self, action: Action) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut model = lock(&shared);
        let now = model.now();
        match action {
            Action::Write => {
                if !model.lost.contains(&true) {
                    self.workload.write(&mut model);
                }
            }
            Action::Commit(key, content) if model.lost.contains(&true) => {
                model.plan(now + 500, Action::Commit(key, content));
            }
            Action::Commit(key, content) => model.commit(key, content),
            Action::Settle(service) => drop(model.oracle.moving.remove(&service)),
            Action::Visible(server, kind) => model.see(server, kind),
            Action::Push(stream, octets) => model.arrived(stream, octets),
            Action::Break(stream) => model.broken(stream),
            Action::End(stream) => model.ended(stream),
            Action::Bookmark(stream) => model.bookmark(stream),
            Action::Begin(fault) => model.begin(fault),
            Action::Over(fault) => {
                model.faults.retain(|own| own.id != fault);
                model.trace.note(|| format!("fault {fault} is over"));
            }
            Action::Compact => {
                model.etcd.compacted = model.etcd.revision;
                model.trace.note(|| "compacted".to_owned());
            }
            Action::Restore(part, bump) => {
                model.restore(part, bump);
                model.trace.note(|| format!("set back by {part} %, bumped: {bump}"));
            }
            Action::Restart => {
                model.trace.note(|| "our server starts anew".to_owned());
                drop(model);
                self.start();
                return true;
            }
            Action::Jump(seconds) => drop(self.jumped.fetch_add(seconds, Ordering::Relaxed)),
            Action::Quiet => {
                self.quiet = Some(now);
                model.trace.note(|| "quiet".to_owned());
            }
            Action::Tick => {
                self.converge(&mut model, now);
                model.look(true);
            }
            Action::Finish => {
                self.finish(&mut model);
                return false;
            }
        }
        true
    }

    /// After the last fault, all that is older than a second is there.
    fn converge(&self, model: &mut Model, now: u64) {
        let Some(quiet) = self.quiet.filter(|quiet| now >= quiet + CONVERGED) else { return };
        let truth = model.etcd.truth_at(now.saturating_sub(CONVERGED).max(quiet));
        for floor in &mut model.oracle.floors {
            *floor = truth.max(*floor);
        }
        if !model.oracle.is_synced() {
            model.oracle.broken = Some("not synced, a second after the last fault".to_owned());
        }
    }

    /// At the end, all is as it is, endpoints that were held too.
    fn finish(&self, model: &mut Model) {
        model.oracle.floors = [model.etcd.truth(); KINDS];
        model.oracle.disturbed = 0;
        model.look(true);
        if model.oracle.broken.is_some() {
            return;
        }
        let pods: Vec<_> = model.etcd.objects.iter().filter(|(key, _)| key.kind == Kind::Pod).collect();
        let mut wrong = None;
        let there: Vec<(u8, u32)> = pods
            .iter()
            .filter_map(|(key, track)| match &track.last()?.1.as_ref()?.content {
                Content::Pod(address) => Some((key.service.namespace, *address)),
                _ => None,
            })
            .collect();
        let ever = pods.iter().flat_map(|(key, track)| {
            track.iter().filter_map(|(_, object)| match &object.as_ref()?.content {
                Content::Pod(address) => Some((key.service.namespace, *address)),
                _ => None,
            })
        });
        for pod in ever {
            let (rcode, found) = model.oracle.has_pod(pod.0, pod.1);
            let wanted = there.contains(&pod);
            if found != wanted || wanted && rcode != Rcode::NOERROR {
                wrong = Some(format!("the pod {pod:?} is there: {wanted}, and answered: {found}, {rcode:?}"));
            }
        }
        model.oracle.broken = wrong;
    }
}

/// Puts what happens on the agenda; gives the number of faults.
fn plan(model: &mut Model, chance: &mut Chance, quiet: u64, servers: usize) -> usize {
    let writes = chance.range(4, 40);
    for _ in 0..writes {
        let at = chance.below(quiet);
        model.plan(at, Action::Write);
    }
    let faults = chance.range(0, 10);
    let mut emptied = false;
    for id in 0..faults {
        let begin = chance.below(quiet);
        let mut fault = Fault::draw(chance, id, begin, servers);
        fault.end = fault.end.min(quiet);
        // Lists that lie once more, before one has told the truth, are the same lie.
        if fault.trouble == Trouble::Emptied && std::mem::replace(&mut emptied, true) {
            continue;
        }
        model.plan(begin, Action::Begin(fault));
    }
    let mut some = |most: u64, action: &mut dyn FnMut(&mut Chance) -> Action| {
        for _ in 0..chance.below(most + 1) {
            let (at, what) = (chance.below(quiet), action(chance));
            model.plan(at, what);
        }
    };
    some(2, &mut |_| Action::Compact);
    some(1, &mut |_| Action::Restart);
    some(2, &mut |chance| Action::Jump(i64::try_from(chance.length(1, 100_000)).unwrap() * chance.pick(&[-1, 1])));
    if chance.percent(25) {
        let at = chance.below(quiet);
        let action = Action::Restore(chance.range(5, 60), chance.percent(40));
        model.plan(at, action);
    }
    model.plan(quiet, Action::Quiet);
    // What is written from then on is there within a second each.
    for _ in 0..chance.range(0, 6) {
        let at = quiet + chance.below(4_000);
        model.plan(at, Action::Write);
    }
    let end = quiet + 4_000 + 4_500 + 6_000;
    let mut at = 0;
    while at < end {
        at += if (quiet..quiet + 5_500).contains(&at) { 250 } else { 1_000 };
        model.plan(at, Action::Tick);
    }
    model.plan(end, Action::Finish);
    usize::try_from(faults).unwrap()
}
