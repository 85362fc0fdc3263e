//! The part of a rule that finds a name and changes it.

use regex::Regex;

use crate::corefile::{Error, Token};
use crate::wire::Name;

use crate::syntax::words;

/// Finds names in lower case with a final dot.
#[derive(Clone, Debug)]
pub(crate) enum Matcher {
    /// The whole name.
    Exact(String),
    /// Its beginning.
    Prefix(String),
    /// Its end.
    Suffix(String),
    /// Some part.
    Substring(String),
    /// A regular expression anywhere in it; what it makes replaces the whole name.
    Regex(Regex),
}

impl Matcher {
    /// Reads `[exact|prefix|suffix|substring|regex] FROM`; gives the words after it.
    ///
    /// With `whole`, what is no regular expression gets a final dot: `prefix old` finds `old.example.` and not `older.example.`.
    pub(crate) fn read<'w, 'd>(
        at: &Token,
        words: &'w [&'d Token],
        following: usize,
        whole: bool,
    ) -> Result<(Self, &'w [&'d Token]), Error> {
        const KINDS: [&str; 5] = ["exact", "prefix", "suffix", "substring", "regex"];
        let missing = || at.error("rewrite needs a name to match, and more words after it");
        // Without a kind the name itself stands here, even when it looks like one.
        let (kind, rest) = match words.split_first() {
            Some((kind, rest)) if KINDS.contains(&kind.text.to_lowercase().as_str()) && rest.len() > following => {
                (kind.text.to_lowercase(), rest)
            }
            _ => ("exact".to_owned(), words),
        };
        let (from, rest) = rest.split_first().ok_or_else(missing)?;
        if rest.len() < following {
            return Err(from.error(format!("rewrite needs {following} more word(s) after `{}`", from.text)));
        }
        let text = from.text.to_lowercase();
        let part = || if whole { absolute(&text) } else { text.clone() };
        let matcher = match kind.as_str() {
            "exact" => {
                let name: Name =
                    text.parse().map_err(|why| from.error(format!("`{}` is no name: {why}", from.text)))?;
                Self::Exact(name.to_string())
            }
            "prefix" => Self::Prefix(part()),
            "suffix" => Self::Suffix(absolute(&text)),
            "substring" => Self::Substring(part()),
            _ => Self::Regex(words::regex(from)?),
        };
        Ok((matcher, rest))
    }

    /// Whether a name is found.
    pub(crate) fn holds(&self, name: &str) -> bool {
        match self {
            Self::Exact(from) => name == from,
            Self::Prefix(from) => name.starts_with(from.as_str()),
            Self::Suffix(from) => name.ends_with(from.as_str()),
            Self::Substring(from) => name.contains(from.as_str()),
            Self::Regex(regex) => regex.is_match(name),
        }
    }

    /// The new name; `None` when the name is not found.
    pub(crate) fn rewrite(&self, name: &str, to: &str) -> Option<String> {
        match self {
            Self::Exact(from) => (name == from).then(|| absolute(to)),
            Self::Prefix(from) => name.strip_prefix(from.as_str()).map(|rest| format!("{to}{rest}")),
            Self::Suffix(from) => name.strip_suffix(from.as_str()).map(|rest| format!("{rest}{}", absolute(to))),
            Self::Substring(from) => name.contains(from.as_str()).then(|| name.replace(from.as_str(), to)),
            Self::Regex(regex) => by_groups(regex, name, to),
        }
    }

    /// Whether some cluster name may be found, as far as can be told.
    pub(crate) fn may_hold(&self, zones: &[Name]) -> bool {
        match self {
            // Its one name takes the chain by itself.
            Self::Exact(_) => false,
            // It need not begin with a label: `ster.local.` is found in the names of `cluster.local.`.
            Self::Suffix(from) => zones.iter().map(Name::to_string).any(|zone| {
                let (below, whole) = (format!(".{}", zone.trim_start_matches('.')), *from == zone);
                whole || from.ends_with(&below) || below.ends_with(from.as_str())
            }),
            Self::Prefix(_) | Self::Substring(_) | Self::Regex(_) => true,
        }
    }
}

/// The name with a final dot.
pub(crate) fn absolute(name: &str) -> String {
    if name.ends_with('.') { name.to_owned() } else { format!("{name}.") }
}

/// Refuses a replacement with more groups than the expression has.
pub(crate) fn check_groups(regex: &Regex, to: &Token) -> Result<(), Error> {
    let used = (0..=100).filter(|group| to.text.contains(&format!("{{{group}}}"))).count();
    let there = regex.captures_len() - 1;
    if used > there {
        let expected = format!("`{}` uses {used} groups of an expression that has {there}", to.text);
        return Err(to.error(expected));
    }
    Ok(())
}

/// The replacement with its groups filled in, when the expression is found.
pub(crate) fn by_groups(regex: &Regex, name: &str, to: &str) -> Option<String> {
    let captures = regex.captures(name)?;
    let mut text = to.to_owned();
    for (index, group) in captures.iter().enumerate() {
        text = text.replace(&format!("{{{index}}}"), group.map_or("", |group| group.as_str()));
    }
    Some(absolute(&text))
}
