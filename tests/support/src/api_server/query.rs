//! The query of a request to the API server of tests.

use serde_json::Value;

#[derive(Clone)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), decode(value))).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        matches!(self.get(name), Some("1" | "true"))
    }

    /// Label selectors of the form `name=value`.
    pub(super) fn selects(&self, object: &Value) -> bool {
        self.get("labelSelector").is_none_or(|selector| {
            let (name, value) = selector.split_once('=').expect("a selector of the form name=value");
            object["metadata"]["labels"][name] == *value
        })
    }
}

fn decode(text: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        if octet == b'%' {
            let hex = [rest.next().unwrap(), rest.next().unwrap()];
            octets.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
        } else {
            octets.push(octet);
        }
    }
    String::from_utf8(octets).unwrap()
}
