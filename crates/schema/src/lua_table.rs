//! Values written as Lua tables.
//!
//! Kong's messages print keys and nested errors so, and tools that show or parse these messages see the same text here.

use serde_json::Value;

const KEYWORDS: [&str; 22] = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in",
    "local", "nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
];

/// A value over several lines, two spaces a level, keys in order: `{\n  port = "expected an integer"\n}`.
pub fn write_table(value: &Value) -> String {
    let mut out = String::new();
    write(value, Some(0), &mut out);
    out
}

/// A value on one line without spaces, keys in order: `{name="x"}`.
pub fn write_table_inline(value: &Value) -> String {
    let mut out = String::new();
    write(value, None, &mut out);
    out
}

/// One list or record: `(key, value)` pairs, the key absent where it is the next index.
fn write(value: &Value, level: Option<usize>, out: &mut String) {
    let entries: Vec<(Option<String>, &Value)> = match value {
        Value::Array(list) => {
            let leading = list.iter().take_while(|element| !element.is_null()).count();
            list.iter()
                .enumerate()
                .filter(|(_, element)| !element.is_null())
                .map(|(at, element)| ((at >= leading).then(|| format!("[{}]", at + 1)), element))
                .collect()
        }
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().collect();
            keys.sort_by_key(|(name, _)| name.as_str());
            keys.into_iter()
                .map(|(name, element)| (Some(key(name)), element))
                .collect()
        }
        Value::String(text) => {
            quote(text, out);
            return;
        }
        Value::Null => {
            out.push_str("null");
            return;
        }
        scalar => {
            out.push_str(&scalar.to_string());
            return;
        }
    };
    if entries.is_empty() {
        out.push_str("{}");
        return;
    }
    let inner = level.map(|level| level + 1);
    out.push('{');
    for (at, (name, element)) in entries.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        new_line(inner, out);
        if let Some(name) = name {
            out.push_str(name);
            out.push_str(if level.is_some() { " = " } else { "=" });
        }
        write(element, inner, out);
    }
    new_line(level, out);
    out.push('}');
}

fn new_line(level: Option<usize>, out: &mut String) {
    if let Some(level) = level {
        out.push('\n');
        for _ in 0..level {
            out.push_str("  ");
        }
    }
}

fn key(name: &str) -> String {
    let mut letters = name.bytes();
    let starts_well = letters
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic() || letter == b'_');
    if starts_well
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == b'_')
        && !KEYWORDS.contains(&name)
    {
        return name.to_owned();
    }
    let mut out = String::from("[");
    quote(name, &mut out);
    out.push(']');
    out
}

fn quote(text: &str, out: &mut String) {
    if text.contains('\n') {
        long_bracket(text, out);
        return;
    }
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// Text of several lines as `[[…]]`, with as many `=` as it takes.
fn long_bracket(text: &str, out: &mut String) {
    let mut equals = String::new();
    while text.contains(&format!("]{equals}]")) {
        equals.push('=');
    }
    out.push_str(&format!("[{equals}[\n{text}]{equals}]"));
}
