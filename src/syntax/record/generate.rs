//! `$GENERATE RANGE RECORD…`: one line that stands for many, as BIND reads it.

use super::Fault;
use super::words::ZoneWord;

/// The most records that one line may stand for: 65,536, as many as there are addresses in a /16.
const MOST: u64 = 65_536;

/// The lines that `$GENERATE` stands for; the range is its first word.
pub(super) fn lines(
    range: &ZoneWord,
    words: &[ZoneWord],
) -> Result<impl Iterator<Item = Result<Vec<ZoneWord>, Fault>>, Fault> {
    let text = range.text();
    let (from, to, step) = parse_range(&text).ok_or_else(|| {
        Fault::new(range.line, format!("`{text}` is no range: FROM-TO or FROM-TO/STEP is one, of {MOST} steps at most"))
    })?;
    Ok((from..=to).step_by(step).map(move |value| {
        let fill = |word: &ZoneWord| {
            let octets = fill(&word.octets, value).map_err(|why| Fault::new(word.line, format!("$GENERATE: {why}")))?;
            Ok(ZoneWord { octets, ..word.clone() })
        };
        words.iter().map(fill).collect()
    }))
}

fn parse_range(text: &str) -> Option<(u32, u32, usize)> {
    let (range, step) = text.split_once('/').unwrap_or((text, "1"));
    let (from, to) = range.split_once('-')?;
    let (from, to, step): (u32, u32, u32) = (from.parse().ok()?, to.parse().ok()?, step.parse().ok()?);
    let steps = u64::from(to.checked_sub(from)?.checked_div(step)?) + 1;
    (steps <= MOST).then_some((from, to, step as usize))
}

/// A word with the value in place of each `$` and `${OFFSET[,WIDTH[,BASE]]}`; `\$` and `$$` stand for the sign itself.
fn fill(word: &[u8], value: u32) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(word.len() + 8);
    let mut rest = word;
    while let Some((&octet, after)) = rest.split_first() {
        rest = after;
        match (octet, after) {
            (b'\\' | b'$', [b'$', after @ ..]) => {
                out.push(b'$');
                rest = after;
            }
            (b'\\', [next, after @ ..]) => {
                out.extend([b'\\', *next]);
                rest = after;
            }
            (b'$', [b'{', after @ ..]) => {
                let end = after.iter().position(|&octet| octet == b'}').ok_or("a `${` is not closed")?;
                let (inner, behind) = after.split_at(end);
                let inner = String::from_utf8_lossy(inner);
                out.extend(modified(&inner, value).ok_or_else(|| format!("`${{{inner}}}` is not understood"))?.bytes());
                rest = behind.get(1..).unwrap_or_default();
            }
            (b'$', _) => out.extend(value.to_string().bytes()),
            (octet, _) => out.push(octet),
        }
    }
    Ok(out)
}

/// The value as `OFFSET[,WIDTH[,BASE]]` says.
fn modified(text: &str, value: u32) -> Option<String> {
    let mut parts = text.split(',');
    let offset: i64 = parts.next()?.parse().ok()?;
    let width: usize = parts.next().map_or(Some(0), |width| width.parse().ok().filter(|width| *width < 256))?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() {
        return None;
    }
    let value = u32::try_from(i64::from(value).checked_add(offset)?).ok()?;
    Some(match base {
        "d" => format!("{value:0width$}"),
        "o" => format!("{value:0width$o}"),
        "x" => format!("{value:0width$x}"),
        "X" => format!("{value:0width$X}"),
        "n" => nibbles(value, width),
        "N" => nibbles(value, width).to_ascii_uppercase(),
        _ => return None,
    })
}

/// The hexadecimal digits as labels, the lowest first; the width counts the dots.
fn nibbles(mut value: u32, mut width: usize) -> String {
    let mut text = String::new();
    loop {
        text.push_str(&format!("{:x}", value & 15));
        value >>= 4;
        width = width.saturating_sub(1);
        if width == 0 && value == 0 {
            return text;
        }
        text.push('.');
        width = width.saturating_sub(1);
        if width == 0 && value == 0 {
            return text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_place_of_their_signs() {
        for (word, value, filled) in [
            ("host$", 7, "host7"),
            ("n-${10,3,d}", 1, "n-011"),
            ("${-5}.${0,4,x}.${0,0,X}.${0,3,o}", 255, "250.00ff.FF.377"),
            ("$$-\\$-\\.-$", 3, "$-$-\\.-3"),
            ("${0,3,n}.${0,0,N}", 0xab, "b.a.B.A"),
            ("${0,7,n}", 0xa, "a.0.0.0"),
        ] {
            assert_eq!(String::from_utf8(fill(word.as_bytes(), value).unwrap()).unwrap(), filled, "{word}");
        }
        for bad in ["${1", "${}", "${1,2,z}", "${1,2,d,x}", "${1,300}", "${-9}", "${9223372036854775807}"] {
            assert!(fill(bad.as_bytes(), 3).is_err(), "{bad}");
        }
    }

    #[test]
    fn ranges_are_bounded() {
        assert_eq!(parse_range("1-10/3"), Some((1, 10, 3)));
        assert_eq!(parse_range("0-65535"), Some((0, 65_535, 1)));
        for bad in ["", "5", "5-1", "1-2/0", "0-65536", "a-b", "1-2/x", "-1-3"] {
            assert_eq!(parse_range(bad), None, "{bad}");
        }
    }
}
