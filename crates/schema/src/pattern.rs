//! Lua patterns, matched in linear time.
//!
//! Declarations name patterns as Kong shows them. Each is translated to a regular expression once, so that
//! no value, however long or hostile, can make matching slow. Back-references (`%1`), balanced pairs (`%b`) and
//! frontiers (`%f`) have no translation, and no declaration uses them.

use regex::bytes::Regex;

/// A Lua pattern that a declaration names.
#[derive(Debug, Clone)]
pub struct Pattern {
    lua: &'static str,
    /// Invariant: present for each declared pattern; `every_declared_pattern_translates` in `entities` guards it.
    regex: Option<Regex>,
}

impl Pattern {
    /// Translates a pattern; one without a translation matches nothing.
    pub fn new(lua: &'static str) -> Self {
        let regex = translate(lua).and_then(|text| Regex::new(&text).ok());
        Self { lua, regex }
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &'static str {
        self.lua
    }

    /// Whether the pattern could be translated.
    pub fn is_valid(&self) -> bool {
        self.regex.is_some()
    }

    /// Whether the text has a match anywhere (a leading `^` binds it to the start).
    pub fn is_match(&self, text: &str) -> bool {
        self.regex
            .as_ref()
            .is_some_and(|regex| regex.is_match(text.as_bytes()))
    }
}

fn translate(lua: &str) -> Option<String> {
    let bytes = lua.as_bytes();
    let mut regex = String::from("(?s-u)");
    let mut at = 0;
    if bytes.first() == Some(&b'^') {
        regex.push_str(r"\A");
        at = 1;
    }
    while at < bytes.len() {
        match bytes[at] {
            b'$' if at + 1 == bytes.len() => {
                regex.push_str(r"\z");
                break;
            }
            b'(' | b')' => {
                regex.push(char::from(bytes[at]));
                at += 1;
                continue;
            }
            _ => {}
        }
        let (item, next) = single(bytes, at)?;
        regex.push_str(&item);
        at = next;
        match bytes.get(at) {
            Some(b'*') => regex.push('*'),
            Some(b'+') => regex.push('+'),
            Some(b'?') => regex.push('?'),
            Some(b'-') => regex.push_str("*?"),
            _ => continue,
        }
        at += 1;
    }
    Some(regex)
}

/// One single-character item of a pattern as a regular expression, and where the next begins.
fn single(bytes: &[u8], at: usize) -> Option<(String, usize)> {
    match bytes[at] {
        b'.' => Some((".".to_owned(), at + 1)),
        b'%' => {
            let escaped = *bytes.get(at + 1)?;
            Some((format!("[{}]", class(escaped)?), at + 2))
        }
        b'[' => set(bytes, at),
        byte => Some((literal(byte), at + 1)),
    }
}

fn set(bytes: &[u8], start: usize) -> Option<(String, usize)> {
    let mut regex = String::from("[");
    let mut at = start + 1;
    if bytes.get(at) == Some(&b'^') {
        regex.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let byte = *bytes.get(at)?;
        if byte == b']' && at > first {
            regex.push(']');
            return Some((regex, at + 1));
        }
        if byte == b'%' {
            regex.push_str(&class(*bytes.get(at + 1)?)?);
            at += 2;
        } else if bytes.get(at + 1) == Some(&b'-')
            && bytes.get(at + 2).is_some_and(|end| *end != b']')
        {
            regex.push_str(&format!("{}-{}", literal(byte), literal(bytes[at + 2])));
            at += 3;
        } else {
            regex.push_str(&literal(byte));
            at += 1;
        }
    }
}

/// A `%x` class as the inside of a bracket expression.
fn class(letter: u8) -> Option<String> {
    let name = match letter.to_ascii_lowercase() {
        b'a' => "alpha",
        b'c' => "cntrl",
        b'd' => "digit",
        b'l' => "lower",
        b'p' => "punct",
        b's' => "space",
        b'u' => "upper",
        b'w' => "alnum",
        b'x' => "xdigit",
        _ if letter.is_ascii_alphanumeric() => return None,
        _ => return Some(literal(letter)),
    };
    let negation = if letter.is_ascii_uppercase() { "^" } else { "" };
    Some(format!("[:{negation}{name}:]"))
}

fn literal(byte: u8) -> String {
    format!(r"\x{byte:02x}")
}
