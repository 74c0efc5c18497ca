//! The workspace that everything belongs to.

use std::sync::{Arc, OnceLock};

use schema::Record;
use uuid::Uuid;

use crate::{By, Lookup, Records, Services};

/// The workspace that everything belongs to. Its id is looked up when it is asked for first.
pub struct Workspace {
    records: Arc<dyn Records>,
    id: OnceLock<Uuid>,
}

impl Workspace {
    /// Its name. Compat: there is one, as in Kong without a licence.
    pub const NAME: &str = "default";

    /// That of the node.
    pub fn of(services: &Services) -> Self {
        Self {
            records: services.records.clone(),
            id: OnceLock::new(),
        }
    }

    /// The id, if it is at hand.
    pub fn known(&self) -> Option<Uuid> {
        if let Some(id) = self.id.get() {
            return Some(*id);
        }
        match self.find() {
            Lookup::Known(record) => self.learn(&*record?),
            Lookup::Fetch(_) => None,
        }
    }

    /// The id; `None` if it cannot be looked up now.
    pub async fn look_up(&self) -> Option<Uuid> {
        if let Some(id) = self.id.get() {
            return Some(*id);
        }
        let record = self.find().get().await.ok()?;
        self.learn(&*record?)
    }

    fn find(&self) -> Lookup<Option<Arc<Record>>> {
        let by_name = By::Unique("name", Self::NAME);
        self.records.find("workspaces", by_name)
    }

    fn learn(&self, record: &Record) -> Option<Uuid> {
        let id = record.get("id")?.as_str()?.parse().ok()?;
        Some(*self.id.get_or_init(|| id))
    }
}
