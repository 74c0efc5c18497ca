//! Whole contents, in and out, each in one transaction on a connection of its own, so that the pool stays free.

use std::time::Duration;

use deadpool_postgres::{ClientWrapper, Transaction};
use futures_util::future::try_join_all;
use schema::{Record, Schema};
use store::bulk::{Sink, Source};
use store::{Error, PageRequest, Version};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::Shared;
use crate::apply::default_workspace;
use crate::cell::Micros;
use crate::cluster_events::{Change, Messages};
use crate::failure::Failure;
use crate::log::{self, Newest};
use crate::pool::{Dedicated, Query};
use crate::read::ReadPage;
use crate::table::{Table, WORKSPACE};

/// Statements that are on their way at the same time.
const PIPELINE: usize = 128;

/// Rows that are fetched at a time.
const ROWS: i32 = 1000;

/// A page of records takes longer than what a request needs, and whoever takes it may have to wait for a disk.
const PATIENCE: u32 = 24;

/// Streams all records of some entities as they are at one version.
pub(crate) async fn read_all(
    shared: &Shared,
    schemas: &[&'static Schema],
    sink: &mut dyn Sink,
) -> Result<Version, Error> {
    shared.prepared().await?;
    let limit = shared.options.timeout.saturating_mul(PATIENCE);
    let connection = Dedicated::connect(&shared.options, limit, ()).await?;
    let client = &connection.client;
    // The transaction ends with the connection. Perf: pages come in the order of the key's index; a server without
    // statistics, as after a restore, would sort the whole table for each.
    let begin = client.batch_execute(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_sort = off",
    );
    begin
        .await
        .map_err(Failure::from)
        .map_err(Failure::into_error)?;
    let version = query(client, &Newest).await?;
    for schema in schemas {
        let table = shared.tables.of(schema)?;
        let mut request = PageRequest {
            size: PageRequest::MAX_SIZE,
            ..PageRequest::default()
        };
        loop {
            let read = ReadPage {
                table,
                request: &request,
                now: shared.now(),
            };
            let page = query(client, &read).await?;
            sink.take(schema, page.records).await?;
            match page.offset {
                None => break,
                offset => request.offset = offset,
            }
        }
    }
    Ok(version)
}

async fn query<Q: Query>(client: &ClientWrapper, query: &Q) -> Result<Q::Output, Error> {
    query.run(client).await.map_err(Failure::into_error)
}

/// Makes what the source gives the whole content of some entities.
pub(crate) async fn replace_all(
    shared: &Shared,
    schemas: &[&'static Schema],
    source: &mut dyn Source,
) -> Result<Version, Error> {
    shared.prepared().await?;
    // The log of a large content is written when the transaction ends, which may take minutes.
    let mut connection = Dedicated::connect(&shared.options, Duration::ZERO, ()).await?;
    let replaced = replace(shared, &mut connection.client, schemas, source).await;
    let version = replaced.map_err(Failure::into_error)?;
    shared.announce(version);
    Ok(version)
}

async fn replace(
    shared: &Shared,
    client: &mut ClientWrapper,
    schemas: &[&'static Schema],
    source: &mut dyn Source,
) -> Result<Version, Failure> {
    let tables = schemas
        .iter()
        .map(|schema| shared.tables.of(schema))
        .collect::<Result<Vec<_>, _>>()?;
    let transaction = client.transaction().await?;
    let names: Vec<_> = tables.iter().map(|table| table.name()).collect();
    if !names.is_empty() {
        // Others go on reading; what they would write could end up beside the new content.
        let lock = format!(
            "LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE",
            names.join(", ")
        );
        transaction.batch_execute(&lock).await?;
    }
    let workspace = default_workspace(&transaction).await?;
    let now = shared.now();
    let mut messages = Messages::default();
    for table in tables.iter().rev() {
        tell_of_deletion(&transaction, table, workspace, now, &mut messages).await?;
        let mut sql = format!("DELETE FROM {}", table.name());
        if table.schema.workspaceable {
            sql.push_str(&format!(" WHERE \"ws_id\" = {WORKSPACE}"));
        }
        transaction.execute(&sql, &[]).await?;
    }
    while let Some((schema, records)) = source.next().await? {
        let table = shared.tables.of(schema)?;
        insert(&transaction, table, &records, workspace, now).await?;
        let workspace = Some(workspace).filter(|_| schema.workspaceable);
        for record in &records {
            let change = Change {
                before: None,
                after: Some(record),
            };
            messages.add(schema, workspace, change);
        }
    }
    let version = log::close(transaction, messages, shared.options.change_log).await?;
    log::flush(client).await?;
    Ok(version)
}

/// Adds what Kong's nodes have to forget when a table is emptied.
async fn tell_of_deletion(
    transaction: &Transaction<'_>,
    table: &Table,
    workspace: Uuid,
    now: Micros,
    messages: &mut Messages,
) -> Result<(), Failure> {
    let sql = format!("SELECT {} FROM {}", table.column_list, table.name());
    let statement = transaction.prepare_cached(&sql).await?;
    let portal = transaction.bind(&statement, &[]).await?;
    let workspace = Some(workspace).filter(|_| table.schema.workspaceable);
    loop {
        let rows = transaction.query_portal(&portal, ROWS).await?;
        for row in &rows {
            let record = table.decode(row, now)?;
            let change = Change {
                before: Some(&record),
                after: None,
            };
            messages.add(table.schema, workspace, change);
        }
        if rows.is_empty() {
            return Ok(());
        }
    }
}

/// Perf: the statements of a batch are sent without waiting for each other's answer.
async fn insert(
    transaction: &Transaction<'_>,
    table: &Table,
    records: &[Record],
    workspace: Uuid,
    now: Micros,
) -> Result<(), Failure> {
    let statement = transaction.prepare_cached(&table.insert).await?;
    for batch in records.chunks(PIPELINE) {
        let rows = batch
            .iter()
            .map(|record| table.encode(record, statement.params(), Some(workspace), now))
            .collect::<Result<Vec<_>, _>>()?;
        let inserts = rows.iter().map(|cells| {
            let statement = &statement;
            async move {
                let cells: Vec<_> = cells
                    .iter()
                    .map(|cell| cell as &(dyn ToSql + Sync))
                    .collect();
                transaction.execute(statement, &cells).await
            }
        });
        try_join_all(inserts).await?;
    }
    Ok(())
}
