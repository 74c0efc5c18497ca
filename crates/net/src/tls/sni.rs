//! Choosing by server name.

use std::collections::HashMap;

/// Values by server name, with the precedence of Kong's certificates: the exact name, then `*.example.com`, then
/// `example.*`, then `*`.
#[derive(Debug, Clone)]
pub struct SniTable<T> {
    exact: HashMap<Box<str>, T>,
    /// Names with a wildcard for the first label, by the rest.
    leading: HashMap<Box<str>, T>,
    /// Names with a wildcard for the last label, by the rest.
    trailing: HashMap<Box<str>, T>,
    fallback: Option<T>,
}

impl<T> Default for SniTable<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            leading: HashMap::new(),
            trailing: HashMap::new(),
            fallback: None,
        }
    }
}

impl<T> SniTable<T> {
    /// Adds a name; a later value replaces an earlier one.
    pub fn insert(&mut self, name: &str, value: T) {
        let name = name.to_ascii_lowercase();
        if name == "*" {
            self.fallback = Some(value);
        } else if let Some(rest) = name.strip_prefix("*.") {
            self.leading.insert(rest.into(), value);
        } else if let Some(rest) = name.strip_suffix(".*") {
            self.trailing.insert(rest.into(), value);
        } else {
            self.exact.insert(name.into(), value);
        }
    }

    /// The value for the name that a client asked for, in lower case, or for a client that asked for none.
    pub fn find(&self, server_name: Option<&str>) -> Option<&T> {
        server_name
            .and_then(|name| self.find_name(name))
            .or(self.fallback.as_ref())
    }

    /// A wildcard stands for exactly one label, as in Kong.
    fn find_name(&self, name: &str) -> Option<&T> {
        self.exact
            .get(name)
            .or_else(|| self.leading.get(name.split_once('.')?.1))
            .or_else(|| self.trailing.get(name.rsplit_once('.')?.0))
    }
}
