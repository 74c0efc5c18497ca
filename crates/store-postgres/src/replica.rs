//! A server that follows the primary one, for reads that may be a little old.
//!
//! Invariant: nothing is read from it that is older than the newest version this node knows of, its own commits
//! included, so a reader never goes back in time. Whatever it cannot answer, the primary server does.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use deadpool_postgres::ClientWrapper;
use parking_lot::Mutex;
use store::{Error, Version};
use tokio_postgres::config::TargetSessionAttrs;

use crate::failure::Failure;
use crate::log;
use crate::options::Options;
use crate::pool::{Pool, Query, Work};

/// How long a server that was out of reach is left alone.
const REST: Duration = Duration::from_secs(5);

/// The connections to the server that is only read from.
pub(crate) struct Replica {
    pool: Pool,
    /// Until when nobody asks it.
    resting: Mutex<Option<Instant>>,
}

impl Replica {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        Ok(Self {
            pool: Pool::new(options, TargetSessionAttrs::Any)?,
            resting: Mutex::default(),
        })
    }

    /// The answer, unless the server is out of reach, is behind `known`, or refuses.
    pub(crate) async fn read<W: Work>(&self, work: &W, known: Version) -> Option<W::Output> {
        if self
            .resting
            .lock()
            .is_some_and(|until| Instant::now() < until)
        {
            return None;
        }
        match self.pool.run(&IfCurrent { work, known }).await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(error, Error::Unavailable(_)) {
                    tracing::warn!(%error, "the read replica is out of reach; reading from the primary server");
                    *self.resting.lock() = Some(Instant::now() + REST);
                }
                None
            }
        }
    }

    pub(crate) fn close_idle(&self) {
        self.pool.close_idle();
    }
}

/// Work that is done where a version has arrived already.
struct IfCurrent<'a, W> {
    work: &'a W,
    known: Version,
}

#[async_trait]
impl<W: Work> Work for IfCurrent<'_, W> {
    type Output = Option<W::Output>;

    fn length(&self) -> u32 {
        self.work.length()
    }

    fn is_rare(&self) -> bool {
        self.work.is_rare()
    }

    async fn run(&self, client: &mut ClientWrapper) -> Result<Self::Output, Failure> {
        if Query::run(&log::Newest, client).await? < self.known {
            return Ok(None);
        }
        self.work.run(client).await.map(Some)
    }
}
