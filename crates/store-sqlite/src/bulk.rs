//! Whole contents, in and out: one read transaction that is streamed, one write transaction that is fed.

use std::sync::Arc;

use rusqlite::{Connection, TransactionBehavior};
use schema::{Record, Schema};
use store::bulk::{Sink, Source};
use store::{Error, Mutation, PageRequest, Version};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

use crate::apply::{Operation, Tables};
use crate::read::{self, Request};
use crate::writer::{newest, trim};
use crate::{SqliteStore, closed, database_error};

/// Batches between the thread that works on the file and whoever makes or takes them.
const AHEAD: usize = 2;

/// A batch of records and the place of their table.
type Batch = (usize, Vec<Record>);

/// Streams all records of some entities as they are at one version.
pub(crate) async fn read_all(
    store: &SqliteStore,
    schemas: &[&'static Schema],
    sink: &mut dyn Sink,
) -> Result<Version, Error> {
    let positions = schemas
        .iter()
        .map(|schema| store.tables.position(schema.name))
        .collect::<Result<Vec<_>, _>>()?;
    let (batches, mut arriving) = mpsc::channel::<Batch>(AHEAD);
    let tables = Arc::clone(&store.tables);
    let now = store.clock.unix_seconds();
    let reading = store.readers.run(move |connection| {
        // One transaction, so that whatever is written meanwhile is not seen.
        let transaction = connection.unchecked_transaction().map_err(database_error)?;
        let version = newest(&transaction)?;
        for position in positions {
            send_table(&transaction, &tables, position, now, &batches)?;
        }
        Ok(version)
    });
    // Its end of the channel goes with it, so that the reader ends as well when the sink fails.
    let taking = async move {
        while let Some((position, records)) = arriving.recv().await {
            let schema = store.tables.tables[position].schema;
            sink.take(schema, records).await?;
        }
        Ok(())
    };
    let (read, taken) = tokio::join!(reading, taking);
    taken.and(read)
}

fn send_table(
    connection: &Connection,
    tables: &Tables,
    position: usize,
    now: i64,
    batches: &mpsc::Sender<Batch>,
) -> Result<(), Error> {
    let mut request = Request::from(&PageRequest {
        size: PageRequest::MAX_SIZE,
        ..PageRequest::default()
    });
    loop {
        let page = read::page(connection, &tables.tables[position], &request, now)?;
        batches
            .blocking_send((position, page.records))
            .map_err(|_| closed())?;
        match page.offset {
            None => return Ok(()),
            offset => request.offset = offset,
        }
    }
}

/// A whole content on its way to the disk.
pub(crate) struct Replacement {
    arriving: mpsc::Receiver<Step>,
    reply: oneshot::Sender<Result<Version, Error>>,
    /// Its place in the queue.
    _permit: OwnedSemaphorePermit,
}

/// What the writer is fed with.
enum Step {
    Apply(Vec<Operation>),
    /// Without it, nothing is committed.
    End,
}

/// Makes what the source gives the whole content of some entities.
pub(crate) async fn replace_all(
    store: &SqliteStore,
    schemas: &[&'static Schema],
    source: &mut dyn Source,
) -> Result<Version, Error> {
    let now = store.clock.unix_seconds();
    let (feed, arriving) = mpsc::channel(AHEAD);
    let (reply, answer) = oneshot::channel();
    store
        .enqueue(|permit| {
            crate::writer::Task::Replace(Replacement {
                arriving,
                reply,
                _permit: permit,
            })
        })
        .await?;
    let encode = |mutation: &Mutation<'_>| store.tables.encode(mutation, now);
    let truncate = schemas.iter().rev().map(|s| encode(&Mutation::Truncate(s)));
    let mut step = Step::Apply(truncate.collect::<Result<_, _>>()?);
    // A writer that no longer listens has failed, and its answer says why.
    while feed.send(step).await.is_ok() {
        step = match source.next().await? {
            None => {
                // As above.
                let _ = feed.send(Step::End).await;
                break;
            }
            Some((schema, records)) => {
                let inserts = records
                    .into_iter()
                    .map(|record| encode(&Mutation::Insert(schema, record)));
                Step::Apply(inserts.collect::<Result<_, _>>()?)
            }
        };
    }
    answer.await.map_err(|_| closed())?
}

impl Replacement {
    /// One transaction from the first step to the last; undone if the last does not come.
    pub(crate) fn run(
        mut self,
        connection: &mut Connection,
        tables: &Tables,
        now: i64,
        change_log: u64,
    ) {
        let result = self.apply(connection, tables, now, change_log);
        // Dropped first, so that nobody goes on feeding.
        drop(self.arriving);
        // Nobody may be waiting any more; a commit holds all the same.
        let _ = self.reply.send(result);
    }

    fn apply(
        &mut self,
        connection: &mut Connection,
        tables: &Tables,
        now: i64,
        change_log: u64,
    ) -> Result<Version, Error> {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(database_error)?;
        loop {
            match self.arriving.blocking_recv() {
                Some(Step::Apply(operations)) => operations
                    .iter()
                    .try_for_each(|operation| tables.apply(&transaction, operation, now))?,
                Some(Step::End) => break,
                None => return Err(Error::Database("the new content is incomplete".to_owned())),
            }
        }
        let version = newest(&transaction)?;
        trim(&transaction, change_log)?;
        transaction.commit().map_err(database_error)?;
        Ok(version)
    }
}
