//! Stores as commands use them that work without a node.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use config::{Settings, StoreChoice};
use declarative::last_good;
use stdx::{Clock, ManualClock, Moment, SystemClock};
use store::{Catalog, Store};
use store_declarative::DeclarativeStore;
use store_sqlite::SqliteStore;

use crate::declarative_config::LAST_GOOD;
use crate::stores::{DeclaredEntities, OpenStore};
use crate::{Error, Prefix};

/// The store of the settings, which needs a tokio runtime around it. Without a database it holds what the node in the
/// prefix has in use, and takes no writes.
///
/// # Errors
/// A store that cannot be opened, and no configuration where there is no database.
pub fn store(settings: &Settings) -> Result<Arc<dyn Store>, Error> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if !matches!(settings.store, StoreChoice::Declarative { .. }) {
        Prefix::new(&settings.prefix).prepare()?;
        return Ok(OpenStore::open(settings, clock)?.store());
    }
    let catalog = DeclaredEntities::of(settings).catalog();
    let copy = settings.prefix.join(LAST_GOOD);
    let shown = copy.display();
    let config = match last_good::load(&copy, &catalog) {
        Ok(Some(config)) => config,
        Ok(None) => {
            return Err(Error::Configuration(format!(
                "no node has had a configuration in use here: there is no {shown}"
            )));
        }
        Err(error) => return Err(Error::Configuration(format!("{shown}: {error}"))),
    };
    let store = DeclarativeStore::new(catalog, clock, store_declarative::CHANGE_LOG)?;
    store.try_replace_all(config.records())?;
    Ok(Arc::new(store))
}

/// An empty embedded store in a new file, whose clock stands still.
///
/// # Errors
/// A file that cannot be made.
pub fn scratch_store(file: &Path, catalog: Catalog, now: Moment) -> Result<Arc<dyn Store>, Error> {
    let since = Duration::from_secs(u64::try_from(now.seconds).unwrap_or(0));
    let options = store_sqlite::Options {
        clock: Arc::new(ManualClock::at(UNIX_EPOCH + since)),
        ..store_sqlite::Options::default()
    };
    let opened = SqliteStore::open(file, catalog, options);
    let store = opened.map_err(|error| Error::OpenStore {
        path: file.to_owned(),
        reason: error.to_string(),
    })?;
    Ok(Arc::new(store))
}
