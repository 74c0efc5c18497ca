//! Who makes a request.

use std::sync::{Arc, OnceLock};

use schema::Record;
use uuid::Uuid;

use crate::log_entry::LoggedRecord;

/// A consumer, as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Consumer {
    pub id: Uuid,
    pub username: Option<Box<str>>,
    pub custom_id: Option<Box<str>>,
    /// The whole record, for logs.
    pub record: Arc<Record>,
    /// See [`Consumer::logged`].
    logged: OnceLock<Box<[u8]>>,
}

impl Consumer {
    /// Reads a record; `None` if it has no id.
    pub fn read(record: Arc<Record>) -> Option<Self> {
        let text = |field: &str| {
            let value = record.get(field)?.as_str()?;
            Some(Box::from(value))
        };
        Some(Self {
            id: record.get("id")?.as_str()?.parse().ok()?,
            username: text("username"),
            custom_id: text("custom_id"),
            record: Arc::clone(&record),
            logged: OnceLock::new(),
        })
    }

    /// The record as log entries show it, as JSON. Perf: written once, however often the consumer comes.
    pub fn logged(&self) -> &[u8] {
        let write = || {
            // A record is JSON, so that writing it cannot fail.
            let json = serde_json::to_vec(&LoggedRecord::of(&self.record));
            json.unwrap_or_else(|_| b"{}".to_vec()).into()
        };
        self.logged.get_or_init(write)
    }
}

/// What a client proved to have.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// The id of the record, or what stands for it where credentials have no record.
    pub id: Box<str>,
    /// What `X-Credential-Identifier` says, such as a user name.
    pub identifier: Option<Box<str>>,
    /// The whole record, if there is one; it holds secrets.
    pub record: Option<Arc<Record>>,
}
