//! Names as text.

use proptest::prelude::*;
use rollcall::wire::Name;

/// A name that is read is written, and read again it is the same; no name is longer than the wire allows.
fn is_name_or_none(text: &str) {
    let Ok(name) = text.parse::<Name>() else { return };
    let wire = name.as_wire();
    assert!(wire.len() <= 255 && wire.last() == Some(&0));
    assert!(name.labels().all(|label| (1..=63).contains(&label.len())));
    assert_eq!(name.labels().map(|label| label.len() + 1).sum::<usize>() + 1, wire.len());
    let shown = name.to_string();
    assert_eq!(shown.parse::<Name>().as_ref(), Ok(&name), "{text:?} is shown as {shown:?}");
    assert_eq!(Name::from_wire(wire).as_ref(), Ok(&name));
    assert_eq!(Name::from_labels(name.labels()).as_ref(), Ok(&name));
}

#[test]
fn the_names_of_the_corpus_are_names_or_none() {
    let names: Vec<&str> = include_str!("corpus/names.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.len() > 30);
    names.iter().for_each(|name| is_name_or_none(name));
    assert!("a..b".parse::<Name>().is_err() && "a".repeat(64).parse::<Name>().is_err());
    assert!("*.example".parse::<Name>().is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_name_or_none(text in prop_oneof!["[a-z0-9.\\\\-]{0,80}", ".{0,80}", "([a-z]{1,70}[.]){0,8}"]) {
        is_name_or_none(&text);
    }

    #[test]
    fn any_octets_are_a_name_in_wire_format_or_none(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(name) = Name::from_wire(&octets) {
            is_name_or_none(&name.to_string());
        }
    }
}
