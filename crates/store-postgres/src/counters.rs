//! Counters of rate limits, in Kong's tables `ratelimiting_metrics` and `response_ratelimiting_metrics`.
//!
//! They have a connection of their own, over which many ask at the same time: traffic does not queue behind the
//! configuration, nor the configuration behind traffic. Commits do not wait for the disk; a crash of the database may cost
//! the last moments of counting.

use std::sync::Arc;

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use stdx::counting::{Subject, Taken, Window};
use store::{Counters, Error};
use tokio::sync::Mutex;

use crate::failure::Failure;
use crate::pool::{Dedicated, Query, too_slow, within};
use crate::{PostgresStore, Shared};

const TAKE: &str = "SELECT granted, used FROM silverback_take($1, $2, $3, $4, $5, $6, $7)";

/// Rows are written in the order of their periods, so that two writers never wait for each other.
const ADD_USAGE: &str = "
    INSERT INTO response_ratelimiting_metrics AS held
        (identifier, period, period_date, service_id, route_id, value)
    SELECT $1, period, to_timestamp(start), $2, $3, $6
    FROM unnest($4::text[], $5::bigint[]) AS wanted (period, start) ORDER BY period
    ON CONFLICT (identifier, period, period_date, service_id, route_id)
    DO UPDATE SET value = coalesce(held.value, 0) + EXCLUDED.value";

const USAGE: &str = "
    SELECT coalesce(held.value, 0)::bigint
    FROM unnest($4::text[], $5::bigint[]) WITH ORDINALITY AS wanted (period, start, place)
    LEFT JOIN response_ratelimiting_metrics held ON held.identifier = $1
        AND held.service_id = $2 AND held.route_id = $3
        AND held.period = wanted.period AND held.period_date = to_timestamp(wanted.start)
    ORDER BY place";

/// What was used in windows that are over. Kong keeps these rows for ever; those of requests have a time to live.
/// A period is the name of a limit and that of a window. Windows are left alone for some time after their end, because
/// clocks differ.
const FORGET_USAGE: &str = "
    DELETE FROM response_ratelimiting_metrics WHERE ctid = ANY (ARRAY(
        SELECT held.ctid FROM response_ratelimiting_metrics held
        JOIN (VALUES ('second', interval '1 minute'), ('minute', interval '1 hour'),
                     ('hour', interval '1 day'), ('day', interval '2 days'),
                     ('month', interval '32 days'), ('year', interval '367 days')
             ) AS kept (name, time)
        ON substring(held.period from '[^_]*$') = kept.name
        WHERE held.period_date < now() - kept.time LIMIT 10000 FOR UPDATE OF held SKIP LOCKED))";

/// The connection while there is one.
#[derive(Default)]
pub(crate) struct CounterLine(Mutex<Option<Arc<Dedicated>>>);

impl CounterLine {
    async fn connection(&self, shared: &Shared) -> Result<Arc<Dedicated>, Error> {
        let mut line = self.0.lock().await;
        if let Some(open) = line.as_ref().filter(|line| !line.client.is_closed()) {
            return Ok(Arc::clone(open));
        }
        shared.prepared().await?;
        let options = &shared.options;
        let opened = Dedicated::connect(options, options.timeout, ()).await?;
        let set_up = opened.client.batch_execute("SET synchronous_commit = off");
        within(options.timeout, set_up).await?;
        let opened = Arc::new(opened);
        *line = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Asks over the connection. What was lost with a connection is not asked again: it may have been counted.
    async fn ask<Q: Query>(&self, shared: &Shared, query: &Q) -> Result<Q::Output, Error> {
        let connection = self.connection(shared).await?;
        let asking = Query::run(query, &connection.client);
        let answer = match tokio::time::timeout(shared.options.timeout, asking).await {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::Broken(too_slow()),
        };
        if !matches!(answer, Failure::Final(_)) {
            let mut line = self.0.lock().await;
            line.take_if(|line| Arc::ptr_eq(line, &connection));
        }
        Err(answer.into_error())
    }
}

#[async_trait]
impl Counters for PostgresStore {
    async fn take(&self, subject: &Subject, windows: &[Window]) -> Result<Taken, Error> {
        let take = Take(Wanted::new(subject, windows));
        self.shared.counters.ask(&self.shared, &take).await
    }

    async fn add_usage(
        &self,
        subject: &Subject,
        windows: &[Window],
        amount: i64,
    ) -> Result<(), Error> {
        // The column holds no more.
        let amount = i32::try_from(amount).unwrap_or(if amount < 0 { i32::MIN } else { i32::MAX });
        let add = AddUsage(Wanted::new(subject, windows), amount);
        self.shared.counters.ask(&self.shared, &add).await
    }

    async fn usage(&self, subject: &Subject, windows: &[Window]) -> Result<Vec<f64>, Error> {
        let read = Usage(Wanted::new(subject, windows));
        self.shared.counters.ask(&self.shared, &read).await
    }
}

/// Counters as statements name them.
struct Wanted<'a> {
    subject: &'a Subject,
    periods: Vec<&'a str>,
    starts: Vec<i64>,
    windows: &'a [Window],
}

impl<'a> Wanted<'a> {
    fn new(subject: &'a Subject, windows: &'a [Window]) -> Self {
        Self {
            subject,
            periods: windows.iter().map(|window| &*window.period).collect(),
            starts: windows.iter().map(|window| window.start).collect(),
            windows,
        }
    }
}

struct Take<'a>(Wanted<'a>);

#[async_trait]
impl Query for Take<'_> {
    type Output = Taken;

    async fn run(&self, client: &ClientWrapper) -> Result<Taken, Failure> {
        let Self(wanted) = self;
        let lengths: Vec<_> = wanted.windows.iter().map(|w| i64::from(w.length)).collect();
        let limits: Vec<_> = wanted.windows.iter().map(|window| window.limit).collect();
        let statement = client.prepare_cached(TAKE).await?;
        let row = client
            .query_one(
                &statement,
                &[
                    &wanted.subject.identifier,
                    &wanted.subject.service,
                    &wanted.subject.route,
                    &wanted.periods,
                    &wanted.starts,
                    &lengths,
                    &limits,
                ],
            )
            .await?;
        Ok(Taken {
            granted: row.try_get(0)?,
            used: row.try_get(1)?,
        })
    }
}

struct AddUsage<'a>(Wanted<'a>, i32);

#[async_trait]
impl Query for AddUsage<'_> {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        let Self(wanted, amount) = self;
        let subject = wanted.subject;
        let statement = client.prepare_cached(ADD_USAGE).await?;
        client
            .execute(
                &statement,
                &[
                    &subject.identifier,
                    &subject.service,
                    &subject.route,
                    &wanted.periods,
                    &wanted.starts,
                    amount,
                ],
            )
            .await?;
        Ok(())
    }
}

struct Usage<'a>(Wanted<'a>);

#[async_trait]
impl Query for Usage<'_> {
    type Output = Vec<f64>;

    #[expect(
        clippy::cast_precision_loss,
        reason = "the column holds nothing that a double does not"
    )]
    async fn run(&self, client: &ClientWrapper) -> Result<Vec<f64>, Failure> {
        let Self(wanted) = self;
        let subject = wanted.subject;
        let statement = client.prepare_cached(USAGE).await?;
        let rows = client
            .query(
                &statement,
                &[
                    &subject.identifier,
                    &subject.service,
                    &subject.route,
                    &wanted.periods,
                    &wanted.starts,
                ],
            )
            .await?;
        let values = rows.iter().map(|row| Ok(row.try_get::<_, i64>(0)? as f64));
        values.collect()
    }
}

/// Removes what was used in windows that are over.
pub(crate) struct ForgetUsage;

#[async_trait]
impl Query for ForgetUsage {
    type Output = ();

    async fn run(&self, client: &ClientWrapper) -> Result<(), Failure> {
        Ok(client.batch_execute(FORGET_USAGE).await?)
    }
}
