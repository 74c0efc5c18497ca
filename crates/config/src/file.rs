//! The configuration file's syntax: `name = value` lines, `#` comments, `\#` for a literal `#`.

use std::path::Path;

use crate::Error;

/// The settings of a file in the order of its lines; a later line with the same name wins.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Vec<(String, String)>, Error> {
    let mut settings = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((index, line)) = lines.next() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        let mut logical = trimmed.to_owned();
        // A line that ends in a backslash goes on in the next one.
        while let Some(shortened) = logical.strip_suffix('\\') {
            logical.truncate(shortened.len());
            match lines.next() {
                Some((_, more)) => logical.push_str(more.trim()),
                None => break,
            }
        }
        let Some((name, value)) = logical.split_once('=') else {
            return Err(Error::Syntax {
                path: path.to_owned(),
                line: index + 1,
                text: trimmed.chars().take(80).collect(),
            });
        };
        settings.push((name.trim().to_owned(), clean_value(value)));
    }
    Ok(settings)
}

/// Without a trailing comment and its escapes, and without quotes around the whole.
fn clean_value(value: &str) -> String {
    let mut clean = String::with_capacity(value.len());
    let mut characters = value.trim().chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' if characters.peek() == Some(&'#') => {
                clean.push('#');
                characters.next();
            }
            '#' => break,
            _ => clean.push(character),
        }
    }
    let clean = clean.trim();
    for quote in ['"', '\''] {
        let inner = clean
            .strip_prefix(quote)
            .and_then(|rest| rest.strip_suffix(quote));
        if let Some(inner) = inner {
            return inner.to_owned();
        }
    }
    clean.to_owned()
}

#[cfg(test)]
mod tests;
