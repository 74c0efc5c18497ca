//! Certificates are shown and written together with the SNIs that point at them, and can be found by one.

use std::collections::BTreeSet;

use async_trait::async_trait;
use http::{Method, StatusCode};
use schema::{Record, Schema};
use serde_json::{Map, Value, json};
use store::{Key, Mutation, Page, PageRequest, Version};
use uuid::Uuid;

use super::{
    Error, Located, Paging, Plain, Resource, Written, check_unique, foreign_id, id_of, missing,
    parse_uuid,
};
use crate::State;
use crate::error::Failure;

/// `snis` stands for the records of another entity, so every write is one commit over both.
pub struct Certificates(pub &'static Schema);

#[async_trait]
impl Resource for Certificates {
    fn schema(&self) -> &'static Schema {
        self.0
    }

    /// Anything but an id is an SNI; PUT makes a certificate for one that is not there.
    async fn locate(
        &self,
        state: &State,
        segment: &str,
        method: &Method,
    ) -> Result<Located, Error> {
        if let Some(id) = parse_uuid(segment) {
            return Ok(Located::Id(id));
        }
        let schema = snis_schema(state)?;
        check_unique(state, schema, "name", segment)?;
        let sni = state
            .repository
            .get(schema, &Key::Unique("name", segment))
            .await?;
        match sni.and_then(|sni| foreign_id(&sni, "certificate")) {
            Some(id) => Ok(Located::Id(id)),
            None if method == Method::PUT => Ok(Located::Unique("snis", segment.to_owned())),
            None => Err(Error::Refused(
                StatusCode::NOT_FOUND,
                "SNI not found".to_owned(),
            )),
        }
    }

    /// An SNI that is not there has no certificate yet.
    async fn select(&self, state: &State, located: &Located) -> Result<Option<Record>, Error> {
        match located {
            Located::Id(id) => Ok(state.repository.get(self.0, &Key::Id(*id)).await?),
            Located::Unique(..) | Located::Below { .. } => Ok(None),
        }
    }

    async fn show(&self, state: &State, located: &Located) -> Result<Record, Error> {
        let mut record = self
            .select(state, located)
            .await?
            .ok_or_else(|| located.not_found())?;
        add_names(state, &mut record).await?;
        Ok(record)
    }

    /// Compat: a certificate that is shown through what uses it has `null` for its names
    /// (`a_certificate_behind_a_service_keeps_its_names`).
    async fn show_referenced(&self, state: &State, located: &Located) -> Result<Record, Error> {
        let stored = self.select(state, located).await?;
        let mut record = stored.ok_or(Error::NotFound)?;
        record.insert("snis".to_owned(), Value::Null);
        Ok(record)
    }

    async fn page(
        &self,
        state: &State,
        _query: &Map<String, Value>,
        paging: &Paging,
        foreign: Option<(&'static str, Uuid)>,
    ) -> Result<Page, Error> {
        let mut page = state
            .repository
            .page(self.0, &paging.request(foreign))
            .await?;
        for record in &mut page.records {
            add_names(state, record).await?;
        }
        Ok(page)
    }

    async fn insert(&self, state: &State, mut input: Record) -> Result<Written, Error> {
        let names = take_names(&mut input)?;
        check_free(state, names.as_ref(), None).await?;
        let planned = state.repository.plan_insert(self.0, input).await?;
        write(state, planned, names).await
    }

    async fn update(
        &self,
        state: &State,
        located: &Located,
        mut input: Record,
    ) -> Result<Written, Error> {
        make_list(&mut input);
        let names = take_names(&mut input)?;
        check_free(state, names.as_ref(), Some(located)).await?;
        let planned = state
            .repository
            .plan_update(self.0, &located.key(), input)
            .await;
        write(
            state,
            planned.map_err(|error| missing(error, located))?,
            names,
        )
        .await
    }

    /// Compat: without `snis` the certificate loses its names, and the SNI of the URL does not come to be
    /// (pinned by admin/certificates "putting a certificate under a new SNI creates both").
    async fn upsert(
        &self,
        state: &State,
        located: &Located,
        mut input: Record,
    ) -> Result<Written, Error> {
        make_list(&mut input);
        let is_listed = input.get("snis").is_some_and(Value::is_array);
        let mut names = take_names(&mut input)?;
        let located = match located {
            Located::Id(id) => Located::Id(*id),
            Located::Unique(_, name) | Located::Below { value: name, .. } => {
                if let Some(names) = names.as_mut().filter(|_| is_listed) {
                    names.insert(name.clone());
                }
                Located::Id(Uuid::new_v4())
            }
        };
        check_free(state, names.as_ref(), Some(&located)).await?;
        let planned = state
            .repository
            .plan_upsert(self.0, &located.key(), input)
            .await?;
        write(state, planned, Some(names.unwrap_or_default())).await
    }

    /// Compat: through what uses it a certificate keeps the names that are not given.
    async fn upsert_referenced(
        &self,
        state: &State,
        located: &Located,
        mut input: Record,
    ) -> Result<Written, Error> {
        let names = take_names(&mut input)?;
        check_free(state, names.as_ref(), Some(located)).await?;
        let planned = state
            .repository
            .plan_upsert(self.0, &located.key(), input)
            .await?;
        write(state, planned, names).await
    }

    async fn delete(&self, state: &State, located: &Located) -> Result<Version, Error> {
        let Located::Id(id) = located else {
            return Ok(state.repository.version().await?);
        };
        let schema = snis_schema(state)?;
        let snis = snis_of(state, *id).await?;
        let mut mutations: Vec<Mutation<'_>> = snis
            .iter()
            .filter_map(id_of)
            .map(|sni| Mutation::Delete(schema, sni))
            .collect();
        if mutations.is_empty() {
            return Plain(self.0).delete(state, located).await;
        }
        mutations.push(Mutation::Delete(self.0, *id));
        Ok(state.repository.commit(&mutations).await?)
    }
}

fn snis_schema(state: &State) -> Result<&'static Schema, Error> {
    state.schema("snis").ok_or(Error::NotFound)
}

/// Compat: below the certificate's own URL one name may stand for a list of one
/// (`one_name_stands_for_a_list_where_a_certificate_is_changed`).
fn make_list(input: &mut Record) {
    if let Some(names) = input.get_mut("snis").filter(|names| names.is_string()) {
        *names = Value::Array(vec![names.take()]);
    }
}

/// Takes a well-formed `snis` out of the input; `null` is an empty list, and anything else is left to be refused.
fn take_names(input: &mut Record) -> Result<Option<BTreeSet<String>>, Error> {
    let mut names = BTreeSet::new();
    match input.get("snis") {
        None => return Ok(None),
        Some(Value::Null) => {}
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            for name in list.iter().filter_map(Value::as_str) {
                if !names.insert(name.to_owned()) {
                    return Err(Failure::violation("snis", &format!("{name} is duplicated")).into());
                }
            }
        }
        Some(Value::Array(list)) if list.is_empty() => {}
        Some(_) => return Ok(None),
    }
    input.remove("snis");
    Ok(Some(names))
}

/// Refuses names that are none, or belong to another certificate.
async fn check_free(
    state: &State,
    names: Option<&BTreeSet<String>>,
    owner: Option<&Located>,
) -> Result<(), Error> {
    let schema = snis_schema(state)?;
    for name in names.into_iter().flatten() {
        check_unique(state, schema, "name", name)?;
        let sni = state
            .repository
            .get(schema, &Key::Unique("name", name))
            .await?;
        let Some(id) = sni.and_then(|sni| foreign_id(&sni, "certificate")) else {
            continue;
        };
        if owner != Some(&Located::Id(id)) {
            let message = format!("{name} already associated with existing certificate '{id}'");
            return Err(Failure::violation("snis", &message).into());
        }
    }
    Ok(())
}

/// Commits a certificate, and with `names` makes its SNIs be these.
async fn write(
    state: &State,
    (mut record, mutation): (Record, Mutation<'_>),
    names: Option<BTreeSet<String>>,
) -> Result<Written, Error> {
    let id = id_of(&record).ok_or(Error::NotFound)?;
    let schema = snis_schema(state)?;
    let mut mutations = vec![mutation];
    if let Some(names) = &names {
        let snis = snis_of(state, id).await?;
        let name_of = |sni: &Record| sni.get("name").and_then(Value::as_str).map(str::to_owned);
        let present: BTreeSet<String> = snis.iter().filter_map(name_of).collect();
        let gone = snis
            .iter()
            .filter(|sni| name_of(sni).is_none_or(|name| !names.contains(&name)));
        mutations.extend(
            gone.filter_map(id_of)
                .map(|sni| Mutation::Delete(schema, sni)),
        );
        for name in names.difference(&present) {
            let sni = json!({ "name": name, "certificate": { "id": id.to_string() } });
            let sni = sni.as_object().cloned().unwrap_or_default();
            mutations.push(state.repository.plan_insert(schema, sni).await?.1);
        }
    }
    let version = state.repository.commit(&mutations).await?;
    match names {
        Some(names) => {
            record.insert("snis".to_owned(), names.into_iter().collect());
        }
        None => add_names(state, &mut record).await?,
    }
    Ok(Written { record, version })
}

/// Shows the SNIs of a certificate, sorted.
async fn add_names(state: &State, record: &mut Record) -> Result<(), Error> {
    let snis = match id_of(record) {
        Some(id) => snis_of(state, id).await?,
        None => Vec::new(),
    };
    let mut names: Vec<&str> = snis
        .iter()
        .filter_map(|sni| sni.get("name")?.as_str())
        .collect();
    names.sort_unstable();
    record.insert("snis".to_owned(), json!(names));
    Ok(())
}

/// The SNIs that point at a certificate.
async fn snis_of(state: &State, id: Uuid) -> Result<Vec<Record>, Error> {
    let schema = snis_schema(state)?;
    let mut request = PageRequest {
        size: PageRequest::MAX_SIZE,
        foreign: Some(("certificate", id)),
        ..PageRequest::default()
    };
    let mut snis = Vec::new();
    loop {
        let page = state.repository.page(schema, &request).await?;
        snis.extend(page.records);
        match page.offset {
            Some(offset) => request.offset = Some(offset),
            None => return Ok(snis),
        }
    }
}
