//! References to secrets that are kept elsewhere: `{vault://env/NAME}`.

use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::Error;
use crate::read::Reader;

/// A configured vault: a prefix that references use, and what is behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Vault {
    pub id: Uuid,
    pub prefix: Box<str>,
    /// The kind of vault, such as `env`.
    pub name: Box<str>,
    pub config: Value,
}

impl Vault {
    pub(crate) fn read(record: &Record) -> Result<Self, Error> {
        let fields = Reader(record);
        Ok(Self {
            id: fields.id()?,
            prefix: fields.text("prefix")?.into(),
            name: fields.text("name")?.into(),
            config: record.get("config").cloned().unwrap_or_default(),
        })
    }
}

/// Finds what a reference stands for.
pub trait References: Send + Sync + std::fmt::Debug {
    /// The secret behind `reference`, such as `{vault://env/cert}`. `vault` finds a configured vault by its prefix.
    fn resolve<'a>(
        &self,
        reference: &str,
        vault: &dyn Fn(&str) -> Option<&'a Vault>,
    ) -> Option<String>;
}

/// Knows no vault: every reference stays without a value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unresolved;

impl References for Unresolved {
    fn resolve<'a>(&self, _: &str, _: &dyn Fn(&str) -> Option<&'a Vault>) -> Option<String> {
        None
    }
}

/// Whether a field's text stands for a secret kept elsewhere.
pub(crate) fn is_reference(text: &str) -> bool {
    text.starts_with("{vault://") && text.ends_with('}')
}
