//! The workspace that everything belongs to.

use std::sync::{Arc, OnceLock};

use plugin_api::{By, Records, Services};
use uuid::Uuid;

/// Its name. Compat: there is one, as in Kong without a licence.
pub const NAME: &str = "default";

/// Its id, looked up when it is asked for first.
pub struct Workspace {
    records: Arc<dyn Records>,
    id: OnceLock<Uuid>,
}

impl Workspace {
    /// That of the node.
    pub fn of(services: &Services) -> Self {
        Self {
            records: services.records.clone(),
            id: OnceLock::new(),
        }
    }

    /// The id, if it was found before.
    pub fn known(&self) -> Option<Uuid> {
        self.id.get().copied()
    }

    /// The id; `None` if it cannot be looked up now.
    pub async fn look_up(&self) -> Option<Uuid> {
        if let Some(id) = self.known() {
            return Some(id);
        }
        let record = self.records.find("workspaces", By::Unique("name", NAME));
        let record = record.get().await.ok()??;
        let id = record.get("id")?.as_str()?.parse().ok()?;
        Some(*self.id.get_or_init(|| id))
    }
}
