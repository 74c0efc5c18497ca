//! Getting records out of a store.

use std::collections::HashSet;

use store::{Catalog, Event, Key, PageRequest, Store};

use crate::snapshot::Draft;
use crate::{Change, ENTITIES, Options, Problem, Snapshot};

/// Reads the whole configuration. Writes that happen meanwhile are in part of it; they have later versions than the
/// snapshot's, so that fetching them afterwards makes it whole.
pub async fn load(
    store: &dyn Store,
    catalog: &Catalog,
    options: Options,
) -> Result<(Snapshot, Vec<Problem>), store::Error> {
    let version = store.version().await?;
    let mut draft = Draft::new(Snapshot::empty(options));
    for entity in ENTITIES {
        let Some(schema) = catalog.get(entity) else {
            continue;
        };
        let mut request = PageRequest {
            size: PageRequest::MAX_SIZE,
            ..PageRequest::default()
        };
        loop {
            let page = store.page(schema, &request).await?;
            for record in page.records {
                draft.put(entity, &record);
            }
            match page.offset {
                None => break,
                offset => request.offset = offset,
            }
        }
    }
    Ok(draft.finish(version))
}

/// Reads what the events name, each record once and as it is now. Events of entities that no snapshot holds are skipped.
pub async fn fetch(
    store: &dyn Store,
    catalog: &Catalog,
    events: &[Event],
) -> Result<Vec<Change>, store::Error> {
    let mut seen = HashSet::new();
    let mut changes = Vec::new();
    for event in events {
        let entity = ENTITIES.into_iter().find(|name| *name == event.entity);
        let Some((entity, schema)) = entity.and_then(|name| Some((name, catalog.get(name)?)))
        else {
            continue;
        };
        if seen.insert((entity, event.id)) {
            changes.push(Change {
                entity,
                id: event.id,
                record: store.get(schema, Key::Id(event.id)).await?,
            });
        }
    }
    Ok(changes)
}
