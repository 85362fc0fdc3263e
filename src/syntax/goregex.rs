//! Regular expressions as Go spells them, for the crate that spells a few things otherwise.
//!
//! Both know the same constructs. What is ordinary to Go and special to the crate is escaped: `[`, `&&`, `--` and `~~` within
//! brackets, a `{` that begins no repetition, and what stands between `\Q` and `\E`.
//!
//! By hand, and only the difference: the crate `regex` does the matching, in linear time.

/// Writes an expression of Go's so that the crate `regex` understands the same by it.
pub(crate) fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        if let Some(quoted) = rest.strip_prefix("\\Q") {
            let (quoted, behind) = quoted.split_once("\\E").unwrap_or((quoted, ""));
            out.push_str(&regex::escape(quoted));
            rest = behind;
        } else if c == '\\' {
            rest = escape(after, &mut out).0;
        } else if c == '[' {
            rest = class(after, &mut out);
        } else {
            if c == '{' && !begins_repetition(after) {
                out.push('\\');
            }
            out.push(c);
            rest = after;
        }
    }
    out
}

/// Copies what follows a backslash, which may have braces; says too whether it stands for one character.
fn escape<'t>(text: &'t str, out: &mut String) -> (&'t str, bool) {
    let Some(c) = text.chars().next() else {
        out.push('\\');
        return (text, false);
    };
    let after = text.get(c.len_utf8()..).unwrap_or_default();
    let braces = match (c, after.split_once('}')) {
        ('x' | 'p' | 'P', Some((inner, _))) if inner.starts_with('{') => inner.len() + 1,
        _ => 0,
    };
    let (own, behind) = text.split_at_checked(c.len_utf8() + braces).unwrap_or((text, ""));
    out.push('\\');
    out.push_str(own);
    (behind, !matches!(c, 'd' | 'D' | 's' | 'S' | 'w' | 'W' | 'p' | 'P'))
}

/// Copies what follows a `[` up to the `]` that ends it.
fn class<'t>(text: &'t str, out: &mut String) -> &'t str {
    out.push('[');
    let mut rest = text;
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let (mut is_first, mut ends_range) = (true, false);
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or_default();
        let named = rest.strip_prefix("[:").and_then(|inner| inner.split_once(":]"));
        let mut one = true;
        match (c, named) {
            (']', _) if !is_first => {
                out.push(']');
                return after;
            }
            ('\\', _) => (rest, one) = escape(after, out),
            ('[', Some((name, behind))) => {
                out.push_str(&format!("[:{name}:]"));
                (rest, one) = (behind, false);
            }
            ('[' | ']' | '&' | '~' | '-', _) => {
                out.extend(['\\', c]);
                rest = after;
            }
            _ => {
                out.push(c);
                rest = after;
            }
        }
        is_first = false;
        // Behind a character that ends no range, `-` begins one unless it is the last.
        match rest.strip_prefix('-') {
            Some(high) if one && !ends_range && !high.starts_with(']') => {
                out.push('-');
                (rest, ends_range) = (high, true);
            }
            _ => ends_range = false,
        }
    }
    rest
}

/// Whether `{` before this text begins `{n}`, `{n,}` or `{n,m}`.
fn begins_repetition(text: &str) -> bool {
    let Some((inner, _)) = text.split_once('}') else { return false };
    let (least, most) = inner.split_once(',').unwrap_or((inner, "0"));
    let number = |text: &str| text.bytes().all(|octet| octet.is_ascii_digit());
    !least.is_empty() && number(least) && number(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_both_spell_alike_stays_as_it_is() {
        for text in
            [r"^(?P<a>[0-9]+)\.([a-z-]*|\w+?)[^.]{2,3}x{4}y{5,}$", r"(?i)[[:alpha:]_]\pL\x{10FFFF}\[\{", "äöü[äöü]"]
        {
            assert!(regex::Regex::new(&translate(text)).is_ok(), "{}", translate(text));
            assert_eq!(translate(text).replace("\\-", "-"), text);
        }
    }

    #[test]
    fn what_only_go_takes_for_ordinary_is_escaped() {
        for (text, holds, lacks) in [
            (r"^[^[]$", "a", "["),
            (r"^[a[b]+$", "a[b", "c"),
            (r"^[a&&b]+$", "a&b", "c"),
            (r"^[]a]+$", "]a", "b"),
            (r"^[-a]+$", "-a", "b"),
            (r"^[a-]+$", "-a", "b"),
            (r"^[+--]+$", "+,-", "."),
            (r"^[a-c-e]+$", "b-e", "d"),
            (r"^[\w-.]+$", "a-.", ","),
            (r"^[\w-]+$", "a-", "."),
            (r"^a{b}$", "a{b}", "ab"),
            (r"^a{,2}$", "a{,2}", "aa"),
            (r"^\Qa.b\E.$", "a.bc", "axbc"),
            (r"^[[:digit:][]+$", "1[", "a"),
        ] {
            let regex = regex::Regex::new(&translate(text)).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert!(regex.is_match(holds) && !regex.is_match(lacks), "{text} as {}", translate(text));
        }
    }

    #[test]
    fn what_is_broken_stays_broken() {
        for text in ["(a", "[a", "a)", "*", "[z-a]", "\\"] {
            assert!(regex::Regex::new(&translate(text)).is_err(), "{text} as {}", translate(text));
        }
    }
}
