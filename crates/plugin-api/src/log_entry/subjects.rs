//! Route, service and workspace as entries show them.
//!
//! They are records of the store, looked up through the cache of the node; the snapshot does not hold them, because most
//! gateways log few of their members. Each is written as JSON once and kept until it changes.
//!
//! Perf: as long as no route and no service changes, what an entry says of both is one lookup.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use foldhash::fast::RandomState as IdHasher;
use parking_lot::RwLock;
use schema::Record;
use serde_json::json;
use uuid::Uuid;

use super::LoggedRecord;
use crate::{
    Background, BoxFuture, By, Entity, Epoch, Lookup, Matched, Records, Services, Workspace,
};

/// The most records that are kept as JSON, and the most pairs of them.
const MOST_RENDERED: usize = 10_000;
/// The most entries that wait for a lookup; what comes beyond shows ids and names only.
const MOST_WAITING: usize = 1000;

/// What the log entries of a node are about.
pub struct LogSubjects {
    records: Arc<dyn Records>,
    background: Arc<dyn Background>,
    workspace: Workspace,
    /// Of routes and of services.
    epochs: [Epoch; 2],
    described: RwLock<HashMap<Pair, Kept, IdHasher>>,
    rendered: RwLock<HashMap<Uuid, Rendered>>,
    waiting: AtomicUsize,
}

/// A route and a service.
type Pair = (Option<Uuid>, Option<Uuid>);

/// What was said of a pair, and when.
struct Kept {
    described: Described,
    epochs: [u64; 2],
}

struct Rendered {
    of: Arc<Record>,
    workspace: Option<Uuid>,
    json: Bytes,
}

/// What a log entry says of its subjects: the last members of its object and the brace behind them.
#[derive(Debug, Clone)]
pub struct Described(Arc<[u8]>);

impl Described {
    fn new(route: Option<&[u8]>, service: Option<&[u8]>, workspace: Option<Uuid>) -> Self {
        let mut text = Vec::new();
        for (name, json) in [("route", route), ("service", service)] {
            if let Some(json) = json {
                text.extend_from_slice(b",\"");
                text.extend_from_slice(name.as_bytes());
                text.extend_from_slice(b"\":");
                text.extend_from_slice(json);
            }
        }
        if let Some(workspace) = workspace {
            text.extend_from_slice(format!(",\"workspace\":\"{workspace}\"").as_bytes());
        }
        text.extend_from_slice(b",\"workspace_name\":\"");
        text.extend_from_slice(Workspace::NAME.as_bytes());
        text.extend_from_slice(b"\"}");
        Self(text.into())
    }

    /// Appends the members to a JSON object that ends the text.
    pub fn append_to(&self, text: &mut Vec<u8>) {
        if text.pop() == Some(b'}') {
            text.extend_from_slice(&self.0);
        }
    }
}

impl Default for Described {
    /// Nothing is known of them.
    fn default() -> Self {
        Self::new(None, None, None)
    }
}

/// What is known of an entity without its record.
struct Named {
    id: Uuid,
    json: Bytes,
}

impl Named {
    fn of(entity: Entity<'_>) -> Self {
        let id = entity.id;
        let json = match entity.name {
            Some(name) => json!({ "id": id.to_string(), "name": name }),
            None => json!({ "id": id.to_string() }),
        };
        Self {
            id,
            json: json.to_string().into(),
        }
    }
}

/// An entity, and its record as far as that is at hand.
struct Sought {
    named: Named,
    record: Lookup<Option<Arc<Record>>>,
}

/// An entity, if there is one, and what the cache knows of it.
type Found<'a> = Option<(Entity<'a>, Lookup<Option<Arc<Record>>>)>;

/// Counts an entry that waits.
struct Waiting(Arc<LogSubjects>);

impl Waiting {
    async fn look_up(self, route: Option<Sought>, service: Option<Sought>) -> Described {
        let subjects = &self.0;
        let workspace = subjects.workspace.look_up().await;
        let route = subjects.look_up(route, workspace).await;
        let service = subjects.look_up(service, workspace).await;
        Described::new(route.as_deref(), service.as_deref(), workspace)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LogSubjects {
    /// Those of the node.
    pub fn of(services: &Services) -> Arc<Self> {
        services.shared.get("log-subjects", || Self {
            records: services.records.clone(),
            background: services.background.clone(),
            workspace: Workspace::of(services),
            epochs: ["routes", "services"].map(|entity| services.records.epoch(entity)),
            described: RwLock::default(),
            rendered: RwLock::default(),
            waiting: AtomicUsize::new(0),
        })
    }

    /// Completes an entry with what it says of where its exchange went; gives that if it comes later. It is never
    /// unavailable: what cannot be looked up is shown by id and name.
    pub fn complete(
        self: &Arc<Self>,
        entry: &mut Vec<u8>,
        matched: &Matched<'_>,
    ) -> Option<BoxFuture<Described>> {
        let id = |of: Option<Entity<'_>>| of.map(|entity| entity.id);
        let pair = (id(matched.route), id(matched.service));
        let epochs = self.epochs.each_ref().map(Epoch::now);
        let is_current = |kept: &&Kept| kept.epochs == epochs;
        if let Some(kept) = self.described.read().get(&pair).filter(is_current) {
            kept.described.append_to(entry);
            return None;
        }
        let route = self.find("routes", matched.route);
        let service = self.find("services", matched.service);
        if let Some(workspace) = self.workspace.known()
            && let Some(route) = self.known(&route, workspace)
            && let Some(service) = self.known(&service, workspace)
        {
            let described = Described::new(route.as_deref(), service.as_deref(), Some(workspace));
            described.append_to(entry);
            let kept = Kept { described, epochs };
            let mut all = self.described.write();
            if all.len() >= MOST_RENDERED {
                all.clear();
            }
            all.insert(pair, kept);
            return None;
        }
        let sought = |found: Found<'_>| {
            found.map(|(entity, record)| Sought {
                named: Named::of(entity),
                record,
            })
        };
        let (route, service) = (sought(route), sought(service));
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(self.clone());
        if before >= MOST_WAITING {
            let named = |sought: Option<Sought>| sought.map(|sought| sought.named.json);
            let (route, service) = (named(route), named(service));
            let workspace = self.workspace.known();
            Described::new(route.as_deref(), service.as_deref(), workspace).append_to(entry);
            return None;
        }
        Some(Box::pin(waiting.look_up(route, service)))
    }

    /// As [`complete`](Self::complete), at once: what is not at hand is shown by id and name, and looked up for the next time.
    pub fn complete_now(self: &Arc<Self>, entry: &mut Vec<u8>, matched: &Matched<'_>) {
        let Some(later) = self.complete(entry, matched) else {
            return;
        };
        self.background.spawn(Box::pin(async move {
            later.await;
        }));
        let json = |of: Option<Entity<'_>>| of.map(|of| Named::of(of).json);
        let (route, service) = (json(matched.route), json(matched.service));
        let workspace = self.workspace.known();
        Described::new(route.as_deref(), service.as_deref(), workspace).append_to(entry);
    }

    fn find<'a>(&self, entity: &'static str, of: Option<Entity<'a>>) -> Found<'a> {
        let of = of?;
        Some((of, self.records.find(entity, By::Id(of.id))))
    }

    /// The entity as JSON, if its record is at hand; `Some(None)` if there is no entity.
    #[expect(
        clippy::option_option,
        reason = "that nothing is known differs from that there is nothing"
    )]
    fn known(&self, found: &Found<'_>, workspace: Uuid) -> Option<Option<Bytes>> {
        match found {
            None => Some(None),
            Some((entity, Lookup::Known(Some(record)))) => {
                Some(Some(self.render(entity.id, record, Some(workspace))))
            }
            Some(_) => None,
        }
    }

    async fn look_up(&self, sought: Option<Sought>, workspace: Option<Uuid>) -> Option<Bytes> {
        let Sought { named, record } = sought?;
        Some(match record.get().await {
            Ok(Some(record)) => self.render(named.id, &record, workspace),
            _ => named.json,
        })
    }

    fn render(&self, id: Uuid, record: &Arc<Record>, workspace: Option<Uuid>) -> Bytes {
        let is_it = |kept: &&Rendered| Arc::ptr_eq(&kept.of, record) && kept.workspace == workspace;
        if let Some(kept) = self.rendered.read().get(&id).filter(is_it) {
            return kept.json.clone();
        }
        let logged = LoggedRecord::of(record).within(workspace);
        // A record is JSON, so that writing it cannot fail.
        let json = serde_json::to_vec(&logged).unwrap_or_else(|_| b"{}".to_vec());
        let json = Bytes::from(json);
        let mut rendered = self.rendered.write();
        if rendered.len() >= MOST_RENDERED {
            rendered.clear();
        }
        let kept = Rendered {
            of: record.clone(),
            workspace,
            json: json.clone(),
        };
        rendered.insert(id, kept);
        json
    }
}
