//! What admin shows of a plan: which page stands at which address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;

use super::plan::Plan;
use crate::admin::{self, Readiness, Sites};
use crate::plugins::settings::ReadyCheck;

/// The pages of a plan. Server blocks that name the same address share a page.
pub(super) fn sites(plan: &Plan, registry: &Registry, stopping: &Arc<AtomicBool>) -> Sites {
    let mut sites = Sites::default();
    for address in health_addresses(plan) {
        sites.put(&address, "/health", admin::health());
    }
    let mut ready: BTreeMap<&str, Vec<Check>> = BTreeMap::new();
    for settings in plan.blocks.iter().map(|block| &block.settings) {
        if let Some(address) = &settings.prometheus {
            sites.put(address, "/metrics", admin::metrics(registry.clone()));
        }
        if let Some(page) = &settings.ready {
            let checks = settings.ready_checks.iter().map(|check| Check::new(check, page.continuously));
            ready.entry(&page.address).or_default().extend(checks);
        }
    }
    for (address, checks) in ready {
        let readiness = Readiness::new(move || waiting(&checks), stopping.clone());
        sites.put(address, "/ready", admin::ready(Arc::new(readiness)));
    }
    sites
}

/// Where `/health` stands.
pub(super) fn health_addresses(plan: &Plan) -> BTreeSet<String> {
    plan.blocks.iter().filter_map(|block| block.settings.health.as_ref()).map(|health| health.address.clone()).collect()
}

/// A plugin that may not be ready; without `monitor continuously` it is asked until it is, and no longer.
struct Check {
    check: ReadyCheck,
    continuously: bool,
    was_ready: AtomicBool,
}

impl Check {
    fn new(check: &ReadyCheck, continuously: bool) -> Self {
        Self { check: check.clone(), continuously, was_ready: AtomicBool::new(false) }
    }

    fn is_ready(&self) -> bool {
        if !self.continuously && self.was_ready.load(Ordering::Acquire) {
            return true;
        }
        let ready = (self.check.is_ready)();
        self.was_ready.store(ready, Ordering::Release);
        ready
    }
}

fn waiting(checks: &[Check]) -> Vec<String> {
    checks.iter().filter(|check| !check.is_ready()).map(|check| check.check.plugin.to_owned()).collect()
}
