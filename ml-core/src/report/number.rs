//! Numbers as text: grouped thousands, a true minus sign, and 'undefined' for what is no number.

/// The text of NaN and the infinities.
pub const UNDEFINED: &str = "undefined";

/// A number with a fixed count of decimals.
///
/// ```
/// use ml_core::report::number::fixed;
///
/// assert_eq!(fixed(-12_345.678, 2), "−12,345.68");
/// assert_eq!(fixed(f64::NAN, 2), "undefined");
/// ```
#[must_use]
pub fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return UNDEFINED.into();
    }
    if value.abs() >= 1e15 {
        return scientific(value);
    }
    let digits = format!("{:.*}", decimals, value.abs());
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let is_zero = digits.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if value < 0.0 && !is_zero { "−" } else { "" };
    format!("{sign}{}{fraction}", grouped(whole))
}

/// A share as percent, so 0.25 is 25 %.
///
/// ```
/// assert_eq!(ml_core::report::number::percent(0.0345, 1), "3.5%");
/// ```
#[must_use]
pub fn percent(share: f64, decimals: usize) -> String {
    let text = fixed(share * 100.0, decimals);
    if text == UNDEFINED { text } else { text + "%" }
}

/// A count.
///
/// ```
/// assert_eq!(ml_core::report::number::count(336_776), "336,776");
/// ```
#[must_use]
pub fn count(n: u64) -> String {
    grouped(&n.to_string())
}

/// A count that may be a sum of weights: decimals only where it has a fraction.
///
/// ```
/// use ml_core::report::number::weighted_count;
///
/// assert_eq!([weighted_count(26_115.0), weighted_count(12.5)], ["26,115", "12.50"]);
/// ```
#[must_use]
pub fn weighted_count(n: f64) -> String {
    fixed(n, if n.fract() == 0.0 { 0 } else { 2 })
}

/// A number with three significant digits, in powers of ten where it is very large or small.
///
/// ```
/// use ml_core::report::number::short;
///
/// assert_eq!([short(0.012_345), short(123.45), short(123_456.0), short(0.000_001_23)], ["0.0123", "123", "123,456", "1.23e−6"]);
/// ```
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        UNDEFINED.into()
    } else if size == 0.0 {
        "0".into()
    } else if !(1e-4..1e7).contains(&size) {
        scientific(value)
    } else {
        let magnitude = size.log10().floor();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0 to 6")]
        let decimals = (2.0 - magnitude).clamp(0.0, 6.0) as usize;
        fixed(value, decimals)
    }
}

fn scientific(value: f64) -> String {
    format!("{value:.2e}").replace('-', "−").replace(".00e", "e")
}

fn grouped(digits: &str) -> String {
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(short(-0.0), "0");
    }

    #[test]
    fn extremes_stay_short() {
        for value in [f64::MAX, f64::MIN, f64::MIN_POSITIVE, 1e15, -1e-300] {
            assert!(short(value).chars().count() <= 11, "{}", short(value));
            assert!(fixed(value, 3).chars().count() <= 11, "{}", fixed(value, 3));
        }
        assert_eq!(percent(f64::INFINITY, 1), UNDEFINED);
    }
}
