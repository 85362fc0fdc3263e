//! The search list of a pod (`dnsPolicy: ClusterFirst`): the names that its resolver asks for in turn.

use crate::wire::Name;

/// Dots that a name has to have to be asked for as it is first.
const NDOTS: usize = 5;

/// The names that a resolver asks for in turn, for a name that a pod of this namespace uses. Those that would be too long are
/// left out.
pub fn search_list(name: &str, namespace: Option<&str>, zone: &str) -> Vec<Name> {
    let whole = name.parse::<Name>().ok();
    let Some(namespace) = namespace.filter(|_| !name.ends_with('.')) else { return whole.into_iter().collect() };
    let suffixes = [format!("{namespace}.svc.{zone}"), format!("svc.{zone}"), zone.to_owned()];
    let completed = suffixes.iter().filter_map(|suffix| format!("{name}.{suffix}").parse().ok());
    if name.matches('.').count() < NDOTS {
        completed.chain(whole).collect()
    } else {
        whole.into_iter().chain(completed).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(name: &str, namespace: Option<&str>) -> Vec<String> {
        search_list(name, namespace, "cluster.local").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_with_few_dots_is_completed_first() {
        let all = [
            "web.prod.default.svc.cluster.local.",
            "web.prod.svc.cluster.local.",
            "web.prod.cluster.local.",
            "web.prod.",
        ];
        assert_eq!(list("web.prod", Some("default")), all);
        assert_eq!(list("web.prod", None), ["web.prod."]);
        assert_eq!(list("web.prod.", Some("default")), ["web.prod."], "a final dot ends the search");
    }

    #[test]
    fn a_name_with_many_dots_is_asked_for_as_it_is_first() {
        let all = list("_http._tcp.web.prod.svc.cluster.local", Some("n"));
        assert_eq!((all.len(), &*all[0]), (4, "_http._tcp.web.prod.svc.cluster.local."));
    }

    #[test]
    fn names_that_would_be_too_long_are_left_out() {
        let long = [["a"; 60].join(""), "b".repeat(60), "c".repeat(60), "d".repeat(60)].join(".");
        assert_eq!(list(&long, Some("default")).len(), 1);
        assert!(list("a..b", Some("default")).is_empty());
    }
}
