//! Numbers in headers.

use plugin_api::HeaderValue;

/// Sixteen digits are more than a sum of doubles has; what is behind the fourteenth is not shown.
const DIGITS: usize = 14;

/// A number as headers show it: without a fraction if it has none.
pub fn text_of(number: f64) -> HeaderValue {
    /// Up to here, doubles hold every whole number.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && (0.0..WHOLE).contains(&number) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it has no fraction, no sign, and fits"
        )]
        return HeaderValue::from(number as u64);
    }
    let rounded = format!("{number:.*e}", DIGITS - 1);
    let rounded: f64 = rounded.parse().unwrap_or(number);
    HeaderValue::from(rounded.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_without_needless_digits() {
        for (number, text) in [
            (10.0, "10"),
            (-8.0, "-8"),
            (0.5, "0.5"),
            (0.1 + 0.2, "0.3"),
            (1e9, "1000000000"),
        ] {
            assert_eq!(*text_of(number), *text.as_bytes());
        }
    }
}
