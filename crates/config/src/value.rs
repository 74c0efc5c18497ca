//! Values as they are written, by kind.

use std::time::Duration;

use crate::declaration::Kind;

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<String>),
}

impl Value {
    /// The text, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The value as one would write it.
    pub fn written(&self) -> String {
        match self {
            Self::Bool(true) => "on".to_owned(),
            Self::Bool(false) => "off".to_owned(),
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::List(items) => items.join(", "),
        }
    }
}

/// Reads a value of a kind; none if the text is empty, which unsets it.
/// The error says what is wrong, beginning with the name.
pub(crate) fn parse(name: &str, kind: &Kind, text: &str) -> Result<Option<Value>, String> {
    let text = text.trim();
    if kind.is_list() {
        return parse_list(name, kind, text).map(|items| Some(Value::List(items)));
    }
    if text.is_empty() {
        return Ok(None);
    }
    let value = match kind {
        Kind::Boolean => Value::Bool(
            parse_switch(text)
                .ok_or_else(|| format!("{name} is not a boolean: '{text}' (on, off)"))?,
        ),
        Kind::Switch => {
            let on = parse_switch(text)
                .ok_or_else(|| format!("{name} is neither on nor off: '{text}'"))?;
            Value::Text(if on { "on" } else { "off" }.to_owned())
        }
        Kind::Integer(low, high) => parse_integer(name, text, *low, *high)?,
        Kind::Number(low, high) => parse_number(name, text, *low, *high)?,
        Kind::Choice(words) => {
            if !words.contains(&text) {
                return Err(format!(
                    "{name} has an invalid value: '{text}' ({})",
                    words.join(", ")
                ));
            }
            Value::Text(text.to_owned())
        }
        Kind::Size => {
            parse_size(text).ok_or_else(|| {
                format!("{name} is not a size: '{text}' (a number of bytes, or with k, m or g)")
            })?;
            Value::Text(text.to_owned())
        }
        Kind::Duration => {
            parse_duration(text).ok_or_else(|| {
                format!("{name} is not a duration: '{text}' (a number of seconds, or with ms, s, m, h, d, w, M or y)")
            })?;
            Value::Text(text.to_owned())
        }
        _ => Value::Text(text.to_owned()),
    };
    Ok(Some(value))
}

fn parse_list(name: &str, kind: &Kind, text: &str) -> Result<Vec<String>, String> {
    let items: Vec<String> = text
        .split(',')
        .map(str::trim)
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect();
    if let Kind::ListOf(words) = kind {
        let unknown = items
            .iter()
            .find(|item| !words.iter().any(|word| word.eq_ignore_ascii_case(item)));
        if let Some(item) = unknown {
            return Err(format!(
                "{name}: invalid entry '{item}' ({})",
                words.join(", ")
            ));
        }
    }
    Ok(items)
}

fn parse_switch(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" | "1" => Some(true),
        "off" | "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

fn parse_integer(name: &str, text: &str, low: i64, high: i64) -> Result<Value, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("{name} is not a number: '{text}'"))?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "bounds beyond 2^53 only say that there is no bound"
    )]
    let within = number.fract() == 0.0 && number >= low as f64 && number <= high as f64;
    if within {
        return Ok(Value::Number(number));
    }
    Err(if high == i64::MAX {
        format!("{name} must be an integer of {low} or greater: '{text}'")
    } else {
        format!("{name} must be an integer between {low} and {high}: '{text}'")
    })
}

fn parse_number(name: &str, text: &str, low: f64, high: f64) -> Result<Value, String> {
    let number: f64 = text
        .parse()
        .map_err(|_| format!("{name} is not a number: '{text}'"))?;
    if number.is_finite() && number >= low && number <= high {
        return Ok(Value::Number(number));
    }
    Err(if high.is_infinite() {
        format!("{name} must be {low} or greater: '{text}'")
    } else {
        format!("{name} must be between {low} and {high}: '{text}'")
    })
}

/// Bytes from `512`, `8k`, `10m`, `1g`.
pub(crate) fn parse_size(text: &str) -> Option<u64> {
    let (digits, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1u64 << 10),
        (at, 'm' | 'M') => (&text[..at], 1 << 20),
        (at, 'g' | 'G') => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// A time from nginx's notation: `60` is seconds, `1h 30m` is a sum.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 8] = [
        ("ms", 1),
        ("s", 1_000),
        ("m", 60_000),
        ("h", 3_600_000),
        ("d", 86_400_000),
        ("w", 604_800_000),
        ("M", 2_592_000_000),
        ("y", 31_536_000_000),
    ];
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    let mut millis = 0u64;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let unit = if letters == 0 {
            1_000
        } else {
            UNITS.iter().find(|(name, _)| *name == &rest[..letters])?.1
        };
        rest = rest[letters..].trim_start();
        millis = millis.checked_add(number.checked_mul(unit)?)?;
    }
    Some(Duration::from_millis(millis))
}

#[cfg(test)]
mod tests;
