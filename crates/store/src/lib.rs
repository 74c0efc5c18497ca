//! The store contract: one trait over (schema, record), implemented by siblings that never import each other.
//!
//! A store knows tables, keys, uniqueness, foreign keys and atomic commits; it never validates a record and never
//! fills in a default. [`repository`] puts the two together: prepare and validate by the schema, then commit.
//! [`contract`] is the suite that every store passes.

use async_trait::async_trait;
use schema::{Record, Schema};
use uuid::Uuid;

/// The number of a committed change; it only grows. Zero is the empty store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version(pub u64);

/// How a record is named.
#[derive(Debug, Clone)]
pub enum Key<'a> {
    Id(Uuid),
    /// A field that the schema declares unique, and its value.
    Unique(&'a str, &'a str),
}

/// One page of a collection, ordered by id.
#[derive(Debug, Clone, Default)]
pub struct PageRequest<'a> {
    /// 1 to 1000.
    pub size: usize,
    /// The opaque token of the page before.
    pub offset: Option<String>,
    /// Only records whose foreign field points at this id.
    pub foreign: Option<(&'a str, Uuid)>,
    /// Only records with all, or with any, of these tags.
    pub tags: Option<TagFilter>,
}

#[derive(Debug, Clone)]
pub enum TagFilter {
    All(Vec<String>),
    Any(Vec<String>),
}

#[derive(Debug, Clone, Default)]
pub struct Page {
    pub records: Vec<Record>,
    pub offset: Option<String>,
}

/// One row of the `/tags` view.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagRow {
    pub entity_name: String,
    pub entity_id: Uuid,
    pub tag: String,
}

/// One write; a commit applies all of its mutations or none.
#[derive(Clone)]
pub enum Mutation<'a> {
    /// Fails if the id or a unique value is taken, or a foreign record is missing.
    Insert(&'a Schema, Record),
    /// Replaces an existing record; fails with `NotFound` if the id is gone.
    Update(&'a Schema, Record),
    /// Inserts or replaces by id.
    Upsert(&'a Schema, Record),
    /// Deletes a record and whatever its declaration cascades to; fails if a record that does not cascade points at it.
    /// Deleting what is not there succeeds.
    Delete(&'a Schema, Uuid),
    /// Removes every record of the entity (imports start so).
    Truncate(&'a Schema),
}

/// What happened to one record, in commit order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub version: Version,
    /// The schema's name.
    pub entity: String,
    pub id: Uuid,
    pub operation: EventKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Create,
    Update,
    Delete,
}

/// What a reader of the change feed gets.
#[derive(Debug, Clone)]
pub enum Changes {
    /// Everything after the version asked for, up to `until`.
    Events { until: Version, events: Vec<Event> },
    /// The log no longer reaches back that far: reload everything, then go on from `from`.
    Reload { from: Version },
}

#[async_trait]
pub trait Store: Send + Sync {
    /// `sqlite`, `postgres`, `cassandra` or `off`.
    fn kind(&self) -> &'static str;

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error>;

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error>;

    /// Applies all or nothing; once it returns, a crash loses none of it.
    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error>;

    /// Pages through all tags, or the entities that carry one.
    async fn tags(&self, tag: Option<&str>, request: &PageRequest<'_>) -> Result<(Vec<TagRow>, Option<String>), Error>;

    /// The newest committed version.
    async fn version(&self) -> Result<Version, Error>;

    /// Events after `since`.
    async fn changes(&self, since: Version) -> Result<Changes, Error>;

    /// Resolves when something newer than `since` may have been committed (by anyone); may resolve early.
    async fn changed(&self, since: Version);

    /// Whether the database answers, for `/status`.
    async fn ping(&self) -> Result<(), Error>;
}

/// What a store can say no to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a unique value is taken: {fields:?}")]
    UniqueViolation { fields: Record },
    #[error("the {field} {value} does not exist in {reference}")]
    MissingReference { entity: String, field: String, reference: String, value: String },
    #[error("an existing '{referenced_by}' entity references this '{entity}' entity")]
    StillReferenced { entity: String, referenced_by: String },
    #[error("no such record")]
    NotFound,
    #[error("{0} is not a page offset")]
    InvalidOffset(String),
    #[error("the store takes no writes: {0}")]
    ReadOnly(String),
    #[error("the database is out of reach: {0}")]
    Unavailable(String),
    #[error("the database failed: {0}")]
    Database(String),
}
