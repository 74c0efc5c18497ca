//! What plugins store: rows of the entities that they declare, such as tokens and sessions.

use std::sync::Arc;

use schema::Record;
use uuid::Uuid;

use crate::{BoxFuture, Failure};

/// Writes records of the entities that plugins declare, as the Admin API would: defaults, checks, unique values and
/// foreign keys are those of the declaration, a member `ttl` says after how many seconds the row goes, and every node
/// hears of the change.
///
/// What was written is what [`Records`](crate::Records) finds on this node once the future has resolved; other nodes
/// follow. Entities of the gateway's own, such as consumers, are refused. The work is done on the control side; a phase
/// that cannot wait hands the future to [`Background`](crate::Background).
pub trait Writer: Send + Sync {
    /// Stores a new record and gives it back with id and defaults.
    fn insert(
        &self,
        entity: &'static str,
        record: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>>;

    /// Changes the named fields of a record and gives the whole of it back.
    fn update(
        &self,
        entity: &'static str,
        id: Uuid,
        changes: Record,
    ) -> BoxFuture<Result<Arc<Record>, WriteError>>;

    /// Deletes a record and gives it back as it was last; `None` if it is not there.
    ///
    /// Invariant: of all who delete the same record, on all nodes, one gets it. What may be used once is used by whoever
    /// deleted it.
    fn delete(
        &self,
        entity: &'static str,
        id: Uuid,
    ) -> BoxFuture<Result<Option<Arc<Record>>, WriteError>>;
}

/// A record was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Another record has its id, or the value of a unique field.
    #[error("taken: {0}")]
    Taken(String),
    /// The record to change is not there.
    #[error("no such record")]
    NotFound,
    /// The record breaks its declaration, or no plugin declares the entity.
    #[error("refused: {0}")]
    Refused(String),
    /// The node has no database, and its configuration cannot be written.
    #[error("{0}")]
    ReadOnly(String),
    /// The database cannot be reached, or it failed.
    #[error("the database cannot be written: {0}")]
    Unavailable(String),
}

/// A plugin that must write and cannot ends the request with 500, as Kong's do.
impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::new(error.to_string())
    }
}
