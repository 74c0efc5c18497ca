//! The PostgreSQL store: Kong 3.9's own tables, column for column, shared by all nodes of a cluster.
//!
//! - A database that Kong migrated is used as it stands, and Kong can use what this store writes (see [`migrations`]).
//! - One bounded pool a node, and one connection that listens for changes; an idle node keeps only that one.
//! - Opening does no IO: a node starts while the database is away, and calls answer [`Error::Unavailable`] meanwhile.
//! - Every change of an entity is in the change log, whoever made it (see [`log`]).

mod apply;
mod bulk;
mod cell;
mod cluster_events;
mod counters;
mod digests;
mod failure;
mod feed;
mod line;
mod log;
pub mod migrations;
mod options;
mod peers;
mod pool;
mod read;
mod replica;
mod table;
mod tls;
mod words;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use parking_lot::Mutex;
use schema::{Record, Schema};
use store::bulk::{Sink, Source};
use store::{
    Catalog, Changes, Counters, Digests, Error, Key, Mutation, Page, PageRequest, Peers, Store,
    TagRow, Version,
};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinHandle;
use tokio_postgres::config::TargetSessionAttrs;
use uuid::Uuid;

pub use migrations::Migrations;
pub use options::{ClientCertificate, Identity, Options, Tls};

use crate::cell::Micros;
use crate::counters::CounterLine;
use crate::failure::Failure;
use crate::line::{Heard, Line};
use crate::log::Place;
pub use crate::pool::Connections;
use crate::pool::{Pool, Query, Work};
use crate::replica::Replica;
use crate::table::Tables;

/// How long adding the change log may take, another node that does so included.
const INSTALLATION: Duration = Duration::from_secs(60);

/// Records that are read with one statement.
const AT_ONCE: usize = 1000;

/// Places of readers that are remembered.
const PLACES: usize = 64;

/// The store of a cluster.
pub struct PostgresStore {
    shared: Arc<Shared>,
    newest: watch::Receiver<Option<Place>>,
    follower: JoinHandle<()>,
}

/// Whether the connection that listens is there.
#[derive(Clone)]
enum LineState {
    /// It will be there soon, or the attempt fails.
    Opening,
    Open(Arc<Line>),
    /// It failed, or could not be opened, and nobody tries for the moment.
    Away(Error),
}

/// What the store and its background task have in common.
struct Shared {
    options: Options,
    tables: Tables,
    pool: Pool,
    replica: Option<Replica>,
    /// The end of the change log as far as known; `None` until the database has answered.
    newest: watch::Sender<Option<Place>>,
    heard: Arc<Heard>,
    /// What other nodes told.
    words: words::Heard,
    counters: CounterLine,
    /// The connection that listens.
    line: watch::Sender<LineState>,
    /// Set once the database was found to have everything that this program needs.
    prepared: OnceCell<()>,
    /// Where readers of the change log got to lately, which tells when the database has another history.
    places: Mutex<VecDeque<Place>>,
}

impl PostgresStore {
    /// How the node's connections are used at the moment.
    pub fn connections(&self) -> Connections {
        self.shared.pool.connections()
    }

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
            pool: Pool::new(&options, TargetSessionAttrs::ReadWrite)?,
            replica: match &options.replica {
                Some(replica) => Some(Replica::new(replica)?),
                None => None,
            },
            tables: Tables::new(catalog),
            options,
            newest: announce,
            heard: Arc::default(),
            words: words::Heard::default(),
            counters: CounterLine::default(),
            line: watch::Sender::new(LineState::Opening),
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
        self.prepared
            .get_or_try_init(|| self.prepare())
            .await
            .copied()
    }

    /// Makes sure that the change log follows all entities.
    async fn prepare(&self) -> Result<(), Error> {
        let migrations = Migrations::new(&self.options, self.tables.catalog.clone());
        let limit = self.options.timeout.saturating_mul(2);
        let status = pool::within(limit, migrations.status()).await?;
        if !status.is_up_to_date() {
            pool::within(INSTALLATION, migrations.up()).await?;
        }
        Ok(())
    }

    async fn run<W: Work>(&self, work: &W) -> Result<W::Output, Error> {
        self.prepared().await?;
        self.pool.run(work).await
    }

    /// Reads what may be a little old, but not older than what is known here.
    async fn read<W: Work>(&self, work: &W) -> Result<W::Output, Error> {
        let known = *self.newest.borrow();
        if let (Some(replica), Some(end)) = (&self.replica, known)
            && let Some(answer) = replica.read(work, end.version).await
        {
            return Ok(answer);
        }
        self.run(work).await
    }

    /// Asks over the connection that listens, so that a node with little to do needs no other one. One that is being opened
    /// is waited for, so that nodes which start or return at the same time do not open two each.
    async fn ask<Q: Query>(&self, query: &Q) -> Result<Q::Output, Error> {
        let mut line = self.line.subscribe();
        let mut has_waited = false;
        let line = loop {
            let state = line.borrow_and_update().clone();
            match state {
                LineState::Open(line) => break line,
                LineState::Opening => has_waited = true,
                LineState::Away(error) if has_waited => return Err(error),
                LineState::Away(_) => return self.run(query).await,
            }
            if line.changed().await.is_err() {
                return self.run(query).await;
            }
        };
        match line.ask(query, self.options.timeout).await {
            Ok(output) => Ok(output),
            // The connection did not take it; another one may.
            Err(Failure::Stale(_)) => self.run(query).await,
            Err(failure) => Err(failure.into_error()),
        }
    }

    /// Tells whoever waits that this version is there.
    fn announce(&self, version: Version) {
        self.newest.send_if_modified(|end| {
            let newer = end.is_none_or(|end| end.version < version);
            if newer {
                let written = None;
                *end = Some(Place { version, written });
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
        self.shared.read(&get).await
    }

    async fn get_many(&self, schema: &Schema, ids: &[Uuid]) -> Result<Vec<Record>, Error> {
        let table = self.shared.tables.of(schema)?;
        let now = self.shared.now();
        let mut found = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            let get = read::GetMany { table, ids, now };
            found.extend(self.shared.ask(&get).await?);
        }
        Ok(found)
    }

    async fn page(&self, schema: &Schema, request: &PageRequest<'_>) -> Result<Page, Error> {
        let page = read::ReadPage {
            table: self.shared.tables.of(schema)?,
            request,
            now: self.shared.now(),
        };
        self.shared.read(&page).await
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
        self.shared.read(&tags).await
    }

    async fn version(&self) -> Result<Version, Error> {
        let version = self.shared.ask(&log::Newest).await?;
        self.shared.announce(version);
        Ok(version)
    }

    async fn changes(&self, since: Version) -> Result<Changes, Error> {
        let read = log::Read {
            since,
            most: self.shared.options.change_log,
            written: self.shared.written(since),
        };
        let (changes, place) = self.shared.ask(&read).await?;
        self.shared.remember(place);
        self.shared.announce(place.version);
        Ok(changes)
    }

    async fn mark(&self, version: Version) -> Result<Option<i64>, Error> {
        let written = match self.shared.written(version) {
            Some(written) => Some(written),
            None => self.shared.ask(&log::Written(version)).await?,
        };
        Ok(written.map(|Micros(micros)| micros))
    }

    async fn changed(&self, since: Version) {
        let written = self.shared.written(since);
        let mut newest = self.newest.clone();
        let moved = |end: &Option<Place>| end.is_some_and(|end| end.differs(since, written));
        if newest.wait_for(moved).await.is_err() {
            // The follower is gone, so nothing will be noticed any more.
            std::future::pending::<()>().await;
        }
    }

    async fn read_all(
        &self,
        schemas: &[&'static Schema],
        sink: &mut dyn Sink,
    ) -> Result<Version, Error> {
        bulk::read_all(&self.shared, schemas, sink).await
    }

    async fn replace_all(
        &self,
        schemas: &[&'static Schema],
        source: &mut dyn Source,
    ) -> Result<Version, Error> {
        bulk::replace_all(&self.shared, schemas, source).await
    }

    async fn ping(&self) -> Result<(), Error> {
        let line = self.shared.line.borrow().clone();
        if let LineState::Open(line) = line
            && line.ask(&Ping, self.shared.options.timeout).await.is_ok()
        {
            return Ok(());
        }
        self.shared.pool.run(&Ping).await
    }

    async fn digests(&self, schemas: &[&Schema]) -> Result<(Version, Digests), Error> {
        let tables = schemas.iter().map(|schema| self.shared.tables.of(schema));
        let read = digests::ReadDigests {
            tables: tables.collect::<Result<_, _>>()?,
            now: self.shared.now(),
            step: self.shared.options.timeout.saturating_mul(2),
        };
        self.shared.read(&read).await
    }

    fn counters(&self) -> Option<&dyn Counters> {
        Some(self)
    }

    fn peers(&self) -> Option<&dyn Peers> {
        Some(self)
    }
}

/// Whether the database answers.
struct Ping;

#[async_trait]
impl Query for Ping {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        Ok(client.batch_execute("SELECT 1").await?)
    }
}
