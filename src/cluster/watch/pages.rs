//! The way through a list that comes in pages.

use std::collections::HashSet;

use super::failure::WatchFailure;

/// More pages than the largest cluster has; a list that goes on behind them has no end.
const MOST: usize = 20_000;

/// The continue tokens that a list has given.
#[derive(Debug, Default)]
pub(super) struct Pages(HashSet<String>);

impl Pages {
    /// The token of the next page; `None` where this was the last.
    ///
    /// # Errors
    /// When a token comes again, or the list has no end: to go on would be to ask for ever.
    pub(super) fn next(&mut self, token: Option<String>) -> Result<Option<String>, WatchFailure> {
        let Some(token) = token else { return Ok(None) };
        if self.0.len() == MOST {
            return Err(WatchFailure::Malformed(format!("a list of more than {MOST} pages")));
        }
        if !self.0.insert(token.clone()) {
            return Err(WatchFailure::Malformed("a list whose continue token comes again".to_owned()));
        }
        Ok(Some(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_is_followed_once() {
        let mut pages = Pages::default();
        assert_eq!(pages.next(Some("a".into())).unwrap(), Some("a".into()));
        assert_eq!(pages.next(Some("b".into())).unwrap(), Some("b".into()));
        assert!(pages.next(Some("a".into())).is_err());
        assert_eq!(pages.next(None).unwrap(), None);
    }

    #[test]
    fn a_list_without_end_is_given_up() {
        let mut pages = Pages::default();
        let pages = (0..2 * MOST).take_while(|page| pages.next(Some(page.to_string())).is_ok()).count();
        assert_eq!(pages, MOST);
    }
}
