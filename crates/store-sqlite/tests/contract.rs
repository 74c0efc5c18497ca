//! The embedded store passes the contract of all stores.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use store::Store;
use store::contract::{Setup, Subject};
use store_sqlite::{Options, SqliteStore};
use tempfile::TempDir;

#[derive(Default)]
struct Files(Mutex<Vec<TempDir>>);

#[async_trait]
impl Subject for Files {
    async fn open(&self, setup: Setup) -> Arc<dyn Store> {
        let folder = tempfile::tempdir().unwrap();
        let options = Options {
            clock: setup.clock,
            change_log: setup.change_log,
            ..Options::default()
        };
        let path = folder.path().join("store.db");
        self.0.lock().push(folder);
        Arc::new(SqliteStore::open(&path, setup.catalog, options).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_contract() {
    store::contract::run(&Files::default()).await;
}
