//! The pages that admin shows of a plan, each at its address.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::Registry;

use super::mirrors::ZoneOrigin;
use super::plan::Plan;
use crate::admin::{self, AdminPage, Readiness, Sites};
use crate::chain::settings::ReadyCheck;
use crate::cluster;
use crate::wire::{Label, Name};
use crate::zone::{ServiceName, View};

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

/// The page that explains answers: of the view whose zone holds the most of a name, with what its mirror knows.
pub(crate) fn explain(plan: &Plan, mirrors: &[Arc<dyn ZoneOrigin>]) -> AdminPage {
    let views: Vec<Arc<View>> = plan.blocks.iter().filter_map(|block| block.view()).collect();
    let mirrors = mirrors.to_vec();
    admin::explain(move |name| {
        let name: Name = name.parse().map_err(|error| format!("`{name}` is no domain name: {error}"))?;
        let found = views.iter().filter_map(|view| Some((view, view.explain(&name)?)));
        let Some((view, explained)) = found.max_by_key(|(_, explained)| explained.zone.as_wire().len()) else {
            return Err(format!("{name} lies in no zone of a kubernetes directive"));
        };
        let mirror = mirrors.iter().find(|mirror| mirror.publishes(&view.reader));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as u32;
        let status = mirror.map(|mirror| mirror.status()).unwrap_or_default();
        let known = |service: &ServiceName, label: Option<&Label>| {
            mirror.map(|mirror| mirror.explain(service, label)).unwrap_or_default()
        };
        let snapshot = mirror.and_then(|mirror| mirror.snapshot());
        Ok(cluster::explain(&name, &explained, &status, snapshot, known, now))
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
