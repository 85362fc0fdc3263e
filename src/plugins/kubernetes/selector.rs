//! Label selectors, in the spelling of the Kubernetes API.

use crate::corefile::{Directive, Error};

/// Reads a label selector as the API has it; the words of the line are one selector.
pub(super) fn read(line: &Directive) -> Result<String, Error> {
    let first =
        line.arguments.first().ok_or_else(|| line.name.error(format!("{} needs a label selector", line.name.text)))?;
    let text = line.arguments.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join(" ");
    if is_selector(&text) {
        Ok(text)
    } else {
        Err(first
            .error(format!("`{text}` is no label selector: write key=value, key!=value, key in (a, b), key or !key")))
    }
}

fn is_selector(text: &str) -> bool {
    let mut requirements = vec![String::new()];
    let mut depth = 0u32;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if c == ',' && depth == 0 {
            requirements.push(String::new());
        } else if let Some(last) = requirements.last_mut() {
            last.push(c);
        }
    }
    depth == 0 && requirements.iter().all(|requirement| is_requirement(requirement.trim()))
}

fn is_requirement(text: &str) -> bool {
    let key = |key: &str| {
        let (prefix, name) = key.trim().rsplit_once('/').unwrap_or_else(|| ("p", key.trim()));
        !prefix.is_empty() && prefix.len() <= 253 && !name.is_empty() && is_value(name)
    };
    if let Some(negated) = text.strip_prefix('!') {
        return key(negated);
    }
    if let Some((before, values)) = text.split_once('(') {
        let mut words = before.split_whitespace();
        let operator = (words.next(), words.next(), words.next());
        let values = values.strip_suffix(')').unwrap_or("*");
        return matches!(operator, (Some(name), Some("in" | "notin"), None) if key(name))
            && values.split(',').all(|value| is_value(value.trim()));
    }
    for operator in ["!=", "==", "="] {
        if let Some((name, value)) = text.split_once(operator) {
            return key(name) && is_value(value.trim());
        }
    }
    key(text)
}

fn is_value(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && edge(text.chars().next())
        && edge(text.chars().last())
}
