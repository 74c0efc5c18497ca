//! Counters of calendar windows, as those who count and those who keep the counters speak of them.

use uuid::Uuid;

/// Whose counter it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// Such as an address or the id of a consumer.
    pub identifier: String,
    /// The route and the service that the limit belongs to; nil where it belongs to none.
    pub route: Uuid,
    pub service: Uuid,
}

/// One window of a subject, and how much fits into it.
#[derive(Debug, Clone, PartialEq)]
pub struct Window {
    /// Such as `minute`, or `video_minute`.
    pub period: String,
    /// When it began, in seconds since the Unix epoch.
    pub start: i64,
    /// For how many seconds the counter is of use.
    pub length: u32,
    pub limit: f64,
}

/// The answer to whoever wanted one more.
#[derive(Debug, Clone, PartialEq)]
pub struct Taken {
    /// Whether there was room in all windows, and one was added to each; otherwise nothing was added.
    pub granted: bool,
    /// What each window held before.
    pub used: Vec<f64>,
}
