//! One complete configuration; it never changes once it is published.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound::{Excluded, Included, Unbounded};

use schema::{Record, Schema};
use serde_json::Value;
use store::{Catalog, Error, Key, Page, PageRequest, TagFilter, TagRow, offset};
use uuid::Uuid;

use crate::rows::Rows;

/// Record, entity and the tag's position in it.
type TagPlace = (Uuid, &'static str, usize);

/// All records.
pub(crate) struct State {
    rows: HashMap<&'static str, Rows>,
    tags: BTreeMap<TagPlace, String>,
    by_tag: BTreeMap<String, BTreeSet<TagPlace>>,
    empty: Rows,
}

impl State {
    /// Nothing yet.
    pub(crate) fn new(catalog: &Catalog) -> Self {
        let rows = |schema: &'static Schema| (schema.name, Rows::new(schema));
        Self {
            rows: catalog.parents_first().map(rows).collect(),
            tags: BTreeMap::new(),
            by_tag: BTreeMap::new(),
            empty: Rows::new(&Schema::new("", "")),
        }
    }

    /// The records of an entity; none if the store does not keep it.
    pub(crate) fn rows(&self, entity: &str) -> &Rows {
        self.rows.get(entity).unwrap_or(&self.empty)
    }

    /// Adds a record; its references are not looked at.
    pub(crate) fn insert(
        &mut self,
        schema: &'static Schema,
        record: Record,
        now: i64,
    ) -> Result<(), Error> {
        let tags: Vec<_> = match record.get("tags") {
            Some(Value::Array(tags)) => tags
                .iter()
                .filter_map(|tag| tag.as_str().map(str::to_owned))
                .collect(),
            _ => Vec::new(),
        };
        let Some(rows) = self.rows.get_mut(schema.name) else {
            return Err(Error::Database(format!(
                "there is no entity {}",
                schema.name
            )));
        };
        let id = rows.insert(schema, record, now)?;
        for (position, tag) in tags.into_iter().enumerate() {
            let place = (id, schema.name, position);
            self.by_tag.entry(tag.clone()).or_default().insert(place);
            self.tags.insert(place, tag);
        }
        Ok(())
    }

    /// Whether every reference points at a record.
    pub(crate) fn check_references(&self, catalog: &Catalog) -> Result<(), Error> {
        for schema in catalog.parents_first() {
            for (field, foreign) in schema.foreign_fields() {
                if catalog.get(foreign.reference).is_none() {
                    continue;
                }
                let parents = self.rows(foreign.reference);
                let mut pointed_at = self.rows(schema.name).parents(field);
                if let Some(missing) = pointed_at.find(|id| !parents.contains(id)) {
                    return Err(Error::MissingReference {
                        entity: schema.name.to_owned(),
                        field: field.to_owned(),
                        reference: foreign.reference.to_owned(),
                        value: missing.to_string(),
                    });
                }
            }
        }
        Ok(())
    }

    pub(crate) fn get(
        &self,
        schema: &Schema,
        key: Key<'_>,
        now: i64,
    ) -> Result<Option<Record>, Error> {
        self.rows(schema.name).find(schema, key, now)
    }

    pub(crate) fn page(
        &self,
        schema: &Schema,
        request: &PageRequest<'_>,
        now: i64,
    ) -> Result<Page, Error> {
        let rows = self.rows(schema.name);
        let after = request
            .offset
            .as_deref()
            .map(offset::parse_after)
            .transpose()?;
        let candidates: Box<dyn Iterator<Item = Uuid> + '_> = match request.foreign {
            Some((field, parent)) => Box::new(rows.of_parent(field, parent, after)),
            None => match self.driving_tag(request.tags.as_ref()) {
                Some(tag) => Box::new(self.tagged(tag, schema.name, after)),
                None => Box::new(rows.after(after)),
            },
        };
        let size = request.bounded_size();
        let mut records = Vec::new();
        let mut last = None;
        for id in candidates {
            let Some(record) = rows.read(&id, schema, now)? else {
                continue;
            };
            if !carries(&record, request.tags.as_ref()) {
                continue;
            }
            if records.len() == size {
                return Ok(Page {
                    records,
                    offset: last.map(offset::after),
                });
            }
            records.push(record);
            last = Some(id);
        }
        Ok(Page {
            records,
            offset: None,
        })
    }

    /// A tag that every record of the page carries.
    fn driving_tag<'f>(&self, filter: Option<&'f TagFilter>) -> Option<&'f str> {
        match filter? {
            TagFilter::All(tags) => tags
                .iter()
                .min_by_key(|tag| self.by_tag.get(tag.as_str()).map_or(0, BTreeSet::len))
                .map(String::as_str),
            TagFilter::Any(tags) if tags.len() == 1 => tags.first().map(String::as_str),
            TagFilter::Any(_) => None,
        }
    }

    fn tagged<'s>(
        &'s self,
        tag: &str,
        entity: &'s str,
        after: Option<Uuid>,
    ) -> impl Iterator<Item = Uuid> + 's {
        let start = after.map_or(Unbounded, |id| Included((id, "", 0)));
        self.by_tag
            .get(tag)
            .into_iter()
            .flat_map(move |places| places.range((start, Unbounded)))
            .filter(move |(id, name, _)| *name == entity && Some(*id) != after)
            .map(|(id, _, _)| *id)
    }

    pub(crate) fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        let token = request.offset.as_deref();
        let place = token.map(|token| offset::decode(token, 3)).transpose()?;
        let start = match &place {
            Some(place) => Excluded(self.parse_place(place)),
            None => Unbounded,
        };
        let range = (start, Unbounded);
        let places: Box<dyn Iterator<Item = &TagPlace> + '_> = match tag {
            Some(tag) => {
                let places = self.by_tag.get(tag).into_iter();
                Box::new(places.flat_map(move |places| places.range(range)))
            }
            None => Box::new(self.tags.range(range).map(|(place, _)| place)),
        };
        let size = request.bounded_size();
        let mut rows = Vec::new();
        let mut last = None;
        for place in places {
            if rows.len() == size {
                return Ok((rows, last));
            }
            let (id, entity, position) = place;
            last = Some(offset::encode(&[
                &id.to_string(),
                entity,
                &position.to_string(),
            ]));
            rows.push(TagRow {
                entity_name: (*entity).to_owned(),
                entity_id: *id,
                tag: self.tags.get(place).cloned().unwrap_or_default(),
            });
        }
        Ok((rows, None))
    }

    /// The place that a token names; what it does not name well stands for the beginning.
    fn parse_place(&self, token: &[String]) -> TagPlace {
        let part = |index: usize| token.get(index).map_or("", String::as_str);
        let id = Uuid::parse_str(part(0)).unwrap_or_default();
        let entity = self
            .rows
            .get_key_value(part(1))
            .map_or("", |(name, _)| *name);
        (id, entity, part(2).parse().unwrap_or(0))
    }
}

fn carries(record: &Record, filter: Option<&TagFilter>) -> bool {
    let Some(filter) = filter else {
        return true;
    };
    let tags = record.get("tags").and_then(Value::as_array);
    let has = |wanted: &String| tags.is_some_and(|tags| tags.iter().any(|tag| tag == wanted));
    match filter {
        TagFilter::All(wanted) => wanted.iter().all(has),
        TagFilter::Any(wanted) => wanted.is_empty() || wanted.iter().any(has),
    }
}
