//! Digests of whole tables, as they were at one version.

use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Transaction};
use store::{Digest, Digests, Version};
use tokio_postgres::IsolationLevel;

use crate::cell::Micros;
use crate::failure::Failure;
use crate::log;
use crate::pool::{Work, too_slow};
use crate::read::Conditions;
use crate::table::Table;

/// Rows that are fetched at a time.
const ROWS: i32 = 1000;

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
        for table in &self.tables {
            let digest = self.digest(&transaction, table).await?;
            digests.insert(table.schema.name.to_owned(), digest);
        }
        self.in_time(transaction.rollback()).await?;
        Ok((version, digests))
    }
}

impl ReadDigests<'_> {
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
        loop {
            let rows = self
                .in_time(transaction.query_portal(&portal, ROWS))
                .await?;
            for row in &rows {
                digest.add(&table.decode(row, self.now)?);
            }
            if rows.len() < ROWS as usize {
                return Ok(digest);
            }
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
