//! The error log: nginx's line format, Kong's level names, a level that can be changed while the node runs.
//!
//! Lines look like `2026/11/22 10:15:00 [notice] 4711#0: message, key=value`, so that what people built to parse
//! Kong's error log goes on working.
//! A file log can be reopened (SIGUSR1), which is how logrotate works.

mod follow;

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use stdx::Clock;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt};

use crate::Error;
use follow::Followers;
pub use follow::{Follower, Line};

/// Kong's log levels, least severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Debug,
    Info,
    Notice,
    Warn,
    Error,
    Crit,
    Alert,
    Emerg,
}

impl Level {
    const ALL: [(Level, &'static str); 8] = [
        (Level::Debug, "debug"),
        (Level::Info, "info"),
        (Level::Notice, "notice"),
        (Level::Warn, "warn"),
        (Level::Error, "error"),
        (Level::Crit, "crit"),
        (Level::Alert, "alert"),
        (Level::Emerg, "emerg"),
    ];

    /// The name that `log_level` uses.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// tracing has five levels: what a node says in its normal course is `notice` in Kong's terms and `INFO` here,
    /// and what only matters when looking for a fault is `DEBUG` and shows from Kong's `info` down.
    fn of(metadata: &Metadata<'_>) -> Self {
        match *metadata.level() {
            tracing::Level::ERROR => Self::Error,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::INFO => Self::Notice,
            tracing::Level::DEBUG => Self::Info,
            tracing::Level::TRACE => Self::Debug,
        }
    }
}

impl std::str::FromStr for Level {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(level, _)| *level)
            .ok_or_else(|| Error::UnknownLevel(text.to_owned()))
    }
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Stderr,
    File(PathBuf),
}

enum Sink {
    Stderr,
    File(PathBuf, File),
}

struct Shared {
    level: AtomicU8,
    sink: Mutex<Sink>,
    clock: Arc<dyn Clock>,
    followers: Followers,
}

impl Shared {
    /// Whether events of a call site are written.
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let level = Level::of(metadata);
        (level as u8) >= self.level.load(Ordering::Relaxed)
            && metadata.is_event()
            && !is_chatter(metadata, level)
    }
}

/// Changes the level and reopens the file of a log that is in use.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// The least severe level that is written.
    pub fn level(&self) -> Level {
        let index = usize::from(self.0.level.load(Ordering::Relaxed));
        Level::ALL
            .get(index)
            .map_or(Level::Notice, |(level, _)| *level)
    }

    /// Takes effect with the next event.
    pub fn set_level(&self, level: Level) {
        self.0.level.store(level as u8, Ordering::Relaxed);
        // Call sites remember whether anybody listens.
        tracing::callsite::rebuild_interest_cache();
    }

    /// Sends later lines elsewhere; on an error they go on to where they went.
    pub fn redirect(&self, to: &Destination) -> Result<(), Error> {
        let sink = open(to)?;
        *self.0.sink.lock() = sink;
        Ok(())
    }

    /// Tells somebody of every line from now on.
    pub fn follow(&self, follower: Box<dyn Follower>) {
        self.0.followers.add(follower);
    }

    /// Opens the file anew after something moved it away.
    pub fn reopen(&self) -> Result<(), Error> {
        let mut sink = self.0.sink.lock();
        if let Sink::File(path, file) = &mut *sink {
            *file = open_file(path)?;
        }
        Ok(())
    }
}

/// Sets up the process's log; once a process.
pub fn init(level: Level, to: &Destination, clock: Arc<dyn Clock>) -> Result<Handle, Error> {
    let (layer, handle) = layer(level, to, clock)?;
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::set_global_default(subscriber).map_err(|_| Error::AlreadyInitialised)?;
    Ok(handle)
}

fn layer(
    level: Level,
    to: &Destination,
    clock: Arc<dyn Clock>,
) -> Result<(LogLayer, Handle), Error> {
    let shared = Arc::new(Shared {
        level: AtomicU8::new(level as u8),
        sink: Mutex::new(open(to)?),
        clock,
        followers: Followers::default(),
    });
    Ok((LogLayer(shared.clone()), Handle(shared)))
}

fn open(to: &Destination) -> Result<Sink, Error> {
    Ok(match to {
        Destination::Stderr => Sink::Stderr,
        Destination::File(path) => Sink::File(path.clone(), open_file(path)?),
    })
}

fn open_file(path: &Path) -> Result<File, Error> {
    let opened = OpenOptions::new().create(true).append(true).open(path);
    opened.map_err(|source| Error::OpenLog {
        path: path.to_owned(),
        source,
    })
}

struct LogLayer(Arc<Shared>);

/// Perf: an event that is not written costs a look at its call site's memory; nothing of it is put together.
impl<S: Subscriber> Layer<S> for LogLayer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.0.wants(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let level = usize::from(self.0.level.load(Ordering::Relaxed));
        let level = Level::ALL
            .get(level)
            .map_or(Level::Notice, |(level, _)| *level);
        Some(match level {
            Level::Debug => LevelFilter::TRACE,
            Level::Info => LevelFilter::DEBUG,
            Level::Notice => LevelFilter::INFO,
            Level::Warn => LevelFilter::WARN,
            Level::Error | Level::Crit | Level::Alert | Level::Emerg => LevelFilter::ERROR,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = Level::of(event.metadata());
        let mut fields = Fields::default();
        event.record(&mut fields);
        let now = self.0.clock.now();
        let line = format!(
            "{} [{}] {}#0: {}{}\n",
            timestamp(now),
            level.name(),
            std::process::id(),
            fields.message,
            fields.rest
        );
        let written = match &mut *self.0.sink.lock() {
            Sink::Stderr => io::stderr().write_all(line.as_bytes()),
            Sink::File(_, file) => file.write_all(line.as_bytes()),
        };
        // A full disk must not stop the node; the next line may fit again.
        drop(written);
        self.0.followers.tell(event, level, now);
    }
}

/// Libraries speak about their inner life below `warn`; that helps nobody who runs a gateway.
fn is_chatter(metadata: &Metadata<'_>, level: Level) -> bool {
    const NOISY: [&str; 6] = [
        "h2",
        "hyper",
        "hyper_util",
        "rustls",
        "hickory_resolver",
        "hickory_net",
    ];
    let target = metadata.target().split("::").next().unwrap_or_default();
    level < Level::Warn && NOISY.contains(&target)
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a String cannot fail.
        if field.name() == "message" {
            let mut text = String::new();
            let _ = write!(text, "{value:?}");
            self.message = one_line(&text);
        } else {
            let mut text = String::new();
            let _ = write!(text, "{value:?}");
            let _ = write!(self.rest, ", {}={}", field.name(), one_line(&text));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let value = one_line(value);
        if field.name() == "message" {
            self.message = value;
        } else {
            let _ = write!(self.rest, ", {}={value}", field.name());
        }
    }
}

/// Text from outside must not be able to forge a log line.
fn one_line(text: &str) -> String {
    let clean = text.chars().all(|c| !c.is_control());
    if clean {
        text.to_owned()
    } else {
        text.escape_debug().to_string()
    }
}

/// `YYYY/MM/DD hh:mm:ss` in UTC.
fn timestamp(now: SystemTime) -> String {
    let since = now
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let seconds = since.as_secs();
    let (year, month, day) = civil_date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}/{month:02}/{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The date of a day counted from 1970-01-01, by counting eras of 400 years that begin on a first of March.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
