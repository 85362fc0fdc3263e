//! Corefiles: a tree, or one fault with a place that is there.

use std::fs;

use proptest::prelude::*;
use rollcall_fuzz::texts::corefile;

/// Every Corefile that stands in the tests.
fn corpus() -> Vec<String> {
    let tests = rollcall_testing::repository("tests");
    let mut texts: Vec<String> =
        ["fuzz/corpus/corefiles", "fixtures/corefiles/bad", "fixtures/corefiles/distributions"]
            .iter()
            .flat_map(|folder| fs::read_dir(tests.join(folder)).unwrap())
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
    texts.sort();
    texts
}

#[test]
fn the_corefiles_of_the_corpus_are_trees_or_faults() {
    let texts = corpus();
    assert!(texts.len() > 35);
    for text in &texts {
        corefile(text.as_bytes());
        // Cut anywhere, it is still read to an end.
        for (at, _) in text.char_indices().step_by(7) {
            corefile(&text.as_bytes()[..at]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn any_words_are_a_tree_or_a_fault(words in proptest::collection::vec(prop_oneof![
        Just("{".to_owned()), Just("}".to_owned()), Just("\n".to_owned()), Just("import".to_owned()), Just("\"".to_owned()),
        Just("(a)".to_owned()), Just("a".to_owned()), Just("{$A}".to_owned()), Just(",".to_owned()), Just("#".to_owned()),
        Just(".:53".to_owned()), Just("10.0.0.0/9".to_owned()), Just("errors".to_owned()), ".{0,6}",
    ], 0..60)) {
        corefile(words.join(" ").as_bytes());
    }

    #[test]
    fn any_text_is_a_tree_or_a_fault(text in "(?s).{0,200}") {
        corefile(text.as_bytes());
    }
}
