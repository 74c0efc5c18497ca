//! What clients give along with a trace, by name, in the formats that have a header for each item.

use std::borrow::Cow;
use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};
use plugin_api::{Failure, Headers};

/// The most items that are passed on. Compat: as many headers as Kong reads.
const MOST: usize = 100;

/// What stands in a value as it is.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Items by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Baggage(BTreeMap<String, String>);

impl Baggage {
    /// The items in headers whose names begin like this; of several with a name, the first.
    pub fn extract(headers: &Headers, prefix: &str) -> Self {
        let mut items = BTreeMap::new();
        for line in headers.iter() {
            let Some((start, name)) = line.name.split_at_checked(prefix.len()) else {
                continue;
            };
            if items.len() >= MOST || name.is_empty() || !super::is_named(start, prefix) {
                continue;
            }
            let name = String::from_utf8_lossy(name).to_ascii_lowercase();
            let value: Cow<'_, str> = percent_decode(line.value).decode_utf8_lossy();
            items.entry(name).or_insert_with(|| value.into_owned());
        }
        Self(items)
    }

    /// Writes a header for each item.
    pub fn inject(&self, headers: &mut Headers, prefix: &str) -> Result<(), Failure> {
        for (name, value) in &self.0 {
            let value = utf8_percent_encode(value, ENCODED).to_string();
            headers.set(format!("{prefix}{name}").as_str(), value)?;
        }
        Ok(())
    }
}
