//! Names as text.

use proptest::prelude::*;
use rollcall::wire::Name;
use rollcall_fuzz::texts::name;

#[test]
fn the_names_of_the_corpus_are_names_or_none() {
    let names: Vec<&str> = include_str!("corpus/names.txt").lines().filter(|line| !line.starts_with('#')).collect();
    assert!(names.len() > 30);
    names.iter().for_each(|text| name(text.as_bytes()));
    assert!("a..b".parse::<Name>().is_err() && "a".repeat(64).parse::<Name>().is_err());
    assert!("*.example".parse::<Name>().is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_a_name_or_none(text in prop_oneof!["[a-z0-9.\\\\-]{0,80}", ".{0,80}", "([a-z]{1,70}[.]){0,8}"]) {
        name(text.as_bytes());
    }

    #[test]
    fn any_octets_are_a_name_in_wire_format_or_none(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        name(&octets);
    }
}
