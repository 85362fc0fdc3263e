//! Finds what selectors select without looking at everything for each of them.

use std::collections::{BTreeMap, HashMap};

use super::objects::{Meta, PodObject, Workload};

/// Labels, as an object or a template has them.
type Labels = BTreeMap<String, String>;

/// Things with labels, by namespace and label.
#[derive(Debug)]
pub(super) struct Selection<'o, T> {
    by_label: HashMap<[&'o str; 3], Vec<(&'o Labels, &'o T)>>,
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
    fn new(things: impl Iterator<Item = (&'o Meta, &'o Labels, &'o T)>) -> Self {
        let mut by_label: HashMap<[&str; 3], Vec<_>> = HashMap::new();
        for (meta, labels, thing) in things {
            for (key, value) in labels {
                by_label.entry([&meta.key.namespace, key, value]).or_default().push((labels, thing));
            }
        }
        Self { by_label }
    }

    /// What a selector selects in a namespace, in order; an empty one selects nothing here.
    pub(super) fn selected(&self, namespace: &str, selector: &Labels) -> Vec<&'o T> {
        let mut fewest: Option<&[_]> = None;
        for (key, value) in selector {
            let things = self.by_label.get(&[namespace, key, value]).map_or(&[][..], Vec::as_slice);
            fewest = Some(fewest.filter(|fewest| fewest.len() <= things.len()).unwrap_or(things));
        }
        let fewest = fewest.unwrap_or_default();
        fewest.iter().filter(|(labels, _)| selects(selector, labels)).map(|(_, thing)| *thing).collect()
    }
}

/// Whether a selector of labels selects these labels; an empty one selects nothing here.
pub(super) fn selects(selector: &Labels, labels: &Labels) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
