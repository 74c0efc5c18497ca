//! Connections that read, a few at a time, on threads that may block.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::{Connection, OpenFlags};
use store::Error;
use tokio::sync::Semaphore;

use crate::{closed, database_error, prepare};

/// The connections of one file.
pub(crate) struct Readers {
    path: PathBuf,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// At most `limit` queries at the same time, at least one.
    pub(crate) fn new(path: &Path, limit: usize) -> Self {
        Self {
            path: path.to_owned(),
            places: Arc::new(Semaphore::new(limit.max(1))),
            idle: Arc::default(),
        }
    }

    /// Runs a query on a connection of its own.
    pub(crate) async fn run<T, F>(&self, query: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        let permit = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        let path = self.path.clone();
        let work = move || {
            let _permit = permit;
            let pooled = idle.lock().pop();
            let connection = match pooled {
                Some(connection) => connection,
                None => connect(&path)?,
            };
            let answer = query(&connection);
            idle.lock().push(connection);
            answer
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| Error::Database(format!("a query ended early: {error}")))?
    }
}

fn connect(path: &Path) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(database_error)?;
    prepare(&connection).map_err(database_error)?;
    connection
        .execute_batch("PRAGMA query_only = ON;")
        .map_err(database_error)?;
    Ok(connection)
}
