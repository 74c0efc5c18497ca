//! Paths of routes: prefixes in normal form, and regular expressions after a `~`.
//!
//! Regular expressions are matched by the `regex` crate, and a few that other engines accept are not for it. With the
//! expression-based flavours the error about those comes from the expression; what no engine accepts is refused here, in
//! the words of PCRE.

use regex_syntax::ast::{self, ErrorKind};
use serde_json::Value;

use crate::fields::{text, validate_escapes};
use crate::uri::normalize_path;

/// Refuses prefixes that are not normal and regular expressions that are none.
pub(super) fn validate(value: &Value) -> Result<(), String> {
    let path = text(value);
    match path.strip_prefix('~') {
        Some(regex) => validate_regex(regex),
        None => validate_prefix(path),
    }
}

/// The same, and refuses regular expressions that cannot be matched in linear time.
pub(super) fn validate_for_matching(value: &Value) -> Result<(), String> {
    validate(value)?;
    match text(value)
        .strip_prefix('~')
        .map(|regex| (regex, regex::Regex::new(&regex.replace("?<", "?P<"))))
    {
        Some((regex, Err(error))) => {
            let reason = error.to_string();
            let reason = reason
                .lines()
                .last()
                .unwrap_or_default()
                .trim_start_matches("error: ");
            Err(format!("invalid regex: '{regex}' ({reason})"))
        }
        _ => Ok(()),
    }
}

fn validate_prefix(path: &str) -> Result<(), String> {
    // Compat: escapes are only looked at where all characters are those of a URI
    // (`paths_of_routes`).
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~/%:@!$&'()*+,;=".contains(&byte);
    if path.bytes().all(plain) {
        validate_escapes(path)?;
    }
    let normal = normalize_path(path);
    if path == normal {
        return Ok(());
    }
    Err(format!(
        "non-normalized path, consider use '{normal}' instead"
    ))
}

fn validate_regex(regex: &str) -> Result<(), String> {
    let Err(error) = ast::parse::Parser::new().parse(regex) else {
        return Ok(());
    };
    let Some((reason, offset)) = in_words_of_pcre(&error) else {
        return Ok(());
    };
    let rest = regex.get(offset..).unwrap_or_default();
    let place = if rest.is_empty() {
        format!("in \"{regex}\"")
    } else {
        format!("in \"{regex}\" at \"{rest}\"")
    };
    Err(format!(
        "invalid regex: '{regex}' (PCRE returned: pcre2_compile() failed: {reason} {place})"
    ))
}

/// What PCRE says and where, or `None` if it might accept the expression.
fn in_words_of_pcre(error: &ast::Error) -> Option<(&'static str, usize)> {
    let (start, end, whole) = (
        error.span().start.offset,
        error.span().end.offset,
        error.pattern().len(),
    );
    Some(match error.kind() {
        ErrorKind::GroupUnclosed => ("missing closing parenthesis", whole),
        ErrorKind::GroupUnopened => ("unmatched closing parenthesis", start),
        ErrorKind::ClassUnclosed => ("missing terminating ] for character class", whole),
        ErrorKind::ClassRangeInvalid => (
            "range out of order in character class",
            end.saturating_sub(1),
        ),
        ErrorKind::ClassRangeLiteral => ("invalid range in character class", end.saturating_sub(1)),
        ErrorKind::EscapeUnexpectedEof => ("\\ at end of pattern", whole),
        ErrorKind::RepetitionMissing => ("quantifier does not follow a repeatable item", end),
        ErrorKind::RepetitionCountInvalid => ("numbers out of order in {} quantifier", end),
        ErrorKind::GroupNameDuplicate { .. } => (
            "two named subpatterns have the same name (PCRE2_DUPNAMES not set)",
            end,
        ),
        ErrorKind::GroupNameUnexpectedEof => (
            "syntax error in subpattern name (missing terminator?)",
            whole,
        ),
        ErrorKind::FlagUnexpectedEof => ("missing closing parenthesis", whole),
        ErrorKind::FlagUnrecognized => ("unrecognized character after (? or (?-", start),
        _ => return None,
    })
}
