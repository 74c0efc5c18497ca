//! Writes YAML that every YAML reader reads alike, also Kong's, for which `no` and `on` are booleans.
//!
//! A text is plain only if nobody can take it for anything else; all others are in double quotes with the escapes of
//! JSON, which are valid YAML. Texts of several lines, such as certificates, are literal blocks where that is exact.

use schema::Record;
use serde_json::Value;

/// Words that some reader takes for a boolean, a null or a number.
const WORDS: [&str; 13] = [
    "y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf", "infinity", "nil",
];

/// The name of a list.
pub(crate) fn write_name(out: &mut String, name: &str) {
    write_text(out, name);
    out.push_str(":\n");
}

/// Records as items of a list, below its name.
pub(crate) fn write_items(out: &mut String, records: &[Record]) {
    for record in records {
        out.push_str("- ");
        write_fields(out, record, 1, true);
    }
}

/// Fields one a line, the first without indentation if something stands before it.
fn write_fields(out: &mut String, fields: &Record, depth: usize, mut inline: bool) {
    for (name, value) in fields {
        if !inline {
            indent(out, depth);
        }
        inline = false;
        write_text(out, name);
        out.push(':');
        write_value(out, value, depth);
    }
}

/// A value after the colon of its field or the dash of its list.
fn write_value(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            out.push('\n');
            write_fields(out, fields, depth + 1, false);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            for item in items {
                indent(out, depth);
                out.push('-');
                match item {
                    Value::Object(fields) if !fields.is_empty() => {
                        out.push(' ');
                        write_fields(out, fields, depth + 1, true);
                    }
                    item => write_value(out, item, depth + 1),
                }
            }
        }
        Value::String(text) => {
            out.push(' ');
            match is_block(text) {
                true => write_block(out, text, depth + 1),
                false => {
                    write_text(out, text);
                    out.push('\n');
                }
            }
        }
        Value::Null => out.push_str(" ~\n"),
        // Numbers, booleans and empty collections are written as in JSON.
        value => {
            out.push(' ');
            out.push_str(&value.to_string());
            out.push('\n');
        }
    }
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn write_text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        write_quoted(out, text);
    }
}

/// Compat: YAML takes some letters for line breaks that JSON leaves alone, and readers refuse others unless they are
/// escaped (YAML 1.2, section 5.1).
fn write_quoted(out: &mut String, text: &str) {
    for letter in Value::from(text).to_string().chars() {
        match letter {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => out.push(letter),
        }
    }
}

fn is_plain(text: &str) -> bool {
    let mut letters = text.bytes();
    let starts_well = letters
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_' || byte == b'/');
    let goes_well = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    starts_well
        && letters.all(goes_well)
        && !WORDS.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Whether a literal block gives back exactly the text.
fn is_block(text: &str) -> bool {
    let fine = |letter: char| letter == '\n' || matches!(letter, ' '..='~');
    let Some(body) = text.strip_suffix('\n').or(Some(text)) else {
        return false;
    };
    body.contains('\n')
        && text.chars().all(fine)
        && !text.starts_with([' ', '\n'])
        && !body.ends_with('\n')
        && !body.is_empty()
}

fn write_block(out: &mut String, text: &str, depth: usize) {
    out.push_str(if text.ends_with('\n') { "|\n" } else { "|-\n" });
    for line in text.lines() {
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests;
