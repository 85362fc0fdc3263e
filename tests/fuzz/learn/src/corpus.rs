//! What campaigns have learned: the inputs of a target as text, a line for each. What can be shown stands there as it is, all else as
//! in a literal of octets. `campaign` writes such lines and takes them apart, for a shell as easily as this.

use std::fs;
use std::path::PathBuf;

/// The file that holds what was learned of a target.
pub fn file(target: &str) -> PathBuf {
    rollcall_testing::repository("tests/fuzz/corpus/learned").join(target).with_extension("txt")
}

/// The inputs of a target.
pub fn inputs(target: &str) -> Vec<Vec<u8>> {
    let path = file(target);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.lines().map(|line| octets(line).unwrap_or_else(|| panic!("{}: {line}", path.display()))).collect()
}

/// The input of a line.
pub fn octets(line: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::with_capacity(line.len());
    let mut rest = line.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'\\' => match rest.next()? {
                b'n' => b'\n',
                b'x' => {
                    let mut digit = || char::from(rest.next()?).to_digit(16);
                    u8::try_from(digit()? << 4 | digit()?).ok()?
                }
                b'\\' => b'\\',
                _ => return None,
            },
            other => other,
        });
    }
    Some(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_what_its_line_says() {
        assert_eq!(octets(r"a\\x00\x00\xfF\n'").as_deref(), Some(&b"a\\x00\0\xff\n'"[..]));
        assert_eq!(octets(""), Some(Vec::new()));
        for none in [r"\", r"\x0", r"\xg0", r"\r"] {
            assert_eq!(octets(none), None, "{none}");
        }
    }
}
