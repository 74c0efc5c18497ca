//! For whom the credentials of an entity stand.

use std::sync::Arc;

use plugin_api::{BoxFuture, By, Epoch, Failure, Lookup, Records, Services};
use schema::Record;

use crate::identity::{self, CONSUMERS, Denied, Identity};
use crate::recent::{Kept, Recent};

/// How many bytes of the memory for records stand for one identity that is kept beside them.
const BYTES: u64 = 4096;
/// The most identities that are kept of an entity.
const MOST: u64 = 1 << 16;

/// A credential's identity; `None` if there is no such credential.
pub(crate) type Found = Option<Arc<Kept<Identity>>>;

/// The answer to *who is this?*, or what to wait for.
pub(crate) enum Sought {
    Known(Result<Found, Denied>),
    Fetch(BoxFuture<Result<Found, Denied>>),
}

/// How the credentials of an entity are told.
#[derive(Clone, Copy)]
pub(crate) struct Kind {
    pub entity: &'static str,
    /// The unique field by which clients name theirs.
    pub field: &'static str,
    /// The field that the upstream gets to know.
    pub identifier: &'static str,
}

/// Finds out for whom credentials stand. Cloning shares it.
///
/// Perf: what it makes of the records it keeps for the clients that come again and again, so that nothing has to be looked
/// up, read or written for those (`cargo xtask bench --only plugins,credentials`, key-auth). A change of any credential of
/// the entity or of any consumer ends all of that. What ends by itself is not kept, nor that there is no such credential:
/// the records know both.
#[derive(Clone)]
pub(crate) struct Identities(Arc<Inner>);

struct Inner {
    kind: Kind,
    records: Arc<dyn Records>,
    credentials: Epoch,
    consumers: Epoch,
    recent: Recent<Identity>,
}

impl Identities {
    /// Those of an entity, which all handlers share.
    pub fn of(services: &Services, kind: Kind) -> Self {
        let make = || {
            let entries = (services.node.cache_memory / BYTES).min(MOST);
            Inner {
                kind,
                records: services.records.clone(),
                credentials: services.records.epoch(kind.entity),
                consumers: services.records.epoch(CONSUMERS),
                recent: Recent::new(entries as usize),
            }
        };
        Self(services.shared.get(kind.entity, make))
    }

    /// For whom the credential with this value stands.
    pub fn find(&self, value: &str) -> Sought {
        // Invariant: read before anything is looked up, so that what is made of records from before a change has a stamp
        // from before it.
        let stamp = self.0.stamp();
        if let Some(found) = self.0.recent.get(value, stamp) {
            return Sought::Known(Ok(Some(found)));
        }
        self.0.look_up(value, stamp)
    }
}

impl Inner {
    /// Neither epoch ever falls, so that their sum stays the same only while both do.
    fn stamp(&self) -> u64 {
        self.credentials.now().wrapping_add(self.consumers.now())
    }

    fn look_up(self: &Arc<Self>, value: &str, stamp: u64) -> Sought {
        let by_value = By::Unique(self.kind.field, value);
        let credential = match self.records.find(self.kind.entity, by_value) {
            Lookup::Known(None) => return Sought::Known(Ok(None)),
            Lookup::Known(Some(credential)) => credential,
            Lookup::Fetch(fetch) => {
                let (inner, value) = (self.clone(), Box::<str>::from(value));
                return Sought::Fetch(Box::pin(async move {
                    let Some(credential) = fetch.await? else {
                        return Ok(None);
                    };
                    let owner = identity::look_up_owner(&*inner.records, &credential)?;
                    let consumer = owner.get().await?;
                    inner.found(&value, stamp, credential, consumer)
                }));
            }
        };
        match identity::look_up_owner(&*self.records, &credential) {
            Ok(Lookup::Known(consumer)) => {
                Sought::Known(self.found(value, stamp, credential, consumer))
            }
            Ok(Lookup::Fetch(fetch)) => {
                let (inner, value) = (self.clone(), Box::<str>::from(value));
                Sought::Fetch(Box::pin(async move {
                    let consumer = fetch.await?;
                    inner.found(&value, stamp, credential, consumer)
                }))
            }
            Err(denied) => Sought::Known(Err(denied)),
        }
    }

    /// Makes an identity, and keeps it if it lasts.
    fn found(
        &self,
        value: &str,
        stamp: u64,
        credential: Arc<Record>,
        consumer: Option<Arc<Record>>,
    ) -> Result<Found, Denied> {
        let consumer = identity::owner(consumer)?;
        let credential = identity::credential(credential, self.kind.identifier)
            .ok_or_else(|| Failure::new("a credential has no id"))?;
        let identity = Identity::new(Some(consumer), Some(credential))?;
        let lasts = identity.seconds_left().is_none();
        let kept = Arc::new(Kept::new(value, stamp, identity));
        if lasts {
            let spared = self.recent.put(kept.clone());
            self.records.note_hits(spared.into());
        }
        Ok(Some(kept))
    }
}

#[cfg(test)]
mod tests;
