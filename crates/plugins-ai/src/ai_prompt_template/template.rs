//! A text with `{{placeholders}}`.

use std::collections::HashMap;

use serde_json::Value;

/// A template, taken apart: a text, then placeholders with the text that follows each.
pub(super) struct Template {
    start: String,
    rest: Vec<(String, String)>,
}

impl Template {
    /// A placeholder is a name of letters, digits and underscores between double braces; any other braces are text.
    pub(super) fn parse(text: &str) -> Self {
        let mut template = Self {
            start: String::new(),
            rest: Vec::new(),
        };
        let mut left = text;
        while let Some((before, name, after)) = next_placeholder(left) {
            template.text().push_str(before);
            template.rest.push((name.to_owned(), String::new()));
            left = after;
        }
        template.text().push_str(left);
        template
    }

    /// The text that the template ends with so far.
    fn text(&mut self) -> &mut String {
        match self.rest.last_mut() {
            Some((_, text)) => text,
            None => &mut self.start,
        }
    }

    /// Puts values in the places of their names, each as it stands between the quotes of a JSON string: no value can
    /// end the string that it stands in.
    pub(super) fn render(&self, values: &HashMap<&str, &str>) -> Result<String, String> {
        let mut missing: Vec<&str> = Vec::new();
        let mut rendered = self.start.clone();
        for (name, text) in &self.rest {
            match values.get(name.as_str()) {
                Some(value) => rendered.push_str(&quoted(value)),
                None if missing.contains(&name.as_str()) => {}
                None => missing.push(name),
            }
            rendered.push_str(text);
        }
        if missing.is_empty() {
            return Ok(rendered);
        }
        let names: Vec<String> = missing.iter().map(|name| format!("[{name}]")).collect();
        Err(format!("missing template parameters: {}", names.join(", ")))
    }
}

/// A text as JSON writes it, without the quotes.
fn quoted(text: &str) -> String {
    let written = Value::from(text).to_string();
    written[1..written.len() - 1].to_owned()
}

/// What is before the first placeholder, its name, and what is behind it.
fn next_placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find("{{") {
        let start = from + at;
        let inner = &text[start + 2..];
        let end = inner
            .find(|character: char| !character.is_ascii_alphanumeric() && character != '_')
            .unwrap_or(inner.len());
        if let Some(after) = inner[end..].strip_prefix("}}")
            && end > 0
        {
            return Some((&text[..start], &inner[..end], after));
        }
        // The second brace may begin a placeholder.
        from = start + 1;
    }
    None
}
