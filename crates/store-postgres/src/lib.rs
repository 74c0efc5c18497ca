//! The PostgreSQL store: Kong 3.9's own tables, column for column, shared by all nodes of a cluster.
//!
//! - A database that Kong migrated is used as it stands, and Kong can use what this store writes (see [`migrations`]).
//! - One bounded pool a node, and one connection that listens for changes; an idle node keeps only that one.
//! - Opening does no IO: a node starts while the database is away, and calls answer [`Error::Unavailable`] meanwhile.
//! - Every change of an entity is in the change log, whoever made it (see [`log`]).

mod apply;
mod cell;
mod failure;
mod feed;
mod log;
pub mod migrations;
mod options;
mod pool;
mod read;
mod table;
mod tls;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Client;
use parking_lot::Mutex;
use schema::{Record, Schema};
use store::{Catalog, Changes, Error, Key, Mutation, Page, PageRequest, Store, TagRow, Version};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;

pub use migrations::Migrations;
pub use options::{ClientCertificate, Identity, Options, Tls};

use crate::cell::Micros;
use crate::failure::Failure;
use crate::log::Place;
use crate::pool::{Pool, Work};
use crate::table::Tables;

/// How long adding the change log may take, another node that does so included.
const INSTALLATION: Duration = Duration::from_secs(60);

/// Places of readers that are remembered.
const PLACES: usize = 64;

/// The store of a cluster.
pub struct PostgresStore {
    shared: Arc<Shared>,
    newest: watch::Receiver<Option<Version>>,
    follower: JoinHandle<()>,
}

/// What the store and its background task have in common.
struct Shared {
    options: Options,
    tables: Tables,
    pool: Pool,
    /// The newest version as far as known; `None` until the database has answered.
    newest: watch::Sender<Option<Version>>,
    /// Set once the database was found to have everything that this program needs.
    prepared: OnceCell<()>,
    /// Where readers of the change log got to lately, which tells when the database has another history.
    places: Mutex<VecDeque<Place>>,
}

impl PostgresStore {
    /// Opens the store of a cluster; does no IO, so the database may be away.
    ///
    /// The tables have to be there (see [`Migrations::bootstrap`]); the change log is added when it is not.
    /// Has to be called inside a tokio runtime, which runs the task that follows changes.
    ///
    /// # Errors
    /// `Database` if the options cannot be used, such as a certificate that is none.
    pub fn open(catalog: Catalog, options: Options) -> Result<Self, Error> {
        let (announce, newest) = watch::channel(None);
        let shared = Arc::new(Shared {
            pool: Pool::new(&options)?,
            tables: Tables::new(catalog),
            options,
            newest: announce,
            prepared: OnceCell::new(),
            places: Mutex::default(),
        });
        let follower = tokio::spawn(feed::run(Arc::downgrade(&shared)));
        Ok(Self {
            shared,
            newest,
            follower,
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Shared {
    fn now(&self) -> Micros {
        Micros(self.options.clock.unix_millis().saturating_mul(1000))
    }

    /// Makes sure, once, that the change log follows all entities.
    async fn prepared(&self) -> Result<(), Error> {
        let prepare = async || {
            let migrations = Migrations::new(&self.options, self.tables.catalog.clone());
            let limit = self.options.timeout.saturating_mul(2);
            let status = pool::within(limit, migrations.status()).await?;
            if !status.is_up_to_date() {
                pool::within(INSTALLATION, migrations.up()).await?;
            }
            Ok(())
        };
        self.prepared.get_or_try_init(prepare).await.copied()
    }

    async fn run<W: Work>(&self, work: &W) -> Result<W::Output, Error> {
        self.prepared().await?;
        self.pool.run(work).await
    }

    /// Tells whoever waits that this version is there.
    fn announce(&self, version: Version) {
        self.newest.send_if_modified(|seen| {
            let newer = *seen < Some(version);
            if newer {
                *seen = Some(version);
            }
            newer
        });
    }

    fn remember(&self, place: Place) {
        let mut places = self.places.lock();
        places.retain(|other| other.version != place.version);
        if places.len() >= PLACES {
            places.pop_front();
        }
        places.push_back(place);
    }

    fn written(&self, version: Version) -> Option<Micros> {
        let places = self.places.lock();
        let found = places.iter().find(|place| place.version == version);
        found.and_then(|place| place.written)
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn get(&self, schema: &Schema, key: Key<'_>) -> Result<Option<Record>, Error> {
        let get = read::Get {
            table: self.shared.tables.of(schema)?,
            key,
            now: self.shared.now(),
        };
        self.shared.run(&get).await
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        let page = read::ReadPage {
            table: self.shared.tables.of(schema)?,
            request,
            now: self.shared.now(),
        };
        self.shared.run(&page).await
    }

    async fn commit(&self, mutations: &[Mutation<'_>]) -> Result<Version, Error> {
        let commit = apply::Commit {
            tables: &self.shared.tables,
            mutations,
            now: self.shared.now(),
            change_log: self.shared.options.change_log,
        };
        let version = self.shared.run(&commit).await?;
        self.shared.announce(version);
        Ok(version)
    }

    async fn tags(
        &self,
        tag: Option<&str>,
        request: &PageRequest<'_>,
    ) -> Result<(Vec<TagRow>, Option<String>), Error> {
        let tags = read::ReadTags {
            tables: &self.shared.tables,
            tag,
            request,
            now: self.shared.now(),
        };
        self.shared.run(&tags).await
    }

    async fn version(&self) -> Result<Version, Error> {
        self.shared.run(&log::Newest).await
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        let read = log::Read {
            since,
            written: self.shared.written(since),
        };
        let (changes, place) = self.shared.run(&read).await?;
        self.shared.remember(place);
        self.shared.announce(place.version);
        Ok(changes)
    }

    async fn changed(&self, since: Version) {
        let mut newest = self.newest.clone();
        let other = |version: &Option<Version>| version.is_some_and(|version| version != since);
        if newest.wait_for(other).await.is_err() {
            // The follower is gone, so nothing will be noticed any more.
            std::future::pending::<()>().await;
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.shared.pool.run(&Ping).await
    }
}

/// Whether the database answers.
struct Ping;

#[async_trait]
impl Work for Ping {
    type Output = ();

    async fn run(&self, client: &mut Client) -> Result<(), Failure> {
        Ok(client.batch_execute("SELECT 1").await?)
    }
}
