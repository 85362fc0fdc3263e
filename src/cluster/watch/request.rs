//! The paths and queries of lists and watches.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::cluster::facts::Kind;

/// A request: all namespaces, one kind, perhaps one label selector.
#[derive(Clone, Debug)]
pub(super) struct ApiRequest {
    base: String,
    selected: bool,
}

/// Objects in one page of a list: of a list that is decoded once it is there, not more is held at a time.
pub(super) const PAGE: u32 = 500;

impl ApiRequest {
    pub(super) fn new(kind: Kind, selector: Option<&str>) -> Self {
        let mut base = format!("{}?", path(kind));
        let selector = selector.filter(|selector| !selector.is_empty());
        if let Some(selector) = selector {
            base.push_str("labelSelector=");
            encode(&mut base, selector);
            base.push('&');
        }
        Self { base, selected: selector.is_some() }
    }

    /// The first objects of one namespace. Asked for by a field selector: it takes the rights that a list of all takes, which
    /// a DNS server has in every cluster.
    pub(super) fn of_namespace(kind: Kind, namespace: &str, objects: u32) -> String {
        let mut uri = format!("{}?fieldSelector=", path(kind));
        encode(&mut uri, &format!("metadata.namespace={namespace}"));
        uri.push_str(&format!("&limit={objects}"));
        uri
    }

    /// Whether there is a label selector.
    pub(super) fn is_selected(&self) -> bool {
        self.selected
    }

    /// A list without pages, of what the API server has in its memory (resourceVersion 0).
    pub(super) fn first(&self) -> String {
        format!("{}resourceVersion=0", self.base)
    }

    /// A list without pages. Without resourceVersion: as new as the last write.
    pub(super) fn whole(&self) -> String {
        self.base.trim_end_matches(['?', '&']).to_owned()
    }

    /// A page of so many objects of a list, as new as the last write.
    pub(super) fn page(&self, objects: u32, token: Option<&str>) -> String {
        let mut uri = format!("{}limit={objects}", self.base);
        if let Some(token) = token {
            uri.push_str("&continue=");
            encode(&mut uri, token);
        }
        uri
    }

    /// The least that tells the present version.
    pub(super) fn probe(&self) -> String {
        format!("{}limit=1", self.base)
    }

    /// The request for all changes from a version on.
    pub(super) fn watch(&self, version: &str, seconds: u64) -> String {
        let mut uri =
            format!("{}watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion=", self.base);
        encode(&mut uri, version);
        uri
    }
}

/// The path of a kind, over all namespaces.
fn path(kind: Kind) -> &'static str {
    match kind {
        Kind::Service => "/api/v1/services",
        Kind::EndpointSlice | Kind::ImportedSlice => "/apis/discovery.k8s.io/v1/endpointslices",
        Kind::Namespace => "/api/v1/namespaces",
        Kind::Pod => "/api/v1/pods",
        Kind::ServiceImport => "/apis/multicluster.x-k8s.io/v1alpha1/serviceimports",
    }
}

/// The octets that are escaped in a value of a query: all but the unreserved (RFC 3986 section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

fn encode(uri: &mut String, value: &str) {
    uri.extend(utf8_percent_encode(value, RESERVED));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_and_tokens_are_encoded() {
        let request = ApiRequest::new(Kind::Pod, Some("app in (a, b),!c=d&e"));
        let page = request.page(500, Some("a+/="));
        assert_eq!(
            page,
            "/api/v1/pods?labelSelector=app%20in%20%28a%2C%20b%29%2C%21c%3Dd%26e&limit=500&continue=a%2B%2F%3D"
        );
        page.parse::<http::Uri>().unwrap();
    }

    #[test]
    fn a_namespace_is_asked_for_by_its_field() {
        let uri = ApiRequest::of_namespace(Kind::Pod, "a&b", 5);
        assert_eq!(uri, "/api/v1/pods?fieldSelector=metadata.namespace%3Da%26b&limit=5");
    }

    #[test]
    fn an_empty_selector_is_none() {
        assert_eq!(ApiRequest::new(Kind::Namespace, Some("")).page(500, None), "/api/v1/namespaces?limit=500");
    }

    #[test]
    fn a_watch_resumes_at_its_version() {
        let uri = ApiRequest::new(Kind::EndpointSlice, None).watch("42", 30);
        assert!(uri.starts_with("/apis/discovery.k8s.io/v1/endpointslices?watch=1&"), "{uri}");
        assert!(uri.ends_with("&timeoutSeconds=30&resourceVersion=42"), "{uri}");
    }
}
