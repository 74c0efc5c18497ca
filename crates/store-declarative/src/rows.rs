//! The records of one entity.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schema::{Record, Schema};
use serde_json::Value;
use store::catalog::{self, UniqueKey};
use store::{Error, Key, Packed};
use uuid::Uuid;

/// Fields whose change alone is no change of the configuration.
const TIMES: [&str; 2] = ["created_at", "updated_at"];

/// All records of an entity and the ways to find them.
pub(crate) struct Rows {
    /// Records without what the key says.
    by_id: BTreeMap<Uuid, Packed>,
    /// The second in which a record expires, of the few that do.
    expiries: HashMap<Uuid, i64>,
    unique: Vec<(UniqueKey, HashMap<Box<str>, Uuid>)>,
    /// By foreign field: parent and record.
    by_parent: HashMap<&'static str, BTreeSet<(Uuid, Uuid)>>,
}

impl Rows {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            by_id: BTreeMap::new(),
            expiries: HashMap::new(),
            unique: catalog::unique_keys(schema)
                .into_iter()
                .map(|key| (key, HashMap::new()))
                .collect(),
            by_parent: schema
                .foreign_fields()
                .map(|(field, _)| (field, BTreeSet::new()))
                .collect(),
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &Uuid> {
        self.by_id.keys()
    }

    pub(crate) fn contains(&self, id: &Uuid) -> bool {
        self.by_id.contains_key(id)
    }

    /// The record, unless there is none or it has expired.
    pub(crate) fn read(
        &self,
        id: &Uuid,
        schema: &Schema,
        now: i64,
    ) -> Result<Option<Record>, Error> {
        let expires = self.expiries.get(id).copied();
        if expires.is_some_and(|second| second <= now) {
            return Ok(None);
        }
        let Some(packed) = self.by_id.get(id) else {
            return Ok(None);
        };
        let mut record = packed.unpack(schema)?;
        record.insert("id".to_owned(), id.to_string().into());
        if let Some(second) = expires {
            record.insert("ttl".to_owned(), second.saturating_sub(now).into());
        }
        Ok(Some(record))
    }

    /// Whether the record of the id says something else than in `other`, apart from when it was written.
    pub(crate) fn differs(&self, other: &Self, id: &Uuid, schema: &Schema) -> bool {
        let (own, others) = (self.by_id.get(id), other.by_id.get(id));
        if own == others {
            return self.expiries.get(id) != other.expiries.get(id);
        }
        let timeless = |packed: &Packed| {
            let mut record = packed.unpack(schema).unwrap_or_default();
            for field in TIMES {
                record.remove(field);
            }
            record
        };
        own.map(timeless) != others.map(timeless)
    }

    /// Records after an id, in order.
    pub(crate) fn after(&self, id: Option<Uuid>) -> impl Iterator<Item = Uuid> + '_ {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = id.map_or(Unbounded, Excluded);
        self.by_id.range((start, Unbounded)).map(|(id, _)| *id)
    }

    /// Records of a parent after an id, in order.
    pub(crate) fn of_parent(
        &self,
        field: &str,
        parent: Uuid,
        after: Option<Uuid>,
    ) -> impl Iterator<Item = Uuid> + '_ {
        use std::ops::Bound::{Excluded, Included};
        let start = after.map_or(Included((parent, Uuid::nil())), |id| Excluded((parent, id)));
        self.by_parent
            .get(field)
            .into_iter()
            .flat_map(move |ids| ids.range((start, Included((parent, Uuid::max())))))
            .map(|(_, id)| *id)
    }

    /// The ids of all parents that a field points at.
    pub(crate) fn parents(&self, field: &str) -> impl Iterator<Item = Uuid> + '_ {
        let pairs = self.by_parent.get(field).into_iter().flatten();
        pairs.map(|(parent, _)| *parent)
    }

    /// Adds a record.
    pub(crate) fn insert(
        &mut self,
        schema: &Schema,
        mut record: Record,
        now: i64,
    ) -> Result<Uuid, Error> {
        let id = record.get("id").and_then(Value::as_str);
        let id = id
            .and_then(|id| Uuid::parse_str(id).ok())
            .ok_or_else(|| Error::Database(format!("a record of {} has no id", schema.name)))?;
        if self.by_id.contains_key(&id) {
            return Err(Error::PrimaryKeyViolation { id });
        }
        for (key, taken) in &mut self.unique {
            let Some(fields) = key.values(&record) else {
                continue;
            };
            if taken.insert(index_key(&fields), id).is_some() {
                return Err(Error::UniqueViolation { fields });
            }
        }
        for (field, ids) in &mut self.by_parent {
            let parent = catalog::foreign_id(&record, field);
            if let Some(parent) = parent.and_then(|parent| Uuid::parse_str(parent).ok()) {
                ids.insert((parent, id));
            }
        }
        let ttl = record.remove("ttl").and_then(|ttl| ttl.as_i64());
        if let (Some(ttl), true) = (ttl, schema.ttl) {
            self.expiries.insert(id, now.saturating_add(ttl));
        }
        record.remove("id");
        let stored: Record = catalog::stored_fields(schema)
            .map(|(name, _)| (name.to_owned(), record.remove(name).unwrap_or_default()))
            .collect();
        let packed = Packed::pack(schema, &stored);
        self.by_id.insert(id, packed);
        Ok(id)
    }

    /// The record that a key names.
    pub(crate) fn find(
        &self,
        schema: &Schema,
        key: Key<'_>,
        now: i64,
    ) -> Result<Option<Record>, Error> {
        match key {
            Key::Id(id) => self.read(&id, schema, now),
            Key::Unique(field, value) => {
                let index = self.unique.iter().find(|(key, _)| key.fields == [field]);
                if let Some((_, index)) = index {
                    let wanted = Record::from_iter([(field.to_owned(), value.into())]);
                    return index
                        .get(&index_key(&wanted))
                        .map_or(Ok(None), |id| self.read(id, schema, now));
                }
                self.first_with(schema, self.after(None), (field, value), now)
            }
            Key::Within { foreign, field } => {
                let candidates = self.of_parent(foreign.0, foreign.1, None);
                self.first_with(schema, candidates, field, now)
            }
        }
    }

    fn first_with(
        &self,
        schema: &Schema,
        candidates: impl Iterator<Item = Uuid>,
        (field, value): (&str, &str),
        now: i64,
    ) -> Result<Option<Record>, Error> {
        for id in candidates {
            let record = self.read(&id, schema, now)?;
            if let Some(record) = record
                && record.get(field).and_then(Value::as_str) == Some(value)
            {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// The values of a unique key as one text; the text of a single field is its value.
fn index_key(fields: &Record) -> Box<str> {
    let mut values = fields.values();
    match (values.next(), values.next()) {
        (Some(Value::String(value)), None) => value.as_str().into(),
        _ => Value::Object(fields.clone()).to_string().into(),
    }
}
