//! Counters that nodes share: through the database of the configuration, or through Redis.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use stdx::Secret;
use stdx::counting::{Subject, Taken, Window};

use crate::{BoxFuture, Unavailable};

/// The counters in the database that the configuration is in.
///
/// Who asks while the database does not answer waits no longer than for one timeout; after that, everybody is told at
/// once that it is out of reach, until it is found to answer again.
pub trait Counters: Send + Sync {
    /// Counts a request in all windows if each has room for it, in one step over all nodes.
    fn take(&self, subject: Subject, windows: Vec<Window>)
    -> BoxFuture<Result<Taken, Unavailable>>;

    /// Adds to what was used in all windows, whatever they hold.
    fn add_usage(
        &self,
        subject: Subject,
        windows: Vec<Window>,
        amount: i64,
    ) -> BoxFuture<Result<(), Unavailable>>;

    /// What was used in the windows, in their order.
    fn usage(
        &self,
        subject: Subject,
        windows: Vec<Window>,
    ) -> BoxFuture<Result<Vec<f64>, Unavailable>>;
}

/// Opens Redis servers.
pub trait RedisServers: Send + Sync {
    /// The server of some settings; the same settings share their connections. Does no IO.
    ///
    /// What is behind the address is found out when it is asked for first: a server by itself, a sentinel, whose one
    /// master is used then, or a node of a cluster.
    fn open(&self, settings: &RedisSettings) -> Arc<dyn Redis>;
}

/// A Redis server, or several that stand for one.
///
/// Who asks while it does not answer waits no longer than for one timeout; after that, everybody is told at once that it
/// is out of reach, until it is found to answer again.
pub trait Redis: Send + Sync {
    /// Runs a script, which is atomic.
    fn eval(
        &self,
        script: &'static str,
        keys: Vec<String>,
        arguments: Vec<String>,
    ) -> BoxFuture<Result<RedisValue, RedisError>>;
}

/// What Redis answers.
#[derive(Debug, Clone, PartialEq)]
pub enum RedisValue {
    Nil,
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<RedisValue>),
}

impl RedisValue {
    /// The number, if it is one, or the text of one.
    pub fn number(&self) -> Option<f64> {
        match self {
            #[expect(
                clippy::cast_precision_loss,
                reason = "counters stay far below what a double holds exactly"
            )]
            Self::Int(number) => Some(*number as f64),
            Self::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.trim().parse().ok(),
            _ => None,
        }
    }

    /// The parts of a list; none of anything else.
    pub fn list(&self) -> &[Self] {
        match self {
            Self::List(parts) => parts,
            _ => &[],
        }
    }
}

/// Redis did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RedisError {
    /// The keys of a script are on different nodes of a cluster; nothing was done.
    #[error("the keys are on different nodes of a cluster")]
    Apart,
    #[error("{0}")]
    Unavailable(String),
    /// It answered, and refused.
    #[error("Redis refused: {0}")]
    Refused(String),
}

/// How to reach a Redis server, as the field [`redis`](crate::fields::redis) of a configuration says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RedisSettings {
    #[serde(deserialize_with = "or_default")]
    pub host: String,
    pub port: u16,
    /// How long connecting, and each answer, may take.
    #[serde(deserialize_with = "milliseconds")]
    pub timeout: Duration,
    pub username: Option<String>,
    #[serde(deserialize_with = "secret")]
    pub password: Secret,
    #[serde(deserialize_with = "or_default")]
    pub database: i64,
    #[serde(deserialize_with = "or_default")]
    pub ssl: bool,
    #[serde(deserialize_with = "or_default")]
    pub ssl_verify: bool,
    pub server_name: Option<String>,
}

/// Null stands for the type's default.
fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

fn milliseconds<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    const DEFAULT: u64 = 2000;
    let millis = Option::<u64>::deserialize(from)?;
    Ok(Duration::from_millis(millis.unwrap_or(DEFAULT)))
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Secret, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    Ok(Secret::new(text.unwrap_or_default()))
}
