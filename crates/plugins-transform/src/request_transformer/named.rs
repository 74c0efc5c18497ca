//! Arguments by names: of a query, or of a form.

use plugin_api::Argument;

use super::handler::Changes;

/// What may stand in an argument as it is, besides letters and digits.
const PLAIN: &[u8] = b"-._~";

type Value = Option<Vec<u8>>;

/// Names in the order in which they came first, each with its values in their order.
pub struct Named(Vec<(Vec<u8>, Vec<Value>)>);

impl Named {
    /// Gathers arguments.
    pub fn of<'a>(arguments: impl Iterator<Item = Argument<'a>>) -> Self {
        let mut named = Self(Vec::new());
        for argument in arguments {
            let value = argument.value.map(|value| value.into_owned());
            named.entry(&argument.name).push(value);
        }
        named
    }

    fn place(&self, name: &[u8]) -> Option<usize> {
        self.0.iter().position(|(of, _)| of == name)
    }

    fn entry(&mut self, name: &[u8]) -> &mut Vec<Value> {
        let at = self.place(name).unwrap_or_else(|| {
            self.0.push((name.to_vec(), Vec::new()));
            self.0.len() - 1
        });
        &mut self.0[at].1
    }

    /// Adds the arguments of another.
    pub fn extend(&mut self, other: Self) {
        for (name, values) in other.0 {
            self.entry(&name).extend(values);
        }
    }

    /// Makes changes; tells whether anything was to be done.
    pub fn change(&mut self, changes: &Changes<'_>) -> bool {
        let mut changed = !changes.remove.is_empty() && !self.0.is_empty();
        for name in changes.remove {
            self.0.retain(|(of, _)| of != name.as_bytes());
        }
        for (old, new) in &changes.rename {
            if old.as_bytes() == &**new {
                continue;
            }
            if let Some(at) = self.place(old.as_bytes()) {
                let (_, values) = self.0.remove(at);
                *self.entry(new) = values;
                changed = true;
            }
        }
        for (name, value) in &changes.replace {
            if let Some(at) = self.place(name.as_bytes()) {
                self.0[at].1 = vec![Some(value.to_vec())];
                changed = true;
            }
        }
        for (name, value) in &changes.add {
            if self.place(name.as_bytes()).is_none() {
                self.entry(name.as_bytes()).push(Some(value.to_vec()));
                changed = true;
            }
        }
        for (name, value) in &changes.append {
            self.entry(name.as_bytes()).push(Some(value.to_vec()));
            changed = true;
        }
        changed
    }

    /// Puts the names into their order.
    pub fn sort(&mut self) {
        self.0.sort_by(|left, right| left.0.cmp(&right.0));
    }

    /// The text of a query or a form.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, values) in &self.0 {
            for value in values {
                if !out.is_empty() {
                    out.push(b'&');
                }
                encode(name, &mut out);
                if let Some(value) = value {
                    out.push(b'=');
                    encode(value, &mut out);
                }
            }
        }
        out
    }
}

fn encode(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        if byte.is_ascii_alphanumeric() || PLAIN.contains(byte) {
            out.push(*byte);
        } else {
            out.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}
