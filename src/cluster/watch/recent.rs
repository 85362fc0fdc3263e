//! The last versions of objects that changed of late, so that what comes late is known to be old.

use std::collections::{HashMap, VecDeque};

use crate::cluster::facts::ObjectKey;

/// The number of objects that are remembered. What is late comes soon after what is newer.
const MOST: usize = 512;

/// The versions that events of one kind have brought, of objects that are gone as well.
#[derive(Debug, Default)]
pub(super) struct Recent {
    versions: HashMap<ObjectKey, u64>,
    order: VecDeque<ObjectKey>,
}

impl Recent {
    /// Whether an event of this version is news about its object; one without a number (0) always is.
    pub(super) fn is_news(&mut self, key: &ObjectKey, version: u64) -> bool {
        if version == 0 {
            return true;
        }
        if let Some(known) = self.versions.get_mut(key) {
            let news = version >= *known;
            *known = version.max(*known);
            return news;
        }
        if self.order.len() == MOST {
            let oldest = self.order.pop_front();
            oldest.and_then(|oldest| self.versions.remove(&oldest));
        }
        self.order.push_back(key.clone());
        self.versions.insert(key.clone(), version);
        true
    }

    /// A complete list tells what is; versions may begin anew with it.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("default", name)
    }

    #[test]
    fn an_older_version_is_no_news_and_the_same_again_is() {
        let mut recent = Recent::default();
        assert!(recent.is_news(&key("a"), 5));
        assert!(recent.is_news(&key("a"), 5));
        assert!(!recent.is_news(&key("a"), 4));
        assert!(recent.is_news(&key("b"), 4), "each object by itself");
        assert!(recent.is_news(&key("a"), 0), "what has no number says nothing of its age");
        recent.clear();
        assert!(recent.is_news(&key("a"), 4));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut recent = Recent::default();
        for index in 0..3 * MOST as u64 {
            assert!(recent.is_news(&key(&index.to_string()), index + 1));
        }
        assert_eq!((recent.versions.len(), recent.order.len()), (MOST, MOST));
    }
}
