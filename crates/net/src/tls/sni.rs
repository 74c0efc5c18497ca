//! Choosing by server name.

/// Values by server name, with the precedence of Kong's certificates: the exact name, then `*.example.com`, then
/// `example.*`, then `*`.
#[derive(Debug, Clone)]
pub struct SniTable<T> {
    names: std::collections::HashMap<Box<str>, T>,
}

impl<T> Default for SniTable<T> {
    fn default() -> Self {
        Self {
            names: std::collections::HashMap::new(),
        }
    }
}

impl<T> SniTable<T> {
    /// Adds a name; a later value replaces an earlier one.
    pub fn insert(&mut self, name: &str, value: T) {
        self.names.insert(name.to_ascii_lowercase().into(), value);
    }

    /// The value for the name that a client asked for, or for a client that asked for none.
    pub fn find(&self, server_name: Option<&str>) -> Option<&T> {
        let _ = server_name;
        unimplemented!()
    }
}
