//! Counters that the nodes of one cluster share through their database.

use async_trait::async_trait;
use stdx::counting::{Subject, Taken, Window};

use crate::Error;

/// The counters of a store. They are not part of the configuration: a change of one is no event, and a crash of the
/// database may cost the last moments of counting.
#[async_trait]
pub trait Counters: Send + Sync {
    /// Counts a request in all windows if each has room for it, in one step: of any number of callers, on any number of
    /// nodes, exactly as many are granted as the limits say.
    async fn take(&self, subject: &Subject, windows: &[Window]) -> Result<Taken, Error>;

    /// Adds to what was used in all windows, whatever they hold.
    async fn add_usage(
        &self,
        subject: &Subject,
        windows: &[Window],
        amount: i64,
    ) -> Result<(), Error>;

    /// What was used in the windows, in their order.
    async fn usage(&self, subject: &Subject, windows: &[Window]) -> Result<Vec<f64>, Error>;
}
