//! The version of this program, the revision it was built from, the release it stands in for.

/// Our version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision that the binary was built from, when the build says so.
pub(crate) const REVISION: &str = match option_env!("ROLLCALL_REVISION") {
    Some(revision) => revision,
    None => "",
};
/// The release whose Corefile, flags, metrics and log lines are taken over.
pub(crate) const COMPATIBLE: &str = "CoreDNS-1.15.0";
