//! The pages that admin shows of a plan, each at its address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::Registry;

use super::explain::{AskedWhy, Explainer};
use super::mirrors::ZoneOrigin;
use super::plan::Plan;
use crate::admin::{self, AdminPage, AskedPage, Readiness, Sites};
use crate::chain::settings::ReadyCheck;

/// The pages of a plan. Server blocks that name the same address share a page.
pub(crate) fn sites(plan: &Plan, registry: &Registry, stopping: &Arc<AtomicBool>) -> Sites {
    let mut sites = Sites::default();
    for address in health_addresses(plan) {
        sites.put(&address, "/health", admin::health());
    }
    let mut ready: BTreeMap<&str, Vec<PluginCheck>> = BTreeMap::new();
    for settings in plan.blocks.iter().map(|block| &block.settings) {
        if let Some(address) = &settings.prometheus {
            sites.put(address, "/metrics", admin::metrics(registry.clone()));
        }
        if let Some(page) = &settings.ready {
            let checks = settings.ready_checks.iter().map(|check| PluginCheck::new(check, page.continuously));
            ready.entry(&page.address).or_default().extend(checks);
        }
    }
    for (address, checks) in ready {
        let readiness = Readiness::new(move || waiting(&checks), stopping.clone());
        sites.put(address, "/ready", admin::ready(Arc::new(readiness)));
    }
    sites
}

/// The page that explains answers of a plan, from the sources of its zones.
pub(crate) fn explain(plan: &Plan, mirrors: &[Arc<dyn ZoneOrigin>]) -> AdminPage {
    let explainer = Arc::new(Explainer::new(
        plan,
        mirrors,
        "no server block is for it: add one to the Corefile, as `.` is for all",
    ));
    admin::explain(move |asked: AskedPage| {
        let explainer = explainer.clone();
        Box::pin(async move {
            let AskedPage { name, rtype, namespace, json } = asked;
            let report = explainer.explain(&AskedWhy { name, rtype, namespace }).await?;
            match json {
                true => serde_json::to_string_pretty(&report).map_err(|error| error.to_string()),
                false => Ok(crate::explain::text(&report)),
            }
        })
    })
}

/// The addresses of `/health`.
pub(crate) fn health_addresses(plan: &Plan) -> BTreeSet<String> {
    plan.blocks.iter().filter_map(|block| block.settings.health.as_ref()).map(|health| health.address.clone()).collect()
}

/// A plugin that may not be ready; without `monitor continuously` it is asked until it is, and no longer.
struct PluginCheck {
    check: ReadyCheck,
    continuously: bool,
    was_ready: AtomicBool,
}

impl PluginCheck {
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

fn waiting(checks: &[PluginCheck]) -> Vec<String> {
    checks.iter().filter(|check| !check.is_ready()).map(|check| check.check.plugin.to_owned()).collect()
}
