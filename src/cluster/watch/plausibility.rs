//! Lists that would take nearly everything away: a cluster is seldom emptied while nobody looks, a server often lies.

use std::time::{Duration, Instant};

use crate::cluster::facts::Kind;

/// So many objects do not go together by themselves.
const MANY: usize = 10;

/// The number of lists that have to agree.
const LISTS: u32 = 3;

/// The contents so far of lists that are not believed yet.
#[derive(Debug, Default)]
pub(super) struct Doubts(Option<Doubt>);

#[derive(Debug)]
struct Doubt {
    since: Instant,
    lists: u32,
}

/// The contents of a list, beside what was known before it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) kind: Kind,
    /// Objects that it names.
    pub(super) named: usize,
    /// Objects that were known.
    pub(super) known: usize,
    /// Only a selection was asked for, which may well be empty.
    pub(super) selected: bool,
}

impl Doubts {
    /// Whether a list is in doubt, so that the next has to be a consistent read.
    pub(super) fn are_there(&self) -> bool {
        self.0.is_some()
    }

    /// Whether to ask again before this is believed. Lists that agree for `believed` are.
    pub(super) fn about(&mut self, said: Said, now: Instant, believed: Duration) -> bool {
        if !said.is_unlikely() {
            self.0 = None;
            return false;
        }
        let doubt = self.0.get_or_insert(Doubt { since: now, lists: 0 });
        doubt.lists += 1;
        // Where nothing was known there is nothing to lose but the first answers.
        let agreed = said.known == 0 || now.saturating_duration_since(doubt.since) >= believed;
        if agreed && doubt.lists >= LISTS {
            self.0 = None;
        }
        self.0.is_some()
    }
}

impl Said {
    fn is_unlikely(&self) -> bool {
        let Self { kind, named, known, selected } = *self;
        // Each cluster has its own namespaces, the Service `kubernetes` with a slice, and pods; a selection may well be empty.
        let never_empty = matches!(kind, Kind::Namespace | Kind::Service | Kind::EndpointSlice | Kind::Pod);
        known >= MANY && named <= known / 10 || named == 0 && never_empty && (known > 0 || !selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BELIEVED: Duration = Duration::from_secs(12);

    fn said(kind: Kind, named: usize, known: usize) -> Said {
        Said { kind, named, known, selected: false }
    }

    #[test]
    fn what_takes_nearly_everything_away_is_unlikely() {
        for (kind, named, known) in [
            (Kind::EndpointSlice, 0, 10),
            (Kind::EndpointSlice, 10, 100),
            (Kind::Pod, 1, 19),
            (Kind::Service, 0, 1),
            (Kind::Namespace, 0, 4),
            (Kind::Namespace, 0, 0),
            (Kind::Service, 0, 0),
            (Kind::EndpointSlice, 0, 0),
            (Kind::EndpointSlice, 0, 9),
            (Kind::Pod, 0, 1),
        ] {
            assert!(said(kind, named, known).is_unlikely(), "{named} of {known} {kind}");
        }
        for (kind, named, known) in [
            (Kind::EndpointSlice, 11, 100),
            (Kind::Service, 1, 9),
            (Kind::ServiceImport, 0, 0),
            (Kind::Namespace, 1, 4),
            (Kind::ServiceImport, 0, 3),
        ] {
            assert!(!said(kind, named, known).is_unlikely(), "{named} of {known} {kind}");
        }
        for kind in [Kind::Namespace, Kind::Service, Kind::EndpointSlice, Kind::Pod] {
            assert!(!Said { selected: true, ..said(kind, 0, 0) }.is_unlikely(), "a selection may be empty");
        }
    }

    #[test]
    fn it_is_believed_once_lists_have_agreed_for_a_while() {
        let (mut doubts, now) = (Doubts::default(), Instant::now());
        let gone = said(Kind::EndpointSlice, 2, 200);
        for second in 0..12 {
            assert!(doubts.about(gone, now + Duration::from_secs(second), BELIEVED), "after {second} s");
            assert!(doubts.are_there());
        }
        assert!(!doubts.about(gone, now + BELIEVED, BELIEVED));
        assert!(!doubts.are_there());
    }

    #[test]
    fn time_alone_does_not_confirm_it() {
        let (mut doubts, now) = (Doubts::default(), Instant::now());
        let gone = said(Kind::Service, 0, 200);
        assert!(doubts.about(gone, now, BELIEVED));
        assert!(doubts.about(gone, now + BELIEVED * 9, BELIEVED), "nobody was asked in between");
    }

    #[test]
    fn a_list_that_is_whole_ends_the_doubt() {
        let (mut doubts, now) = (Doubts::default(), Instant::now());
        assert!(doubts.about(said(Kind::Service, 0, 200), now, BELIEVED));
        assert!(!doubts.about(said(Kind::Service, 199, 200), now + BELIEVED, BELIEVED));
        assert!(doubts.about(said(Kind::Service, 0, 199), now + BELIEVED, BELIEVED), "and the next one is new");
    }

    #[test]
    fn a_first_list_of_nothing_is_asked_for_again_but_not_for_long() {
        for kind in [Kind::Namespace, Kind::Service, Kind::EndpointSlice, Kind::Pod] {
            let (mut doubts, now) = (Doubts::default(), Instant::now());
            let empty = said(kind, 0, 0);
            let asked = (0..9).take_while(|_| doubts.about(empty, now, BELIEVED)).count();
            assert_eq!(asked, 2);
        }
    }
}
