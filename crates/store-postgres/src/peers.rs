//! The register of nodes: a table of rows that the nodes renew, and two channels on which they call each other.

use std::pin::Pin;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use store::{Error, Peer, Peers, Version, Word};
use tokio_postgres::Row;
use uuid::Uuid;

use crate::cell::Micros;
use crate::failure::Failure;
use crate::line::{REPORTS, ROLL};
use crate::log::version_of;
use crate::pool::Query;
use crate::{PostgresStore, words};

#[async_trait]
impl Peers for PostgresStore {
    async fn report(&self, own: &Peer, loud: bool) -> Result<(), Error> {
        self.shared.ask(&Report { own, loud }).await
    }

    async fn list(&self) -> Result<(Vec<Peer>, SystemTime), Error> {
        self.shared.ask(&List).await
    }

    async fn forget(&self, id: Uuid) -> Result<(), Error> {
        self.shared.ask(&Forget(id)).await
    }

    async fn call_roll(&self, version: Version) -> Result<(), Error> {
        self.shared.ask(&CallRoll(version)).await
    }

    async fn roll_called(&self, beyond: Version) -> Version {
        let mut roll = self.shared.heard.roll.subscribe();
        let called = roll.wait_for(|version| *version > beyond).await;
        match called.map(|version| *version) {
            Ok(version) => version,
            // The sender lives as long as this store.
            Err(_) => std::future::pending().await,
        }
    }

    // Not an async function, because it has to listen from the call on, not from the first poll.
    fn reported<'a, 'f>(&'a self) -> Pin<Box<dyn Future<Output = ()> + Send + 'f>>
    where
        'a: 'f,
    {
        let mut reports = self.shared.heard.reports.subscribe();
        Box::pin(async move {
            if reports.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    async fn tell(&self, word: &Word) -> Result<(), Error> {
        words::tell(&self.shared, word).await
    }

    fn listen(&self, channel: &str) {
        self.shared.words.listen(channel);
    }

    async fn told(&self) -> Vec<Word> {
        self.shared.words.take().await
    }
}

/// Writes a node's row.
struct Report<'a> {
    own: &'a Peer,
    loud: bool,
}

#[async_trait]
impl Query for Report<'_> {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        let sql = format!(
            "WITH written AS (
                INSERT INTO silverback_nodes
                    (id, hostname, addresses, program, started_at, applied, last_seen)
                VALUES ($1, $2, $3, $4, $5, $6, clock_timestamp())
                ON CONFLICT (id) DO UPDATE SET hostname = EXCLUDED.hostname,
                    addresses = EXCLUDED.addresses, program = EXCLUDED.program,
                    started_at = EXCLUDED.started_at, applied = EXCLUDED.applied,
                    last_seen = EXCLUDED.last_seen
                RETURNING id)
            SELECT pg_notify('{REPORTS}', current_schema()) FROM written WHERE $7"
        );
        let own = self.own;
        let statement = client.prepare_cached(&sql).await?;
        let started = micros_of(own.started_at);
        let applied = number_of(own.applied);
        client
            .execute(
                &statement,
                &[
                    &own.id,
                    &own.hostname,
                    &own.addresses,
                    &own.program,
                    &started,
                    &applied,
                    &self.loud,
                ],
            )
            .await?;
        Ok(())
    }
}

/// Every node, and the database's time.
struct List;

#[async_trait]
impl Query for List {
    type Output = (Vec<Peer>, SystemTime);

    async fn run(&self, client: &ClientWrapper) -> Result<Self::Output, Failure> {
        let sql = "SELECT now, id, hostname, addresses, program, started_at, last_seen, applied \
                   FROM (SELECT clock_timestamp() AS now) AS clock LEFT JOIN silverback_nodes ON true \
                   ORDER BY started_at, id";
        let statement = client.prepare_cached(sql).await?;
        let rows = client.query(&statement, &[]).await?;
        let first = rows.first().map(|row| row.try_get(0)).transpose()?;
        let now = first.map_or(SystemTime::UNIX_EPOCH, time_of);
        let peers: Result<Vec<_>, _> = rows
            .iter()
            .filter_map(|row| peer(row).transpose())
            .collect();
        Ok((peers?, now))
    }
}

/// The node of a row; `None` for the row that says only what time it is.
fn peer(row: &Row) -> Result<Option<Peer>, tokio_postgres::Error> {
    let Some(id) = row.try_get(1)? else {
        return Ok(None);
    };
    Ok(Some(Peer {
        id,
        hostname: row.try_get(2)?,
        addresses: row.try_get(3)?,
        program: row.try_get(4)?,
        started_at: time_of(row.try_get(5)?),
        last_seen: time_of(row.try_get(6)?),
        applied: version_of(row.try_get(7)?),
    }))
}

/// Removes a node's row.
struct Forget(Uuid);

#[async_trait]
impl Query for Forget {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        let sql = "DELETE FROM silverback_nodes WHERE id = $1";
        let statement = client.prepare_cached(sql).await?;
        client.execute(&statement, &[&self.0]).await?;
        Ok(())
    }
}

/// Asks every node to report.
struct CallRoll(Version);

#[async_trait]
impl Query for CallRoll {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        let sql = format!("SELECT pg_notify('{ROLL}', $1::bigint || ' ' || current_schema())");
        let statement = client.prepare_cached(&sql).await?;
        client.execute(&statement, &[&number_of(self.0)]).await?;
        Ok(())
    }
}

/// A version as a number of the change log.
fn number_of(version: Version) -> i64 {
    i64::try_from(version.0).unwrap_or(i64::MAX)
}

fn micros_of(time: SystemTime) -> Micros {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    let micros = since.unwrap_or_default().as_micros();
    Micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

fn time_of(Micros(micros): Micros) -> SystemTime {
    let since = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
    // A moment that the system's clock cannot hold is as good as none.
    SystemTime::UNIX_EPOCH
        .checked_add(since)
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
