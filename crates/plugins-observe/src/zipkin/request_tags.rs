//! Tags that a client gives in a header: `name=value; other=value`.
//!
//! A client cannot speak for the gateway: tags that begin with `kong.` are passed over.

use plugin_api::Headers;

/// The pairs in all lines of a header, blanks around names and values taken away; what is no pair is passed over.
pub fn parse<'a>(headers: &'a Headers, name: &'a str) -> impl Iterator<Item = (String, String)> {
    let lines = headers.get_all(name).map(String::from_utf8_lossy);
    lines.flat_map(|line| {
        let pairs = line.split(';').filter_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            let (name, value) = (name.trim(), value.trim());
            let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
            let is_taken = is_name && !name.starts_with("kong.");
            is_taken.then(|| (name.to_owned(), value.to_owned()))
        });
        pairs.collect::<Vec<_>>()
    })
}
