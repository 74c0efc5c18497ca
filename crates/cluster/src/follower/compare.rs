//! Comparing the replica with the shared store, and finding what differs.

use std::collections::BTreeSet;
use std::sync::Arc;

use schema::Schema;
use store::replica::Counts;
use store::{Change, PageRequest, Replica, Version, digest};
use uuid::Uuid;

use crate::follower::{Follower, id_of, local, shared};
use crate::judge::Loss;
use crate::machine::{Difference, Fault};

/// Records that are read one by one; where more differ, everything is read again.
const MOST: usize = 10_000;

impl Follower {
    pub(super) async fn read_digests(&mut self) -> Result<Version, Fault> {
        let schemas: Vec<&Schema> = self.tools.catalog.parents_first().collect();
        let published = self.machine.published().unwrap_or_default();
        let store = &self.tools.store;
        let change_waits = async {
            tokio::time::sleep(self.machine.timing().comparison).await;
            store.changed(published).await;
        };
        let (version, digests) = tokio::select! {
            digests = store.digests(&schemas) => digests.map_err(shared)?,
            // A change is not kept waiting by a comparison that takes long; there will be another one.
            () = change_waits => {
                return Err(Fault::Busy("changes came during a long comparison".to_owned()));
            }
        };
        self.digests = digests;
        Ok(version)
    }

    /// The entities whose digests are not the replica's.
    pub(super) async fn weigh(&self, except: &BTreeSet<String>) -> Result<Vec<String>, Fault> {
        let Some(replica) = &self.tools.replica else {
            return Ok(Vec::new());
        };
        let named = |schema: &&'static Schema| {
            !except.contains(schema.name) && self.digests.contains_key(schema.name)
        };
        let schemas: Vec<&Schema> = self
            .tools
            .catalog
            .parents_first()
            .filter(named)
            .map(|schema| -> &Schema { schema })
            .collect();
        let (_, own) = replica.digests(&schemas).await.map_err(local)?;
        let differs = |schema: &&&Schema| own.get(schema.name) != self.digests.get(schema.name);
        let differing = schemas.iter().filter(differs);
        Ok(differing.map(|schema| schema.name.to_owned()).collect())
    }

    /// Reads all records of some entities and keeps those that the replica has otherwise, as if they were fetched.
    ///
    /// What is read may be newer than what the replica stands at. That does no harm: changes after that are read later.
    pub(super) async fn differ(&mut self, entities: &[String]) -> Result<Difference, Fault> {
        self.fetched = Arc::default();
        let Some(replica) = self.tools.replica.clone() else {
            return Ok(Difference::TooMany);
        };
        let before = replica.counts().await.map_err(local)?;
        let mut after = before.clone();
        let mut changes = Vec::new();
        for entity in entities {
            let Some(schema) = self.tools.catalog.get(entity) else {
                continue;
            };
            let Some(count) = self.merge(&*replica, schema, &mut changes).await? else {
                return Ok(Difference::TooMany);
            };
            after.insert(entity.clone(), count);
        }
        Ok(self.keep(changes, &before, &after))
    }

    fn keep(&mut self, changes: Vec<Change>, before: &Counts, after: &Counts) -> Difference {
        let difference = Difference::Records {
            count: changes.len() as u64,
            loss: Loss::between(before, after),
        };
        self.fetched = Arc::new(changes);
        difference
    }

    /// Walks both collections in the order of their ids and adds what differs; tells how many records the shared store
    /// has, or `None` if too many differ.
    async fn merge(
        &self,
        replica: &dyn Replica,
        schema: &'static Schema,
        changes: &mut Vec<Change>,
    ) -> Result<Option<u64>, Fault> {
        let mut own = Checksums::new(replica, schema);
        let mut count = 0;
        let mut request = PageRequest {
            size: PageRequest::MAX_SIZE,
            ..PageRequest::default()
        };
        let gone = |id| Change {
            schema,
            id,
            record: None,
        };
        loop {
            let page = self.tools.store.page(schema, &request).await;
            let page = page.map_err(shared)?;
            for record in page.records {
                count += 1;
                let Some(id) = id_of(&record) else {
                    let name = schema.name;
                    return Err(Fault::Shared(format!("a record of {name} has no id")));
                };
                let mut known = None;
                while let Some((next, checksum)) = own.peek().await?.filter(|(own, _)| *own <= id) {
                    own.at += 1;
                    match next == id {
                        true => known = Some(checksum),
                        false => changes.push(gone(next)),
                    }
                }
                if known != Some(digest::checksum(&record)) {
                    let record = Some(record);
                    changes.push(Change { schema, id, record });
                }
                if changes.len() > MOST {
                    return Ok(None);
                }
            }
            match page.offset {
                None => break,
                offset => request.offset = offset,
            }
        }
        while let Some((next, _)) = own.peek().await? {
            own.at += 1;
            changes.push(gone(next));
            if changes.len() > MOST {
                return Ok(None);
            }
        }
        Ok(Some(count))
    }
}

/// The replica's checksums of one collection, read a batch at a time.
struct Checksums<'a> {
    replica: &'a dyn Replica,
    schema: &'static Schema,
    batch: Vec<(Uuid, u64)>,
    at: usize,
    is_over: bool,
}

impl<'a> Checksums<'a> {
    fn new(replica: &'a dyn Replica, schema: &'static Schema) -> Self {
        Self {
            replica,
            schema,
            batch: Vec::new(),
            at: 0,
            is_over: false,
        }
    }

    /// The next one, which stays.
    async fn peek(&mut self) -> Result<Option<(Uuid, u64)>, Fault> {
        if self.at >= self.batch.len() && !self.is_over {
            let last = self.batch.last().map(|(id, _)| *id);
            let next = self
                .replica
                .checksums(self.schema, last, PageRequest::MAX_SIZE);
            let next = next.await.map_err(local)?;
            self.is_over = next.is_empty();
            self.batch = next;
            self.at = 0;
        }
        Ok(self.batch.get(self.at).copied())
    }
}
