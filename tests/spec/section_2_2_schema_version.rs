//! Kubernetes DNS 2.2: the record for the version of the schema.

use super::answers;

// Kubernetes DNS 2.2: a TXT record at dns-version.<zone> holds the semantic version of the schema.
#[test]
fn dns_version_names_the_version_of_the_schema() {
    assert_eq!(answers("dns-version.cluster.local.", "TXT"), ["dns-version.cluster.local. TXT \"1.1.0\""]);
}
