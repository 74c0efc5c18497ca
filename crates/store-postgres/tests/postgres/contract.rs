//! The PostgreSQL store passes the contract of all stores.

use std::sync::Arc;

use async_trait::async_trait;
use store::Store;
use store::contract::{Setup, Subject};
use store_postgres::{Options, PostgresStore};
use tokio::sync::OnceCell;

use crate::server::Server;

struct Databases {
    server: Server,
    /// A bootstrapped database to copy.
    template: OnceCell<String>,
}

#[async_trait]
impl Subject for Databases {
    async fn open(&self, setup: Setup) -> Arc<dyn Store> {
        let template = self
            .template
            .get_or_init(|| self.server.bootstrapped(&setup.catalog))
            .await;
        let options = Options {
            clock: setup.clock,
            change_log: setup.change_log,
            ..self
                .server
                .options(&self.server.database_like(template).await)
        };
        Arc::new(PostgresStore::open(setup.catalog, options).unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passes_the_contract() {
    let databases = Databases {
        server: Server::start(),
        template: OnceCell::new(),
    };
    store::contract::run(&databases).await;
}
