//! PostgreSQL as the settings describe it, and whether a node can work with what is in it.

use std::sync::Arc;

use config::{PemSource, Postgres, Settings};
use stdx::Clock;
use store_postgres::{Options, Tls};

pub use store_postgres::Migrations;
pub use store_postgres::migrations::{Outcome, Status, Subsystem};

use crate::Error;
use crate::stores::DeclaredEntities;

/// What the store is told.
///
/// # Errors
/// `Certificate` if an authority of `lua_ssl_trusted_certificate` cannot be read.
pub fn options(
    settings: &Settings,
    place: &Postgres,
    clock: Arc<dyn Clock>,
) -> Result<Options, Error> {
    let replica = match &place.reader {
        Some(reader) => Some(Box::new(options(settings, reader, clock.clone())?)),
        None => None,
    };
    Ok(Options {
        replica,
        hosts: place.hosts.clone(),
        user: place.user.clone(),
        password: place.password.clone(),
        database: place.database.clone(),
        schema: place.schema.clone(),
        tls: tls(settings, place)?,
        timeout: place.timeout,
        pool_size: place.pool_size,
        max_concurrent_queries: place.max_concurrent_queries,
        semaphore_timeout: place.semaphore_timeout,
        keepalive: place.keepalive,
        clock,
        ..Options::default()
    })
}

/// Compat: without `pg_ssl_verify`, a server that offers no TLS is talked to in the clear, as Kong does.
fn tls(settings: &Settings, place: &Postgres) -> Result<Tls, Error> {
    if !place.ssl {
        return Ok(Tls::Off);
    }
    if !place.ssl_verify {
        return Ok(Tls::Preferred(None));
    }
    let mut authorities = Vec::new();
    for source in &settings.tls.trusted {
        let pem = PemSource::load(source)
            .map_err(|error| Error::Certificate(format!("lua_ssl_trusted_certificate: {error}")))?;
        authorities.extend_from_slice(pem.expose().as_bytes());
        authorities.push(b'\n');
    }
    Ok(Tls::Verified {
        authorities,
        system: settings.tls.trust_system,
        identity: None,
    })
}

/// The migrations of the database that `options` name.
pub fn migrations<'o>(settings: &Settings, options: &'o Options) -> Migrations<'o> {
    Migrations::new(options, DeclaredEntities::of(settings).catalog())
}

/// What somebody has to do before a node can work with a database; `None` if it can.
///
/// Pending migrations keep nobody from working, and this program's own additions are made when they are missing.
pub fn obstacle(status: &Status) -> Option<Obstacle> {
    if !status.bootstrapped {
        return Some(Obstacle::NeedsBootstrap);
    }
    status.has_new().then_some(Obstacle::NewMigrations)
}

/// Makes sure that a node can work with the database.
///
/// # Errors
/// `Obstacle` if somebody has to do something first, `Store` with `Unavailable` if the database does not answer.
pub async fn check(settings: &Settings, options: &Options) -> Result<(), Error> {
    let migrations = migrations(settings, options);
    let status = match tokio::time::timeout(options.timeout, migrations.status()).await {
        Ok(status) => status?,
        Err(_) => {
            let reason = "the database does not answer in time".to_owned();
            return Err(store::Error::Unavailable(reason).into());
        }
    };
    if let Some(obstacle) = obstacle(&status) {
        return Err(obstacle.into());
    }
    if status.has_pending() {
        tracing::warn!("database has pending migrations; finish them with Kong 3.9");
    }
    Ok(())
}

/// What keeps a node from working with a database.
///
/// Compat: the words are Kong's, for scripts that wait for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    #[error(
        "Database needs bootstrapping or is older than Kong 1.0.\n\n\
         To start a new installation from scratch, run 'silverback migrations bootstrap'.\n\n\
         To keep the data of a version older than 3.9, migrate it with Kong 3.9 first."
    )]
    NeedsBootstrap,
    #[error(
        "New migrations available; an older Kong migrated the database: \
         run 'kong migrations up' and 'kong migrations finish' of Kong 3.9 to proceed"
    )]
    NewMigrations,
}

#[cfg(test)]
mod tests;
