//! What is known of a session, and how long it lives.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A session. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) id: String,
    /// When the client logged in.
    pub(super) created: i64,
    /// When it got this id.
    pub(super) renewed: i64,
    pub(super) used: i64,
    /// Who the client is, to each audience; in the database if it is kept there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) entries: Vec<Entry>,
}

/// Who the client is to one audience.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) audience: String,
    pub(super) subject: String,
    pub(super) consumer: Uuid,
    pub(super) credential: String,
    pub(super) groups: Option<Vec<Box<str>>>,
}

/// How many seconds a session may live; 0 is for ever.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    pub(super) idling: f64,
    pub(super) rolling: f64,
    pub(super) absolute: f64,
}

/// How many seconds a session still lives; `None` is for ever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Left {
    pub(super) idling: Option<i64>,
    pub(super) rolling: Option<i64>,
    pub(super) absolute: Option<i64>,
}

impl Timeouts {
    pub(super) fn left(&self, session: &Session, now: i64) -> Left {
        let left = |limit: f64, since: i64| {
            (limit > 0.0).then(|| (limit - now.saturating_sub(since) as f64).floor() as i64)
        };
        Left {
            idling: left(self.idling, session.used),
            rolling: left(self.rolling, session.renewed),
            absolute: left(self.absolute, session.created),
        }
    }

    /// Whether three quarters of the time are over after which a session has to be renewed.
    pub(super) fn wants_renewal(&self, session: &Session, now: i64) -> bool {
        let age = now.saturating_sub(session.renewed) as f64;
        self.rolling > 0.0 && age > self.rolling * 0.75
    }
}

impl Left {
    pub(super) fn is_over(self) -> bool {
        self.least().is_some_and(|least| least < 0)
    }

    /// Until the first of all ends.
    pub(super) fn least(self) -> Option<i64> {
        [self.idling, self.kept()].into_iter().flatten().min()
    }

    /// How long the session has to be kept, used or not.
    pub(super) fn kept(self) -> Option<i64> {
        [self.rolling, self.absolute].into_iter().flatten().min()
    }
}
