//! Numbers as Go writes them.

use super::value::GoValue;

/// A number in a template: a whole one can be one with a fraction as well, where that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    /// The value where nothing says what is wanted.
    ideal: Option<GoValue>,
    /// The whole number, where it is one.
    pub(super) whole: Option<i64>,
}

impl Number {
    pub(super) fn character(c: u32) -> Self {
        Self { ideal: Some(GoValue::Int(c.into())), whole: Some(c.into()) }
    }

    /// # Errors
    /// When it is no number, or too large for all kinds.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        if text.contains('.') || (text.contains(['e', 'E']) && !digits.starts_with("0x") && !digits.starts_with("0X")) {
            let plain: String = text.chars().filter(|&c| c != '_').collect();
            let number: f64 = plain.parse().map_err(|_| format!("`{text}` is no number"))?;
            let whole = (number.fract() == 0.0 && number.abs() < 9e18).then_some(number as i64);
            return Ok(Self { ideal: Some(GoValue::Float(number)), whole });
        }
        let number = parse_uint(digits, 0, 64).map_err(|_| format!("`{text}` is no number, or it is too large"))?;
        let whole = i128::from(number) * if negative { -1 } else { 1 };
        let whole = i64::try_from(whole).ok();
        if whole.is_none() && negative {
            return Err(format!("`{text}` is too large"));
        }
        Ok(Self { ideal: whole.map(GoValue::Int), whole })
    }

    /// # Errors
    /// When it is too large for a number of 64 bits with its sign.
    pub(super) fn value(&self) -> Result<GoValue, String> {
        self.ideal.clone().ok_or_else(|| "a number is too large".into())
    }
}

/// Reads a number without sign as Go's `strconv.ParseUint` does: the base 0 goes by the prefix and takes underscores, the
/// size 0 is 64 bits.
///
/// # Errors
/// Says what is wrong.
pub(super) fn parse_uint(text: &str, base: i64, bits: i64) -> Result<u64, String> {
    let fault = |why: &str| format!("parseInt cannot read `{text}`: {why}");
    let syntax = || fault("it is no number of that base");
    let (radix, digits) = match base {
        0 => match text.get(..2).map(str::to_ascii_lowercase).as_deref() {
            Some("0x") => (16, text.get(2..)),
            Some("0o") => (8, text.get(2..)),
            Some("0b") => (2, text.get(2..)),
            _ if text.len() > 1 && text.starts_with('0') => (8, text.get(1..)),
            _ => (10, Some(text)),
        },
        2..=36 => (base as u32, Some(text)),
        _ => return Err(fault("the base is not from 2 to 36")),
    };
    let most = match bits {
        0 | 64 => u64::MAX,
        1..64 => (1 << bits) - 1,
        _ => return Err(fault("the size is not from 0 to 64 bits")),
    };
    let digits = digits.unwrap_or_default();
    let underscored = base == 0 && digits.contains('_');
    // An underscore stands between digits, or behind a prefix.
    let first = digits.len() == text.len();
    if underscored && (digits.ends_with('_') || digits.contains("__") || first && digits.starts_with('_')) {
        return Err(syntax());
    }
    let mut number = 0u64;
    let mut any = false;
    for c in digits.chars().filter(|&c| !(underscored && c == '_')) {
        let digit = c.to_digit(radix).ok_or_else(syntax)?;
        any = true;
        let next = number.checked_mul(radix.into()).and_then(|next| next.checked_add(digit.into()));
        number = next.filter(|next| *next <= most).ok_or_else(|| fault("it is too large"))?;
    }
    if any { Ok(number) } else { Err(syntax()) }
}
