//! Entities as the Admin API and imports see them: resolve references, prepare and validate by the schema, commit.

use std::sync::Arc;

use schema::{Context, Draft, NoSubschemas, Operation, Record, Schema, Subschemas, Violations};
use serde_json::{Value, json};
use stdx::Clock;
use uuid::Uuid;

use crate::catalog::{Catalog, canonicalize_ids};
use crate::{DEFAULT_WORKSPACE, Key, Mutation, Page, PageRequest, Store, TagRow, Version};

/// How often a write is tried again when somebody changed the same record meanwhile.
const MAX_ATTEMPTS: usize = 32;

/// What can keep a record from being written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The record breaks its declaration.
    #[error("{0}")]
    Schema(Violations),
    /// A reference by name points at nothing; `fields` is the tree of an answer.
    #[error("{message}")]
    Unresolved { message: String, fields: Record },
    #[error(transparent)]
    Store(crate::Error),
}

impl From<crate::Error> for Error {
    fn from(error: crate::Error) -> Self {
        match error {
            // Declarations leave to the store how large a number may be.
            crate::Error::OutOfRange { field, .. } => {
                Self::Schema(Violations::of(&field, "value is out of range"))
            }
            crate::Error::Null { field } => {
                Self::Schema(Violations::of(&field, "value must not be null"))
            }
            // As well as how long a text may be that it finds records by.
            crate::Error::TooLong(_) => Self::Schema(Violations::of_entity(
                "a value is too long for the database",
            )),
            error => Self::Store(error),
        }
    }
}

/// Validated access to a store.
#[derive(Clone)]
pub struct Repository {
    store: Arc<dyn Store>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
    subschemas: Arc<dyn Subschemas>,
}

impl Repository {
    /// A repository over `store`, which keeps the entities of `catalog`.
    pub fn new(
        store: Arc<dyn Store>,
        catalog: Catalog,
        clock: Arc<dyn Clock>,
        subschemas: Arc<dyn Subschemas>,
    ) -> Self {
        Self {
            store,
            catalog,
            clock,
            subschemas,
        }
    }

    /// The store underneath.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The entities and their relations.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The record that `key` names, or `None`.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn get(&self, schema: &Schema, key: &Key<'_>) -> Result<Option<Record>, Error> {
        Ok(self.store.get(schema, *key).await?)
    }

    /// One page of an entity.
    ///
    /// # Errors
    /// `InvalidOffset` and those of the store.
    pub async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        Ok(self.store.page(schema, request).await?)
    }

    /// One page of the tags of all entities, or of the entities that carry `tag`.
    ///
    /// # Errors
    /// `InvalidOffset` and those of the store.
    pub async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        Ok(self.store.tags(tag, request).await?)
    }

    /// The newest committed version.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn version(&self) -> Result<Version, Error> {
        Ok(self.store.version().await?)
    }

    /// Validates a new record and stores it.
    ///
    /// # Errors
    /// `Schema`, `Unresolved`, and from the store a taken id or unique value or a missing reference.
    pub async fn insert(&self, schema: &Schema, input: Record) -> Result<(Record, Version), Error> {
        let (record, mutation) = self.plan_insert(schema, input).await?;
        let version = self.commit(&[mutation]).await?;
        Ok((record, version))
    }

    /// Merges changes into a stored record, validates the result and stores it.
    ///
    /// # Errors
    /// `Store(NotFound)` if there is no such record, else as [`Self::insert`].
    pub async fn update(
        &self,
        schema: &Schema,
        key: &Key<'_>,
        input: Record,
    ) -> Result<(Record, Version), Error> {
        for _ in 1..MAX_ATTEMPTS {
            let (record, mutation) = self.plan_update(schema, key, input.clone()).await?;
            match self.commit(&[mutation]).await {
                Ok(version) => return Ok((record, version)),
                Err(Error::Store(crate::Error::Conflict)) => {}
                Err(error) => return Err(error),
            }
        }
        let (record, mutation) = self.plan_update(schema, key, input).await?;
        Ok((record, self.commit(&[mutation]).await?))
    }

    /// Makes the record that `key` names be `input`, whether it was there or not.
    ///
    /// The key wins over what the input says about id and key field; a record that was there keeps its id.
    ///
    /// # Errors
    /// As [`Self::insert`].
    pub async fn upsert(
        &self,
        schema: &Schema,
        key: &Key<'_>,
        input: Record,
    ) -> Result<(Record, Version), Error> {
        let (record, mutation) = self.plan_upsert(schema, key, input.clone()).await?;
        match self.commit(&[mutation]).await {
            Ok(version) => Ok((record, version)),
            // Somebody may have made the record since it was looked for; then its id is the one to keep.
            Err(Error::Store(crate::Error::UniqueViolation { .. })) => {
                let (record, mutation) = self.plan_upsert(schema, key, input).await?;
                Ok((record, self.commit(&[mutation]).await?))
            }
            Err(error) => Err(error),
        }
    }

    /// Deletes the record that `key` names and what cascades from it; succeeds if it is not there.
    ///
    /// # Errors
    /// `StillReferenced` and the store's other errors.
    pub async fn delete(&self, schema: &Schema, key: &Key<'_>) -> Result<Version, Error> {
        match self.plan_delete(schema, key).await? {
            Some((_, mutation)) => self.commit(&[mutation]).await,
            None => self.version().await,
        }
    }

    /// [`Self::insert`] up to the commit.
    ///
    /// # Errors
    /// `Schema`, `Unresolved` and the store's.
    pub async fn plan_insert<'s>(
        &self,
        schema: &'s Schema,
        input: Record,
    ) -> Result<(Record, Mutation<'s>), Error> {
        let record = self.prepare(schema, Operation::Insert, input, None).await?;
        Ok((record.clone(), Mutation::Insert(schema, record)))
    }

    /// [`Self::update`] up to the commit, which fails with `Conflict` if the record was changed after this call.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn plan_update<'s>(
        &self,
        schema: &'s Schema,
        key: &Key<'_>,
        mut input: Record,
    ) -> Result<(Record, Mutation<'s>), Error> {
        let stored = self.store.get(schema, *key).await?;
        let stored = stored.ok_or(crate::Error::NotFound)?;
        // Compat: an update cannot change the id and says nothing about it (conformance area admin/services).
        input.remove(schema.primary_key);
        let operation = Operation::Update;
        let record = self
            .prepare(schema, operation, input, Some(&stored))
            .await?;
        let mutation = Mutation::Replace {
            schema,
            stored,
            record: record.clone(),
        };
        Ok((record, mutation))
    }

    /// [`Self::upsert`] up to the commit.
    ///
    /// # Errors
    /// As [`Self::upsert`].
    pub async fn plan_upsert<'s>(
        &self,
        schema: &'s Schema,
        key: &Key<'_>,
        mut input: Record,
    ) -> Result<(Record, Mutation<'s>), Error> {
        let stored = self.store.get(schema, *key).await?;
        let mut set = |field: &str, value: Value| input.insert(field.to_owned(), value);
        match key {
            Key::Id(id) => {
                set("id", id.to_string().into());
            }
            Key::Unique(field, value) => {
                set(field, (*value).into());
            }
            Key::Within { foreign, field } => {
                set(foreign.0, json!({ "id": foreign.1.to_string() }));
                set(field.0, field.1.into());
            }
        }
        if let Some(id) = stored.as_ref().and_then(|stored| stored.get("id")) {
            set("id", id.clone());
        }
        let operation = Operation::Upsert;
        let record = self
            .prepare(schema, operation, input, stored.as_ref())
            .await?;
        Ok((record.clone(), Mutation::Upsert(schema, record)))
    }

    /// [`Self::delete`] up to the commit: the record that would go, or `None` if it is not there.
    ///
    /// # Errors
    /// Only those of the store.
    pub async fn plan_delete<'s>(
        &self,
        schema: &'s Schema,
        key: &Key<'_>,
    ) -> Result<Option<(Record, Mutation<'s>)>, Error> {
        let stored = self.store.get(schema, *key).await?;
        Ok(stored.and_then(|record| {
            let id = Uuid::parse_str(record.get("id")?.as_str()?).ok()?;
            Some((record, Mutation::Delete(schema, id)))
        }))
    }

    /// Applies all of the mutations or none.
    ///
    /// # Errors
    /// The store's error for the first mutation that cannot be applied.
    pub async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        Ok(self.store.commit(mutations).await?)
    }

    /// Shorthands and defaults, references by name, then checks; the warnings of the declaration go to the log.
    async fn prepare(
        &self,
        schema: &Schema,
        operation: Operation,
        input: Record,
        stored: Option<&Record>,
    ) -> Result<Record, Error> {
        let mut draft = self.begin(schema, operation, input, stored)?;
        self.resolve(schema, &mut draft.record).await?;
        self.finish(schema, draft)
    }

    fn begin(
        &self,
        schema: &Schema,
        operation: Operation,
        input: Record,
        stored: Option<&Record>,
    ) -> Result<Draft, Error> {
        let mut new_id = Uuid::new_v4;
        let mut context = self.context(&mut new_id);
        let draft = schema
            .begin(operation, input, stored, &mut context)
            .map_err(Error::Schema)?;
        log_warnings(schema, &context);
        Ok(draft)
    }

    fn finish(&self, schema: &Schema, draft: Draft) -> Result<Record, Error> {
        let mut new_id = Uuid::new_v4;
        let mut context = self.context(&mut new_id);
        let mut record = schema.finish(draft, &mut context).map_err(Error::Schema)?;
        log_warnings(schema, &context);
        canonicalize_ids(schema, &mut record);
        Ok(record)
    }

    fn context<'c>(&'c self, new_id: &'c mut dyn FnMut() -> Uuid) -> Context<'c> {
        Context::new(self.clock.as_ref(), new_id, self.subschemas.as_ref())
    }

    /// Replaces references by name (`{"name": "x"}`) by references by id.
    async fn resolve(&self, schema: &Schema, input: &mut Record) -> Result<(), Error> {
        let mut unresolved = Record::new();
        for (field, foreign) in schema.foreign_fields() {
            let (Some(Value::Object(value)), Some(parent)) =
                (input.get(field), self.catalog.get(foreign.reference))
            else {
                continue;
            };
            if has_id(value) {
                continue;
            }
            match self.find_by_names(parent, value).await? {
                Found::Id(id) => {
                    input.insert(field.to_owned(), json!({ "id": id }));
                }
                Found::Nothing(errors) => {
                    unresolved.insert(field.to_owned(), Value::Object(errors));
                }
                // Validation says that the id is missing.
                Found::NoName => {}
            }
        }
        if unresolved.is_empty() {
            return Ok(());
        }
        Err(Error::Unresolved {
            message: unresolved_message(&unresolved),
            fields: unresolved,
        })
    }

    /// Looks a parent up by its unique fields, in declared order.
    async fn find_by_names(&self, parent: &Schema, names: &Record) -> Result<Found, Error> {
        let mut errors = Record::new();
        let is_name = |name: &str, unique: bool| unique || parent.endpoint_key == Some(name);
        for (name, field) in parent.fields() {
            let Some(value) = names.get(name).and_then(Value::as_str) else {
                continue;
            };
            if name == parent.primary_key || value.is_empty() || !is_name(name, field.is_unique()) {
                continue;
            }
            let found = self.store.get(parent, Key::Unique(name, value)).await?;
            if let Some(Value::String(id)) = found.as_ref().and_then(|found| found.get("id")) {
                return Ok(Found::Id(id.clone()));
            }
            let tried = schema::write_table_inline(&json!({ name: value }));
            let message = format!(
                "the foreign key cannot be resolved with '{tried}' for an existing '{}' entity",
                parent.name
            );
            errors.insert(name.to_owned(), message.into());
        }
        Ok(match errors.is_empty() {
            true => Found::NoName,
            false => Found::Nothing(errors),
        })
    }
}

fn log_warnings(schema: &Schema, context: &Context<'_>) {
    for warning in &context.warnings {
        tracing::warn!(entity = schema.name, "{warning}");
    }
}

/// What came of looking a parent up by name.
enum Found {
    Id(String),
    /// What was tried, with a message for each.
    Nothing(Record),
    NoName,
}

fn has_id(reference: &Record) -> bool {
    let id = reference.get("id").and_then(Value::as_str);
    id.is_some_and(|id| Uuid::try_parse(id).is_ok())
}

fn unresolved_message(fields: &Record) -> String {
    let mut lines = Vec::new();
    for (field, errors) in fields {
        for (name, message) in errors.as_object().into_iter().flatten() {
            lines.push(format!(
                "{field}.{name}: {}",
                message.as_str().unwrap_or_default()
            ));
        }
    }
    match lines.as_slice() {
        [line] => format!("foreign key unresolved ({line})"),
        lines => format!(
            "{} foreign keys unresolved ({})",
            lines.len(),
            lines.join("; ")
        ),
    }
}

/// The record of the workspace that everything belongs to.
///
/// # Errors
/// `Database` if the declaration of workspaces refuses it.
pub fn default_workspace(schema: &Schema, now_seconds: i64) -> Result<Record, crate::Error> {
    let mut input = Record::new();
    input.insert("id".to_owned(), DEFAULT_WORKSPACE.to_string().into());
    input.insert("name".to_owned(), "default".into());
    let mut new_id = Uuid::new_v4;
    let millis = now_seconds.saturating_mul(1000);
    let mut context = Context::at(millis, &mut new_id, &NoSubschemas);
    schema
        .prepare(Operation::Insert, input, None, &mut context)
        .map_err(|violations| crate::Error::Database(violations.message()))
}
