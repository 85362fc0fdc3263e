//! Finds what selectors select without looking at everything for each of them.

use std::collections::HashMap;

use super::objects::{ObjectMeta, PodObject, ServiceObject, Workload};
use crate::cluster::details::{LabelMap, selects};

/// Things with labels, by namespace and label.
#[derive(Debug)]
pub(super) struct Selection<'o, T> {
    by_label: HashMap<[&'o str; 3], Vec<(&'o LabelMap, &'o T)>>,
}

impl<'o> Selection<'o, PodObject> {
    /// Of pods, those apart that have run to their end.
    pub(super) fn of_pods(pods: &'o [PodObject]) -> Self {
        Self::new(pods.iter().filter(|pod| !pod.finished).map(|pod| (&pod.meta, &pod.meta.labels, pod)))
    }
}

impl<'o> Selection<'o, Workload> {
    /// Of workloads, by the labels of their pods.
    pub(super) fn of_workloads(workloads: &'o [Workload]) -> Self {
        Self::new(workloads.iter().map(|workload| (&workload.meta, &workload.labels, workload)))
    }
}

impl<'o, T> Selection<'o, T> {
    fn new(things: impl Iterator<Item = (&'o ObjectMeta, &'o LabelMap, &'o T)>) -> Self {
        let mut by_label: HashMap<[&str; 3], Vec<_>> = HashMap::new();
        for (meta, labels, thing) in things {
            for (key, value) in labels {
                by_label.entry([&meta.key.namespace, key, value]).or_default().push((labels, thing));
            }
        }
        Self { by_label }
    }

    /// The things that a selector selects in a namespace, in order; an empty one selects nothing here.
    pub(super) fn selected(&self, namespace: &str, selector: &LabelMap) -> Vec<&'o T> {
        let things = fewest(selector.iter().map(|(key, value)| self.by_label.get(&[namespace, key, value])));
        things.iter().filter(|(labels, _)| selects(selector, labels)).map(|(_, thing)| *thing).collect()
    }
}

/// Workloads that a selector may have meant which selects nothing.
#[derive(Debug)]
pub(super) struct Meant<'o> {
    by_label: HashMap<[&'o str; 2], Vec<&'o Workload>>,
    by_key: HashMap<[&'o str; 2], Vec<&'o Workload>>,
}

impl<'o> Meant<'o> {
    pub(super) fn of(workloads: &'o [Workload]) -> Self {
        let (mut by_label, mut by_key) = (HashMap::<_, Vec<_>>::new(), HashMap::<_, Vec<_>>::new());
        for workload in workloads {
            for (key, value) in &workload.labels {
                by_label.entry([key.as_str(), value]).or_default().push(workload);
                by_key.entry([&*workload.meta.key.namespace, key.as_str()]).or_default().push(workload);
            }
        }
        Self { by_label, by_key }
    }

    /// The first workload of any namespace whose pods have the labels of a selector.
    pub(super) fn elsewhere(&self, selector: &LabelMap) -> Option<&'o Workload> {
        let workloads = fewest(selector.iter().map(|(key, value)| self.by_label.get(&[key.as_str(), value])));
        workloads.iter().find(|own| selects(selector, &own.labels)).copied()
    }

    /// The first workload of a namespace whose pods have labels with the keys of a selector.
    pub(super) fn with_keys(&self, namespace: &str, selector: &LabelMap) -> Option<&'o Workload> {
        let workloads = fewest(selector.keys().map(|key| self.by_key.get(&[namespace, key.as_str()])));
        workloads.iter().find(|own| selector.keys().all(|key| own.labels.contains_key(key))).copied()
    }
}

/// Services by one of the labels that they select.
#[derive(Debug)]
pub(super) struct Selectors<'o> {
    by_label: HashMap<[&'o str; 3], Vec<(usize, &'o ServiceObject)>>,
}

impl<'o> Selectors<'o> {
    pub(super) fn of(services: impl Iterator<Item = &'o ServiceObject>) -> Self {
        let mut by_label = HashMap::<_, Vec<_>>::new();
        for (at, service) in services.enumerate() {
            if let Some((key, value)) = service.selector.first_key_value() {
                by_label.entry([&*service.meta.key.namespace, key, value]).or_default().push((at, service));
            }
        }
        Self { by_label }
    }

    /// The first Service of a namespace that selects these labels.
    pub(super) fn of_labels(&self, namespace: &str, labels: &LabelMap) -> Option<&'o ServiceObject> {
        let services = labels.iter().filter_map(|(key, value)| self.by_label.get(&[namespace, key, value])).flatten();
        let selecting = services.filter(|(_, service)| selects(&service.selector, labels));
        selecting.min_by_key(|(at, _)| *at).map(|(_, service)| *service)
    }
}

/// The shortest of the lists that each have all that is looked for.
fn fewest<'l, T>(lists: impl Iterator<Item = Option<&'l Vec<T>>>) -> &'l [T] {
    lists.map(|list| list.map_or(&[][..], Vec::as_slice)).min_by_key(|list| list.len()).unwrap_or_default()
}
