//! The names that somebody may have meant.

/// Names that are near, at most.
const MOST: usize = 3;

/// The nearest of some names, nearest first: those that a slip of the hand or two makes of the one that was written.
pub(super) fn nearest<'n>(written: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let allowed = match written.chars().count() {
        0..=2 => 1,
        3..=7 => 2,
        _ => 3,
    };
    let near = names.filter(|name| name.len().abs_diff(written.len()) <= allowed && *name != written);
    let mut found: Vec<(usize, &str)> = near
        .map(|name| (strsim::osa_distance(written, name), name))
        .filter(|(distance, name)| *distance <= allowed && *distance < name.chars().count().max(2))
        .collect();
    found.sort_unstable();
    found.dedup();
    found.into_iter().take(MOST).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let near = |written: &str| nearest(written, ["web", "wbe2", "database", "api", "web"].into_iter());
        assert_eq!(near("wbe"), ["wbe2", "web"]);
        assert_eq!(near("databse"), ["database"]);
        assert_eq!(near("web"), Vec::<&str>::new().into_iter().chain(["wbe2"]).collect::<Vec<_>>());
        assert!(near("unlike-any").is_empty() && near("").is_empty());
    }
}
