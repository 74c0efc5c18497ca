//! What a store can say no to.

use schema::Record;
use serde_json::{Value, json};
use uuid::Uuid;

use schema::write_table_inline;

/// The texts of the first seven reach users of the Admin API.
///
/// Compat: they are Kong's, word for word (pinned by the conformance areas `admin/*`).
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The id is taken.
    #[error("primary key violation on key '{}'", table_of_id(&.id.to_string()))]
    PrimaryKeyViolation { id: Uuid },
    /// Another record has the value of a unique field, or of the fields that are unique together.
    #[error("UNIQUE violation detected on '{}'", write_table_inline(&Value::Object(.fields.clone())))]
    UniqueViolation { fields: Record },
    /// A foreign field points at nothing.
    #[error(
        "the foreign key '{}' does not reference an existing '{reference}' entity.",
        table_of_id(.value)
    )]
    MissingReference {
        entity: String,
        field: String,
        reference: String,
        /// The id that was not found.
        value: String,
    },
    /// A record that does not cascade still points at the one to delete.
    #[error("an existing '{referenced_by}' entity references this '{entity}' entity")]
    StillReferenced {
        entity: String,
        referenced_by: String,
    },
    /// The record to change is not there.
    #[error("no such record")]
    NotFound,
    /// The page token is not one that a store gave.
    #[error("'{offset}' is not a valid offset: {reason}")]
    InvalidOffset { offset: String, reason: String },
    /// A number that no column of the store can hold.
    #[error("{value} is out of range for the field '{field}'")]
    OutOfRange { field: String, value: Value },
    /// The store has to have a value here.
    #[error("the field '{field}' cannot be null")]
    Null { field: String },
    /// A value that is unique, or looked up by, is too long for an index of the store.
    #[error("a value is too long for an index: {0}")]
    TooLong(String),
    /// The store takes no writes; the text says which write was tried.
    #[error("{0}")]
    ReadOnly(String),
    /// Somebody changed the record after it was read.
    #[error("the record was changed at the same time")]
    Conflict,
    #[error("the database is out of reach: {0}")]
    Unavailable(String),
    /// There is no room for what has to be written.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// The database answers, but a table is not there, as when somebody has reset it.
    #[error("the database lacks a table: {0}")]
    Unprepared(String),
    #[error("the database failed: {0}")]
    Database(String),
}

impl Error {
    /// Whether the trouble is the store's own and may pass: it is out of reach, full or reset. Nothing is wrong with what
    /// it was asked.
    pub fn is_outage(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Full(_) | Self::Unprepared(_)
        )
    }

    /// For a value that the column of a field cannot hold: a number is too large, anything else has the wrong type.
    pub fn does_not_fit(entity: &str, field: &str, value: &Value) -> Self {
        if value.is_number() {
            return Self::OutOfRange {
                field: field.to_owned(),
                value: value.clone(),
            };
        }
        Self::Database(format!("{entity}.{field} cannot hold {value}"))
    }
}

fn table_of_id(id: &str) -> String {
    write_table_inline(&json!({ "id": id }))
}
