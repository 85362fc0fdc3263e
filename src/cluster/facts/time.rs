//! Time stamps of annotations (RFC 3339).

/// Milliseconds since 1970; `None` for what is no time stamp or lies before.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', 't'])?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let split = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at_checked(split)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let known = (1970..10_000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !known {
        return None;
    }
    let offset = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, rest) => {
            let (hours, minutes) = rest.split_once(':')?;
            let minutes = hours.parse::<u8>().ok()? as i64 * 60 + minutes.parse::<u8>().ok()? as i64;
            if sign == "-" { -minutes } else { minutes }
        }
    };
    let seconds = days(year, month, day) * 86_400 + (hour * 60 + minute - offset) * 60 + second;
    let mut thousandths =
        fraction.bytes().chain([b'0'; 3]).take(3).map(|digit| digit.is_ascii_digit().then_some(digit));
    let milliseconds = thousandths.try_fold(0, |sum, digit| Some(sum * 10 + i64::from(digit? - b'0')))?;
    u64::try_from(seconds * 1000 + milliseconds).ok()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar: years are counted from March, so that the leap day is last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (month * 153 + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_are_read_with_fraction_and_offset() {
        assert_eq!(milliseconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(milliseconds("2026-11-23T10:00:00Z"), Some(1_795_428_000_000));
        assert_eq!(milliseconds("2024-02-29T23:59:59.1234567Z"), Some(1_709_251_199_123));
        assert_eq!(milliseconds("2000-03-01T01:30:00.5+01:30"), Some(951_868_800_500));
    }

    #[test]
    fn what_is_no_time_stamp_is_none() {
        for text in
            ["", "now", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00.xZ", "1969-12-31T23:59:59Z"]
        {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }
}
