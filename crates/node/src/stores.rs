//! The store that the settings choose.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use config::{Settings, StoreChoice};
use entities::RouterFlavor;
use plugins::Enabled;
use schema::{Schema, Subschema, Subschemas};
use stdx::{Clock, SystemClock};
use store::{Catalog, Key, Repository, Store};
use store_declarative::DeclarativeStore;
use store_postgres::PostgresStore;
use store_sqlite::SqliteStore;

use crate::{Error, plugin_endpoints, postgres};

/// The entities as the setting `router_flavor` has them declared, and the plugins that the setting `plugins` names.
#[derive(Debug, Clone, Copy)]
pub struct DeclaredEntities {
    catalog: &'static entities::Catalog,
    enabled: Enabled,
}

impl DeclaredEntities {
    /// The declarations for some settings.
    pub fn of(settings: &Settings) -> Self {
        let flavor = match settings.router_flavor.as_str() {
            "traditional" => RouterFlavor::Traditional,
            "expressions" => RouterFlavor::Expressions,
            _ => RouterFlavor::TraditionalCompatible,
        };
        Self {
            catalog: match settings.store {
                StoreChoice::Declarative { .. } => plugins::catalog_without_database(flavor),
                _ => plugins::catalog(flavor),
            },
            enabled: Enabled::of(&settings.plugins),
        }
    }

    /// All of them.
    pub fn schemas(self) -> &'static [Schema] {
        self.catalog.all()
    }

    /// The plugins that can be configured.
    pub(crate) fn enabled(self) -> Enabled {
        self.enabled
    }

    /// The Admin API's endpoints of these plugins.
    pub fn plugin_endpoints(self) -> Vec<admin::PluginEndpoint> {
        plugin_endpoints::described(self.enabled)
    }

    /// All of them, as stores take them.
    pub fn catalog(self) -> Catalog {
        Catalog::new(self.catalog.all())
    }
}

/// The default router flavour, and every bundled plugin.
impl Default for DeclaredEntities {
    fn default() -> Self {
        Self {
            catalog: plugins::catalog(RouterFlavor::default()),
            enabled: Enabled::bundled(),
        }
    }
}

impl Subschemas for DeclaredEntities {
    fn find(&self, entity: &str, choice: &str) -> Option<&Subschema> {
        if entity == "plugins" && !self.enabled.contains(choice) {
            return None;
        }
        self.catalog.find(entity, choice)
    }

    fn entity(&self, name: &str) -> Option<&Schema> {
        self.catalog.entity(name)
    }
}

/// A store that is open.
pub enum OpenStore {
    Sqlite(Arc<SqliteStore>),
    Declarative(Arc<DeclarativeStore>),
    Postgres(Arc<PostgresStore>),
}

impl OpenStore {
    /// The PostgreSQL store, if it is one.
    pub fn postgres(&self) -> Option<&Arc<PostgresStore>> {
        match self {
            Self::Postgres(store) => Some(store),
            Self::Sqlite(_) | Self::Declarative(_) => None,
        }
    }

    /// Opens the store of the settings; a shared one needs a tokio runtime around it, and is not asked anything yet.
    pub fn open(settings: &Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let catalog = DeclaredEntities::of(settings).catalog();
        match &settings.store {
            StoreChoice::Sqlite { file, .. } => {
                let options = store_sqlite::Options {
                    clock,
                    ..store_sqlite::Options::default()
                };
                open_file(file, catalog, options).map(|store| Self::Sqlite(Arc::new(store)))
            }
            StoreChoice::Declarative { .. } => {
                let log = store_declarative::CHANGE_LOG;
                Ok(Self::Declarative(Arc::new(DeclarativeStore::new(
                    catalog, clock, log,
                )?)))
            }
            StoreChoice::Postgres(place) => {
                let options = postgres::options(settings, place, clock)?;
                let store = PostgresStore::open(catalog, options)?;
                Ok(Self::Postgres(Arc::new(store)))
            }
            StoreChoice::Cassandra => Err(Error::NotBuilt("the store Cassandra")),
        }
    }

    /// The store as everybody else sees it.
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Declarative(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }
}

/// Makes the store's file if it is not there, for nobody but its owner: it will hold keys and credentials. SQLite gives
/// the files beside it the same permissions.
fn make_private(file: &Path) -> Result<(), Error> {
    let mut options = OpenOptions::new();
    let opened = options.append(true).create(true).mode(0o600).open(file);
    opened
        .map(drop)
        .map_err(|source| Error::file("write", file, source))
}

/// Opens the embedded store, which makes its tables or brings them up to date, and closes it again.
pub fn open_store(file: &Path) -> Result<(), Error> {
    let catalog = DeclaredEntities::default().catalog();
    open_file(file, catalog, store_sqlite::Options::default()).map(drop)
}

fn open_file(
    file: &Path,
    catalog: Catalog,
    options: store_sqlite::Options,
) -> Result<SqliteStore, Error> {
    make_private(file)?;
    SqliteStore::open(file, catalog, options).map_err(|error| Error::OpenStore {
        path: file.to_owned(),
        reason: error.to_string(),
    })
}

/// Validated access to the store of the settings, for commands that work without a node but inside a tokio runtime.
pub fn repository(settings: &Settings) -> Result<Repository, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let store = OpenStore::open(settings, Arc::clone(&clock))?.store();
    Ok(repository_over(store, settings, clock))
}

/// Validated access to an open store.
pub fn repository_over(
    store: Arc<dyn Store>,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Repository {
    let declared = DeclaredEntities::of(settings);
    Repository::new(store, declared.catalog(), clock, Arc::new(declared))
}

/// The variable prefix of an `env` vault in the store, by the vault's own prefix: outer none if there is no such vault.
pub fn stored_vault(settings: &Settings, vault: &str) -> Result<Option<Option<String>>, Error> {
    if let StoreChoice::Sqlite { file, .. } = &settings.store
        && !file.exists()
    {
        return Ok(None);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(|source| Error::System {
        what: "no runtime",
        source,
    })?;
    let _entered = runtime.enter();
    let repository = repository(settings)?;
    let Some(schema) = repository.catalog().get("vaults") else {
        return Ok(None);
    };
    let key = Key::Unique("prefix", vault);
    let found = runtime.block_on(repository.store().get(schema, key))?;
    let Some(record) = found.filter(|record| record.get("name").is_some_and(|name| name == "env"))
    else {
        return Ok(None);
    };
    let prefix = record.get("config").and_then(|config| config.get("prefix"));
    Ok(Some(
        prefix.and_then(|prefix| prefix.as_str()).map(str::to_owned),
    ))
}
