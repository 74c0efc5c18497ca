//! Digests of whole tables, as they were at one version.

use std::pin::pin;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Transaction};
use futures_util::{StreamExt as _, TryStreamExt as _};
use store::{Digest, Digests, Version};
use tokio_postgres::IsolationLevel;

use crate::cell::Micros;
use crate::failure::Failure;
use crate::log;
use crate::pool::{Work, too_slow};
use crate::read::Conditions;
use crate::table::Table;

/// Rows that are fetched at a time: at first, for most tables have few, and then.
const ROWS: (i32, i32) = (200, 2000);

/// Tables that are read at the same time.
///
/// Perf: the server works on them one after the other, but nothing waits for the line in between. With a tenth of a
/// second of latency, a comparison takes seconds instead of a minute.
const AT_ONCE: usize = 16;

/// Reads all tables in one transaction with the version.
pub(crate) struct ReadDigests<'a> {
    pub(crate) tables: Vec<&'a Table>,
    pub(crate) now: Micros,
    /// How long each step may take; all of them together take as long as there are rows.
    pub(crate) step: Duration,
}

#[async_trait]
impl Work for ReadDigests<'_> {
    type Output = (Version, Digests);

    fn length(&self) -> u32 {
        u32::MAX
    }

    fn is_rare(&self) -> bool {
        true
    }

    async fn run(&self, client: &mut ClientWrapper) -> Result<Self::Output, Failure> {
        let begun = client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start();
        let transaction = self.in_time(begun).await?;
        let version = self.in_time(log::newest(&transaction)).await?;
        let mut digests = Digests::new();
        {
            let transaction = &transaction;
            let mut each = Vec::with_capacity(self.tables.len());
            for table in &self.tables {
                each.push(self.named_digest(transaction, table));
            }
            let mut each = pin!(futures_util::stream::iter(each).buffer_unordered(AT_ONCE));
            while let Some((name, digest)) = each.try_next().await? {
                digests.insert(name, digest);
            }
        }
        self.in_time(transaction.rollback()).await?;
        Ok((version, digests))
    }
}

impl ReadDigests<'_> {
    async fn named_digest(
        &self,
        transaction: &Transaction<'_>,
        table: &Table,
    ) -> Result<(String, Digest), Failure> {
        let digest = self.digest(transaction, table).await?;
        Ok((table.schema.name.to_owned(), digest))
    }

    async fn digest(
        &self,
        transaction: &Transaction<'_>,
        table: &Table,
    ) -> Result<Digest, Failure> {
        let mut conditions = Conditions::default();
        conditions.add_visible(table, self.now);
        let sql = format!(
            "SELECT {} FROM {}{}",
            table.column_list,
            table.name(),
            conditions.where_clause()
        );
        let statement = self.in_time(transaction.prepare_cached(&sql)).await?;
        let portal = match table.schema.ttl {
            true => {
                self.in_time(transaction.bind(&statement, &[&self.now]))
                    .await?
            }
            false => self.in_time(transaction.bind(&statement, &[])).await?,
        };
        let mut digest = Digest::default();
        let mut wanted = ROWS.0;
        loop {
            let rows = self
                .in_time(transaction.query_portal(&portal, wanted))
                .await?;
            for row in &rows {
                digest.add(&table.decode(row, self.now)?);
            }
            if rows.len() < wanted as usize {
                return Ok(digest);
            }
            wanted = ROWS.1;
        }
    }

    async fn in_time<T, E>(&self, step: impl Future<Output = Result<T, E>>) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        match tokio::time::timeout(self.step, step).await {
            Ok(result) => Ok(result?),
            Err(_) => Err(Failure::Broken(too_slow())),
        }
    }
}
