//! Time stamps of annotations (RFC 3339).

use jiff::Timestamp;

/// Milliseconds since 1970; `None` for what is no time stamp or lies before.
pub(super) fn milliseconds(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<Timestamp>().ok()?.as_millisecond()).ok()
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
