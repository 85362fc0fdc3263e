//! Words of a Corefile as values: durations, numbers, addresses, files, networks.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::corefile::{Directive, Error, Token};
use crate::wire::Rcode;

/// The one word after an option, or an error that says what was expected.
pub(crate) fn value<'d>(line: &'d Directive, what: &str) -> Result<&'d Token, Error> {
    line.no_body()?;
    line.one_argument(what)
}

/// An option that stands alone.
pub(crate) fn alone(line: &Directive) -> Result<(), Error> {
    line.no_body()?;
    line.no_arguments()
}

/// An option that the directive does not know, or that CoreDNS has taken out of it.
pub(crate) fn unknown(line: &Directive, directive: &str, known: &[&str]) -> Error {
    let option = line.name.text.as_str();
    let advice = match (directive, option) {
        ("kubernetes", "upstream" | "resyncperiod" | "cidrs" | "federation") => "delete the line",
        ("kubernetes" | "file", "transfer") => {
            "it is a directive now: write `transfer` with `to ADDRESS` into the server block"
        }
        ("file", "no_reload") => "write `reload 0`",
        _ => return line.name.error(format!("{directive} has no option `{option}`; it knows {}", known.join(", "))),
    };
    line.name.error(format!("{directive} has no option `{option}` any more; {advice}"))
}

/// A duration in Go's spelling: `30s`, `300ms`, `1h30m`, and `0`.
pub(crate) fn duration(word: &Token) -> Result<Duration, Error> {
    parse_duration(&word.text).ok_or_else(|| {
        word.error(format!("`{}` is no duration: a number with its unit is, as in 30s, 500ms or 1h30m", word.text))
    })
}

/// A duration above zero.
pub(crate) fn positive_duration(word: &Token) -> Result<Duration, Error> {
    match duration(word)? {
        Duration::ZERO => Err(word.error(format!("`{}` is too short: it must be more than zero", word.text))),
        time => Ok(time),
    }
}

/// Reads a duration in Go's spelling; negative ones are none.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut seconds = 0f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest.get(..end)?.parse().ok()?;
        rest = rest.get(end..)?;
        let end = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        let unit = match rest.get(..end)? {
            "ns" => 1e-9,
            // The sign for micro, and the Greek letter.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        rest = rest.get(end..)?;
        seconds += number * unit;
    }
    // Go counts nanoseconds in 63 bits.
    Duration::try_from_secs_f64(seconds).ok().filter(|time| i64::try_from(time.as_nanos()).is_ok())
}

/// A whole number within a range.
pub(crate) fn number<T>(word: &Token, range: std::ops::RangeInclusive<T>) -> Result<T, Error>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    match word.text.parse::<T>() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(word.error(format!("`{}` is no whole number from {} to {}", word.text, range.start(), range.end()))),
    }
}

/// A response code by name or number.
pub(crate) fn rcode(word: &Token) -> Result<Rcode, Error> {
    let number = || word.text.parse().ok().and_then(Rcode::from_number);
    let found = Rcode::from_name(&word.text).or_else(number);
    found.ok_or_else(|| word.error(format!("`{}` is no response code", word.text)))
}

/// `HOST:PORT` or `:PORT`, as an HTTP listener takes it.
pub(crate) fn listen_address(word: &Token) -> Result<String, Error> {
    let fault = || word.error(format!("`{}` is no address to listen on: write HOST:PORT or :PORT", word.text));
    let (host, port) = word.text.rsplit_once(':').ok_or_else(fault)?;
    port.parse::<u16>().map_err(|_| fault())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if host.contains(':') && host.parse::<IpAddr>().is_err() {
        return Err(fault());
    }
    Ok(word.text.clone())
}

/// A network, or an address as a network of one.
pub(crate) fn network(word: &Token) -> Result<IpNet, Error> {
    if let Ok(address) = word.text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    word.text
        .parse::<IpNet>()
        .map(|net| net.trunc())
        .map_err(|_| word.error(format!("`{}` is no network: write an address or ADDRESS/LENGTH", word.text)))
}

/// A file; relative ones count from the working folder.
pub(crate) fn file(word: &Token) -> PathBuf {
    PathBuf::from(&word.text)
}

/// A regular expression of at most 10,000 octets.
pub(crate) fn regex(word: &Token) -> Result<regex::Regex, Error> {
    compile(&word.text).map_err(|why| word.error(format!("`{}` is no regular expression: {why}", word.text)))
}

/// Compiles a regular expression in Go's spelling, bounded in length and in memory.
pub(crate) fn compile(text: &str) -> Result<regex::Regex, String> {
    if text.len() > 10_000 {
        return Err("it is longer than 10000 octets".into());
    }
    regex::RegexBuilder::new(&super::goregex::translate(text)).size_limit(1 << 21).build().map_err(
        |error| match error {
            regex::Error::CompiledTooBig(_) => "it needs too much memory".to_owned(),
            // The last line of the report says what is wrong; those above draw a picture.
            other => {
                let report = other.to_string();
                report.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::testing::token;

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("30s"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h30m"), Some(Duration::from_secs(5400)));
        for (text, millis) in [("1.5s", 1500), ("0.5m", 30_000), (".5s", 500), ("1.s", 1000), ("1h1.5m", 3_690_000)] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse_duration("1.5\u{b5}s"), Some(Duration::from_nanos(1500)));
        assert_eq!(parse_duration("1.5\u{3bc}s"), Some(Duration::from_nanos(1500)));
        assert_eq!(parse_duration("0"), Some(Duration::ZERO));
        for bad in ["", "5", "s", "-5s", "5x", "often", ".", "1.5", ".s", "1.5.5s", "1 s", "3000000h"] {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
        assert!(positive_duration(&token("0s")).is_err());
    }

    #[test]
    fn listen_addresses_have_a_port() {
        for good in [":8080", "127.0.0.1:8080", "[::1]:8080", "localhost:9153"] {
            assert!(listen_address(&token(good)).is_ok(), "{good}");
        }
        for bad in ["8080", "127.0.0.1", ":http", "::1:x", ":70000"] {
            assert!(listen_address(&token(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_and_networks_keep_to_their_range() {
        assert_eq!(number::<u32>(&token("30"), 0..=3600).unwrap(), 30);
        assert!(number::<u32>(&token("3601"), 0..=3600).is_err() && number::<u32>(&token("-1"), 0..=3600).is_err());
        assert_eq!(network(&token("10.1.2.3")).unwrap().to_string(), "10.1.2.3/32");
        assert!(network(&token("10.0.0.0/33")).is_err());
    }

    #[test]
    fn response_codes_have_names_and_numbers() {
        for (text, code) in [("nxdomain", 3), ("NOTIMPL", 4), ("BADVERS", 16), ("5", 5), ("4095", 4095)] {
            assert_eq!(rcode(&token(text)).unwrap(), Rcode(code), "{text}");
        }
        assert!(rcode(&token("4096")).is_err() && rcode(&token("-1")).is_err() && rcode(&token("NONE")).is_err());
    }

    #[test]
    fn regular_expressions_are_bounded() {
        assert!(regex(&token("^a$")).is_ok());
        assert!(regex(&token("(a")).unwrap_err().message.contains("unclosed group"));
        assert!(regex(&token(&"a".repeat(10_001))).is_err());
        assert!(compile("(a{1000}){1000}").is_err());
    }
}
