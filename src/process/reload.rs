//! Reads the Corefile again, on its own or on SIGUSR1: validated first, swapped as a whole, or left aside.

use std::time::{Duration, SystemTime};

use super::error::Error;
use super::instance::Instance;
use super::mirrors::Registry;
use super::plan::Plan;
use super::{corefile_source, metrics};
use crate::chain::settings::Reload;
use crate::corefile::CorefileSource;
use crate::tasks;

/// The time that a cluster has which a new Corefile is the first to name: its names are complete before the old ones go.
const SYNC: Duration = Duration::from_secs(60);

/// The time between looks at the file while a reload waits for such a cluster: a correction is not to wait with it.
const LOOK: Duration = Duration::from_secs(1);

/// The Corefile that is served now, and where it came from.
pub(crate) struct Reloader {
    source: CorefileSource,
    port: u16,
    mirrors: Registry,
    hash: String,
    /// The last file that was refused, so that a poll tells of it once.
    refused: Option<String>,
    /// The last file that was to be taken up, whether that could be done or not.
    tried: Option<String>,
}

impl Reloader {
    /// Reads a Corefile for the first time and starts what it says.
    ///
    /// # Errors
    /// When it is wrong, or when an address cannot be bound.
    pub(crate) fn start(
        source: CorefileSource,
        port: u16,
        mirrors: Registry,
        instance: &mut Instance,
    ) -> Result<Self, Error> {
        let corefile = corefile_source::read(&source)?;
        if corefile.blocks.is_empty() {
            return Err(Error::operator(format!(
                "{}: expected a server block, as in `.:53 {{`, found none",
                name(&source)
            )));
        }
        let mut reloader =
            Self { source, port, mirrors, hash: corefile_source::hash(&corefile), refused: None, tried: None };
        let mut session = reloader.mirrors.session();
        let plan = Plan::new(&corefile, port, &mut session, &instance.carryover)
            .map_err(|error| corefile_source::explained(error, &corefile))?;
        let used = session.finish();
        corefile.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        notes(&plan);
        instance.mirrors = used.mirrors();
        let bound = match instance.bind(&plan, false) {
            Err(error) if instance.handover && error.is_in_use() => {
                tracing::info!(
                    "another process serves here: it goes on alone until the names of the cluster are complete"
                );
                // It has them already, so that nobody is to be answered by us before.
                if !tokio::runtime::Handle::current().block_on(used.synced(SYNC)) {
                    return Err(Error::runtime(format!(
                        "the cluster did not list its objects within {SYNC:?}: {error}"
                    )));
                }
                let bound = instance.bind(&plan, true)?;
                tracing::info!("serving beside another process, which may be told to stop");
                bound
            }
            bound => bound?,
        };
        instance.change(plan, bound, &reloader.hash);
        reloader.mirrors.keep(used);
        Ok(reloader)
    }

    /// Reads the file again and changes over, if that can be done. A poll leaves alone what has not changed.
    ///
    /// May be cancelled, as by another order to reload: until the change itself nothing has happened.
    pub(crate) async fn reload(&mut self, instance: &mut Instance, asked: bool) {
        let done = match tasks::caught("reload", self.try_reload(instance, asked)).await {
            Some(done) => done,
            None => Err(Error::runtime("the reload panicked")),
        };
        match done {
            Ok(()) => self.refused = None,
            Err(error) => {
                let said = error.to_string();
                if asked || self.refused.as_ref() != Some(&said) {
                    metrics::RELOAD_FAILED.inc();
                    tracing::error!(target: "plugin/reload", "Corefile changed but reload failed, the old one is served on: {said}");
                }
                self.refused = Some(said);
            }
        }
    }

    async fn try_reload(&mut self, instance: &mut Instance, asked: bool) -> Result<(), Error> {
        while !self.try_once(instance, asked).await? {}
        Ok(())
    }

    /// Whether that is all: the file that was read may have changed before it could be taken up.
    async fn try_once(&mut self, instance: &mut Instance, asked: bool) -> Result<bool, Error> {
        let corefile = corefile_source::read(&self.source)?;
        let hash = corefile_source::hash(&corefile);
        let certificates = instance.plan().is_some_and(|plan| plan.certificates_changed(SystemTime::now()));
        if !asked && hash == self.hash && !certificates {
            return Ok(true);
        }
        if corefile.blocks.is_empty() {
            return Err(Error::operator(format!("{}: no server block is left", name(&self.source))));
        }
        let mut session = self.mirrors.session();
        let plan = tokio::task::block_in_place(|| Plan::new(&corefile, self.port, &mut session, &instance.carryover))
            .map_err(|error| corefile_source::explained(error, &corefile))?;
        let used = session.finish();
        let synced = tokio::select! {
            synced = used.synced(SYNC) => synced,
            () = changed(&self.source, &hash) => return Ok(false),
        };
        if !synced {
            // The names of the old plan, if it had any, are better than none.
            let had_names = instance.plan().is_some_and(|plan| plan.blocks.iter().any(|block| is_synced(block.view())));
            if had_names {
                return Err(Error::runtime(format!("the cluster did not list its objects within {SYNC:?}")));
            }
        }
        corefile.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
        notes(&plan);
        // A poll that finds a port taken time and again has told so.
        if asked || self.tried.as_ref() != Some(&hash) {
            tracing::info!("Reloading");
        }
        self.tried = Some(hash.clone());
        let before = std::mem::replace(&mut instance.mirrors, used.mirrors());
        if let Err(error) = tokio::task::block_in_place(|| instance.apply(plan, &hash)) {
            instance.mirrors = before;
            return Err(error);
        }
        self.mirrors.keep(used);
        self.hash = hash;
        self.tried = None;
        tracing::info!("Reloading complete");
        Ok(true)
    }

    /// The number that stands for the Corefile in use.
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }
}

/// Waits until a Corefile is another than the one with this hash, or none any more.
async fn changed(source: &CorefileSource, hash: &str) {
    loop {
        tokio::time::sleep(LOOK).await;
        if corefile_source::read(source).map_or(true, |corefile| corefile_source::hash(&corefile) != hash) {
            return;
        }
    }
}

fn is_synced(view: Option<std::sync::Arc<crate::zone::View>>) -> bool {
    view.is_some_and(|view| view.reader.is_synced())
}

/// The pause before the next look at the file: many replicas must not look at the same time.
pub(crate) fn pause(reload: Reload) -> Duration {
    let half = reload.jitter / 2;
    reload.interval.saturating_sub(half) + reload.jitter.mul_f64(rand::random())
}

fn notes(plan: &Plan) {
    plan.blocks.iter().flat_map(|block| &block.settings.notes).for_each(|note| tracing::warn!("{note}"));
}

fn name(source: &CorefileSource) -> String {
    match source {
        CorefileSource::File(path) => path.display().to_string(),
        CorefileSource::Text { name, .. } => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_varies_around_the_interval_by_half_the_jitter() {
        let reload = Reload { interval: Duration::from_secs(30), jitter: Duration::from_secs(15) };
        for _ in 0..100 {
            let pause = pause(reload);
            assert!(pause >= Duration::from_millis(22_500) && pause <= Duration::from_millis(37_500), "{pause:?}");
        }
        let still = Reload { interval: Duration::from_secs(2), jitter: Duration::ZERO };
        assert_eq!(pause(still), Duration::from_secs(2));
    }
}
