//! Corefiles: a tree, or one fault with a place that is there.

use std::fs;

use proptest::prelude::*;
use rollcall::corefile::{CorefileSource, parse};

fn is_tree_or_fault(text: &str) {
    let source = CorefileSource::Text { name: "nowhere/Corefile".into(), text: text.to_owned() };
    let variable = |name: &str| (name == "A").then(|| "{$A} a b".to_owned());
    match parse(&source, &variable) {
        Ok(file) => assert!(file.blocks.iter().all(|block| !block.keys.is_empty())),
        Err(fault) => {
            let (line, column) = (fault.position.line as usize, fault.position.column as usize);
            let lines: Vec<&str> = text.split('\n').collect();
            let width = lines.get(line - 1).unwrap_or_else(|| panic!("line {line}: {fault}\n{text}")).chars().count();
            assert!((1..=width + 1).contains(&column), "column {column}: {fault}\n{text}");
            assert!(!fault.message.is_empty() && !fault.message.ends_with('.'), "{fault}");
        }
    }
}

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
        is_tree_or_fault(text);
        // Cut anywhere, it is still read to an end.
        for (at, _) in text.char_indices().step_by(7) {
            is_tree_or_fault(&text[..at]);
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
        is_tree_or_fault(&words.join(" "));
    }

    #[test]
    fn any_text_is_a_tree_or_a_fault(text in "(?s).{0,200}") {
        is_tree_or_fault(&text);
    }
}
