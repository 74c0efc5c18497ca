//! The change log: what triggers write, whoever changes a row, and how readers follow it.
//!
//! Invariant: a reader that sees a version has seen, or can see, every smaller one that will ever be.
//! The triggers run at the end of their transaction and take their numbers under a lock that is held until it is
//! over, so numbers become visible in their order, and a transaction that is open for long delays nobody.

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Transaction};
use futures_util::future::try_join3;
use store::{Changes, Error, Event, EventKind, Version};
use uuid::Uuid;

use crate::cell::Micros;
use crate::cluster_events::Messages;
use crate::failure::Failure;
use crate::pool::Query;

/// The bounds of the log; null for an empty one.
const BOUNDS: &str = "SELECT min(version), max(version) FROM silverback_changes";

/// The newest version; zero for an empty log.
const NEWEST: &str = "SELECT coalesce(max(version), 0) FROM silverback_changes";

/// Forgets everything up to a version.
const TRIM: &str = "DELETE FROM silverback_changes WHERE version <= $1";

/// Ends a transaction: its events get their numbers, Kong's nodes are told, and it is committed; the answer is the
/// version that it makes. The log is shortened where it is twice as long as it has to be.
///
/// Perf: commits wait for each other, but not for the disk; [`flush`] has to follow before anybody is told of success.
pub(crate) async fn close(
    transaction: Transaction<'_>,
    messages: Messages,
    keep: u64,
) -> Result<Version, Failure> {
    let messages = messages.seal(&transaction).await?;
    let bounds = transaction.prepare_cached(BOUNDS).await?;
    // Perf: sent at once and done in this order, because everybody else waits from the first one to the commit.
    let (_, row, ()) = try_join3(
        transaction
            .batch_execute("SET LOCAL synchronous_commit = off; SET CONSTRAINTS ALL IMMEDIATE"),
        transaction.query_one(&bounds, &[]),
        messages.write(&transaction),
    )
    .await?;
    let bounds: (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    if let (Some(oldest), Some(newest)) = bounds
        && let Some(last) = trim_to(oldest, newest, keep)
    {
        let trim = transaction.prepare_cached(TRIM).await?;
        transaction.execute(&trim, &[&last]).await?;
    }
    let committed = transaction.commit().await;
    committed.map_err(|error| Failure::from(error).in_doubt())?;
    Ok(version_of(bounds.1.unwrap_or(0)))
}

/// Waits until everything that was committed before is as durable as the server makes things, standbys included.
///
/// It is a small commit of its own, and many that wait at the same time wait for one write of the disk.
pub(crate) async fn flush(client: &ClientWrapper) -> Result<(), Failure> {
    let flush = async {
        let sql = "SELECT pg_logical_emit_message(true, 'silverback', '')";
        let statement = client.prepare_cached(sql).await?;
        client.execute(&statement, &[]).await.map(drop)
    };
    flush.await.map_err(|error| Failure::from(error).in_doubt())
}

/// The version up to which a log with these bounds is to be forgotten.
fn trim_to(oldest: i64, newest: i64, keep: u64) -> Option<i64> {
    let keep = i64::try_from(keep).unwrap_or(i64::MAX);
    let long = newest.saturating_sub(oldest) >= keep.saturating_mul(2);
    long.then(|| newest.saturating_sub(keep))
}

/// A number of the change log as a version.
pub(crate) fn version_of(number: i64) -> Version {
    Version(u64::try_from(number).unwrap_or(0))
}

/// Shortens the log where it is too long; writers other than this program never do.
pub(crate) struct Trim {
    pub(crate) keep: u64,
}

#[async_trait]
impl Query for Trim {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        let row = client.query_one(BOUNDS, &[]).await?;
        let (oldest, newest): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
        if let (Some(oldest), Some(newest)) = (oldest, newest)
            && let Some(last) = trim_to(oldest, newest, self.keep)
        {
            client.execute(TRIM, &[&last]).await?;
        }
        Ok(())
    }
}

/// The newest version.
pub(crate) struct Newest;

#[async_trait]
impl Query for Newest {
    type Output = Version;

    async fn run(&self, client: &ClientWrapper) -> Result<Version, Failure> {
        let statement = client.prepare_cached(NEWEST).await?;
        let row = client.query_one(&statement, &[]).await?;
        Ok(version_of(row.try_get(0)?))
    }
}

/// The newest version that a transaction sees.
pub(crate) async fn newest(
    transaction: &Transaction<'_>,
) -> Result<Version, tokio_postgres::Error> {
    let statement = transaction.prepare_cached(NEWEST).await?;
    let row = transaction.query_one(&statement, &[]).await?;
    Ok(version_of(row.try_get(0)?))
}

/// Where the log ends; version zero for an empty one.
pub(crate) struct End;

#[async_trait]
impl Query for End {
    type Output = Place;

    async fn run(&self, client: &ClientWrapper) -> Result<Place, Failure> {
        let sql =
            "SELECT version, written_at FROM silverback_changes ORDER BY version DESC LIMIT 1";
        let statement = client.prepare_cached(sql).await?;
        let row = client.query_opt(&statement, &[]).await?;
        Ok(match row {
            Some(row) => Place {
                version: version_of(row.try_get(0)?),
                written: Some(row.try_get(1)?),
            },
            None => Place {
                version: Version(0),
                written: None,
            },
        })
    }
}

/// When the event of a version was written; `None` if the log does not have it.
pub(crate) struct Written(pub(crate) Version);

#[async_trait]
impl Query for Written {
    type Output = Option<Micros>;

    async fn run(&self, client: &ClientWrapper) -> Result<Option<Micros>, Failure> {
        let sql = "SELECT written_at FROM silverback_changes WHERE version = $1";
        let statement = client.prepare_cached(sql).await?;
        let number = i64::try_from(self.0.0).unwrap_or(i64::MAX);
        let row = client.query_opt(&statement, &[&number]).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }
}

/// Where a reader got to: a version and when its event was written, which tells histories apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) version: Version,
    pub(crate) written: Option<Micros>,
}

impl Place {
    /// Whether this is elsewhere, or in another history, than a version whose event was written at a certain moment.
    pub(crate) fn differs(&self, version: Version, written: Option<Micros>) -> bool {
        let other_history = match (self.written, written) {
            (Some(one), Some(other)) => one != other,
            _ => false,
        };
        self.version != version || other_history
    }
}

/// Everything after a version.
pub(crate) struct Read {
    pub(crate) since: Version,
    /// The most events that are read at once; whoever is further behind reads less by reading everything.
    pub(crate) most: u64,
    /// When the event of that version was written, if this program has seen it.
    pub(crate) written: Option<Micros>,
}

/// One snapshot: the bounds, the event at the place, and the events after it unless they are incomplete or too many.
const CHANGES: &str = "
    WITH bounds AS (SELECT min(version) AS oldest, max(version) AS newest FROM silverback_changes)
    SELECT oldest, newest,
        (SELECT written_at FROM silverback_changes WHERE version = $1),
        (SELECT written_at FROM silverback_changes WHERE version = newest),
        version, entity, entity_id, operation
    FROM bounds LEFT JOIN silverback_changes
        ON version > $1 AND oldest <= $1 + 1 AND newest - $1 <= $2
    ORDER BY version";

#[async_trait]
impl Query for Read {
    type Output = (Changes, Place);

    async fn run(&self, client: &ClientWrapper) -> Result<Self::Output, Failure> {
        let statement = client.prepare_cached(CHANGES).await?;
        let since = i64::try_from(self.since.0).unwrap_or(i64::MAX - 1);
        let most = i64::try_from(self.most).unwrap_or(i64::MAX);
        let rows = client.query(&statement, &[&since, &most]).await?;
        let Some(first) = rows.first() else {
            return Err(Error::Database("the change log does not answer".to_owned()).into());
        };
        let (oldest, newest): (Option<i64>, Option<i64>) = (first.try_get(0)?, first.try_get(1)?);
        let at_since: Option<Micros> = first.try_get(2)?;
        let until = version_of(newest.unwrap_or(0));
        let place = Place {
            version: until,
            written: first.try_get(3)?,
        };
        let reload = (Changes::Reload { from: until }, place);
        let other_history = match (self.written, at_since) {
            (Some(seen), Some(there)) => seen != there,
            _ => false,
        };
        if self.since > until || other_history {
            return Ok(reload);
        }
        if self.since == until {
            let events = Vec::new();
            return Ok((Changes::Events { until, events }, place));
        }
        let is_too_long = until.0 - self.since.0 > self.most;
        if is_too_long || oldest.is_none_or(|oldest| oldest > since.saturating_add(1)) {
            return Ok(reload);
        }
        let mut events = Vec::with_capacity(rows.len());
        for row in &rows {
            match event(row)? {
                Some(event) => events.push(event),
                None => return Ok(reload),
            }
        }
        Ok((Changes::Events { until, events }, place))
    }
}

/// The event of a row; `None` for one that says no more than that a whole table was emptied.
fn event(row: &tokio_postgres::Row) -> Result<Option<Event>, Failure> {
    let operation: String = row.try_get(7)?;
    let operation = match operation.as_str() {
        "insert" => EventKind::Create,
        "update" => EventKind::Update,
        "delete" => EventKind::Delete,
        _ => return Ok(None),
    };
    let id: Option<Uuid> = row.try_get(6)?;
    let version: i64 = row.try_get(4)?;
    let entity = row.try_get(5)?;
    Ok(id.map(|id| Event {
        version: version_of(version),
        entity,
        id,
        operation,
    }))
}
