//! Rules for one value, and what is said when a value breaks one.

use regex::Regex;
use serde_json::Value;

use crate::Pattern;

/// A rule for a value of the declared type.
#[derive(Debug, Clone)]
pub enum Rule {
    /// Exactly this value; `null` forbids the field.
    Eq(Value),
    /// Any value but this one.
    Ne(Value),
    NotOneOf(Vec<Value>),
    OneOf(Vec<Value>),
    /// More than this number.
    Gt(f64),
    /// A time after 1970.
    Timestamp,
    Uuid,
    /// A regular expression.
    IsRegex,
    /// From the first number to the second, both included.
    Between(f64, f64),
    /// Bytes of text, elements of a list, keys of a map.
    LenEq(usize),
    LenMin(usize),
    LenMax(usize),
    StartsWith(&'static str),
    NotMatch(Pattern),
    /// Patterns that must not match, each with its error.
    MatchNone(Vec<(Pattern, &'static str)>),
    Match(Pattern),
    /// Patterns that must all match, each with its error.
    MatchAll(Vec<(Pattern, &'static str)>),
    /// Patterns of which one must match, and the error when none does.
    MatchAny {
        patterns: Vec<Pattern>,
        error: Option<&'static str>,
    },
    /// A list has this element.
    Contains(Value),
    /// A rule in code.
    Custom(fn(&Value) -> Result<(), String>),
    /// All elements of a list come from one of these groups.
    MutuallyExclusiveSubsets(&'static [&'static [&'static str]]),
}

impl Rule {
    /// The place of this sort of rule among all sorts: the first rule that a value breaks makes the message.
    pub(crate) fn order(&self) -> u8 {
        match self {
            Self::Eq(_) => 0,
            Self::Ne(_) => 1,
            Self::NotOneOf(_) => 2,
            Self::OneOf(_) => 3,
            Self::Gt(_) => 4,
            Self::Timestamp => 5,
            Self::Uuid => 6,
            Self::IsRegex => 7,
            Self::Between(..) => 8,
            Self::LenEq(_) => 9,
            Self::LenMin(_) => 10,
            Self::LenMax(_) => 11,
            Self::StartsWith(_) => 12,
            Self::NotMatch(_) => 13,
            Self::MatchNone(_) => 14,
            Self::Match(_) => 15,
            Self::MatchAll(_) => 16,
            Self::MatchAny { .. } => 17,
            Self::Contains(_) => 18,
            Self::Custom(_) => 19,
            Self::MutuallyExclusiveSubsets(_) => 20,
        }
    }

    /// Says what is wrong with a value that is not null and has the declared type.
    pub(crate) fn check(&self, value: &Value) -> Result<(), String> {
        let fine = match self {
            Self::Eq(wanted) => same(value, wanted),
            Self::Ne(unwanted) => !same(value, unwanted),
            Self::NotOneOf(options) => !options.iter().any(|option| same(value, option)),
            Self::OneOf(options) => options.iter().any(|option| same(value, option)),
            Self::Gt(limit) => value.as_f64().is_some_and(|number| number > *limit),
            Self::Timestamp => value.as_f64().is_some_and(|number| number > 0.0),
            Self::Uuid => value.as_str().is_some_and(is_uuid),
            Self::IsRegex => value.as_str().is_some_and(|text| Regex::new(text).is_ok()),
            Self::Between(low, high) => value
                .as_f64()
                .is_some_and(|number| number >= *low && number <= *high),
            Self::LenEq(wanted) => length(value) == *wanted,
            Self::LenMin(least) => length(value) >= *least,
            Self::LenMax(most) => length(value) <= *most,
            Self::StartsWith(start) => value.as_str().is_some_and(|text| text.starts_with(start)),
            Self::NotMatch(pattern) => value.as_str().is_some_and(|text| !pattern.is_match(text)),
            Self::Match(pattern) => value.as_str().is_some_and(|text| pattern.is_match(text)),
            Self::MatchNone(patterns) => {
                return first_error(patterns, |pattern| !matches(value, pattern));
            }
            Self::MatchAll(patterns) => {
                return first_error(patterns, |pattern| matches(value, pattern));
            }
            Self::MatchAny { patterns, .. } => {
                patterns.iter().any(|pattern| matches(value, pattern))
            }
            Self::Contains(wanted) => value
                .as_array()
                .is_some_and(|elements| elements.iter().any(|element| same(element, wanted))),
            Self::Custom(validate) => return validate(value),
            Self::MutuallyExclusiveSubsets(subsets) => return one_subset(value, subsets),
        };
        if fine {
            Ok(())
        } else {
            Err(self.message(value))
        }
    }

    fn message(&self, value: &Value) -> String {
        match self {
            Self::Eq(wanted) => format!("value must be {}", display(wanted)),
            Self::Ne(Value::Null) => "value must not be null".to_owned(),
            Self::Ne(_) => format!("value must not be {}", display(value)),
            Self::NotOneOf(options) => format!("must not be one of: {}", join(options)),
            Self::OneOf(options) => format!("expected one of: {}", join(options)),
            Self::Gt(limit) => format!("value must be greater than {}", display_number(*limit)),
            Self::Timestamp => "expected a valid timestamp".to_owned(),
            Self::Uuid => "expected a valid UUID".to_owned(),
            Self::IsRegex => format!("not a valid regex: {}", display(value)),
            Self::Between(low, high) => format!(
                "value should be between {} and {}",
                low.trunc(),
                high.trunc()
            ),
            Self::LenEq(wanted) => format!("length must be {wanted}"),
            Self::LenMin(least) => format!("length must be at least {least}"),
            Self::LenMax(most) => format!("length must be at most {most}"),
            Self::StartsWith(start) => format!("should start with: {start}"),
            Self::NotMatch(_) | Self::Match(_) | Self::MatchAny { error: None, .. } => {
                format!("invalid value: {}", display(value))
            }
            Self::MatchAny {
                error: Some(error), ..
            } => (*error).to_owned(),
            Self::Contains(wanted) => format!("expected to contain: {}", display(wanted)),
            Self::MatchNone(_)
            | Self::MatchAll(_)
            | Self::Custom(_)
            | Self::MutuallyExclusiveSubsets(_) => {
                format!("failed validating: {}", display(value))
            }
        }
    }
}

/// Whether two values are the same to Lua, which knows one sort of number.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        (left, right) => left == right,
    }
}

/// A value as Lua prints it in a message.
pub(crate) fn display(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number
            .as_f64()
            .map_or_else(|| number.to_string(), display_number),
        other => other.to_string(),
    }
}

/// Names in quotes, as in `'a', 'b'`.
pub(crate) fn quoted<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| format!("'{name}'"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn display_number(number: f64) -> String {
    format!("{number}")
}

fn join(options: &[Value]) -> String {
    options.iter().map(display).collect::<Vec<_>>().join(", ")
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.len(),
        Value::Object(map) => map.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn matches(value: &Value, pattern: &Pattern) -> bool {
    value.as_str().is_some_and(|text| pattern.is_match(text))
}

fn first_error(
    patterns: &[(Pattern, &'static str)],
    fine: impl Fn(&Pattern) -> bool,
) -> Result<(), String> {
    match patterns.iter().find(|(pattern, _)| !fine(pattern)) {
        Some((_, error)) => Err((*error).to_owned()),
        None => Ok(()),
    }
}

fn one_subset(value: &Value, subsets: &[&[&str]]) -> Result<(), String> {
    let mut found: Vec<usize> = Vec::new();
    for element in value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        if let Some(at) = subsets.iter().position(|subset| subset.contains(&element))
            && !found.contains(&at)
        {
            found.push(at);
        }
    }
    if found.len() <= 1 {
        return Ok(());
    }
    let groups: Vec<_> = found
        .iter()
        .filter_map(|at| subsets.get(*at))
        .map(|subset| format!("({})", quoted(subset.iter().copied())))
        .collect();
    Err(format!(
        "these sets are mutually exclusive: {}",
        groups.join(", ")
    ))
}

/// Whether text is a UUID in its 36-character form, in either case.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
