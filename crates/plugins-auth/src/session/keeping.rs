//! Where sessions are kept: sealed in the client's cookie, or sealed in the database under an id that the cookie holds.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use plugin_api::{BoxFuture, By, Failure, RequestHead, Services, WriteError};
use schema::Record;
use serde_json::{Value, json};
use uuid::Uuid;

use super::config::Config;
use super::seal::Seal;
use super::state::{Entry, Session, Timeouts};
use super::underway::{Known, Underway};
use crate::cookies::cookie;

const ENTITY: &str = "sessions";

/// Browsers drop longer cookies.
const LONGEST_COOKIE: usize = 4096;

/// The longest time to live that a row can have.
const LONGEST_TTL: i64 = 100_000_000;

/// The write that has to follow a cookie.
pub(super) type Write = BoxFuture<Result<(), WriteError>>;

/// The two cookies of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It ends with the browser.
    Main,
    /// It survives the browser.
    Remembered,
}

pub(super) struct Keeping {
    seal: Arc<Seal>,
    main: Jar,
    remembered: Option<Jar>,
    attributes: String,
    in_database: bool,
    stale_ttl: i64,
    underway: Arc<Underway>,
    services: Services,
}

/// One of the cookies.
struct Jar {
    name: String,
    timeouts: Timeouts,
}

impl Keeping {
    pub(super) fn new(config: &Config, services: &Services) -> Result<Self, Failure> {
        let secret = config.secret.clone().filter(|secret| !secret.is_empty());
        let secret = secret.ok_or_else(|| Failure::new("sessions need a secret"))?;
        Ok(Self {
            seal: Arc::new(Seal::new(secret)),
            main: Jar {
                name: config.cookie_name.clone(),
                timeouts: config.timeouts(),
            },
            remembered: config.remember.then(|| Jar {
                name: config.remember_cookie_name.clone(),
                timeouts: config.remember_timeouts(),
            }),
            attributes: config.attributes(),
            in_database: config.storage == "kong",
            stale_ttl: config.stale_ttl.ceil() as i64,
            underway: services.shared.get(ENTITY, Underway::default),
            services: services.clone(),
        })
    }

    /// The cookies that clients get.
    pub(super) fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let remembered = self.remembered.is_some().then_some(Kind::Remembered);
        [Kind::Main].into_iter().chain(remembered)
    }

    fn jar(&self, kind: Kind) -> &Jar {
        match (kind, &self.remembered) {
            (Kind::Remembered, Some(jar)) => jar,
            _ => &self.main,
        }
    }

    pub(super) fn timeouts(&self, kind: Kind) -> Timeouts {
        self.jar(kind).timeouts
    }

    /// Whether a request has one of the cookies.
    pub(super) fn has_cookie(&self, head: &RequestHead) -> bool {
        self.kinds()
            .any(|kind| cookie(head, &self.jar(kind).name).is_some())
    }

    /// The session of a request, if it has one that still lives.
    pub(super) async fn find(&self, head: &RequestHead, now: i64) -> Option<(Kind, Session)> {
        for kind in self.kinds() {
            let Some(mut session) = self.read(head, kind) else {
                continue;
            };
            if self.timeouts(kind).left(&session, now).is_over() {
                continue;
            }
            if self.in_database {
                let Some(entries) = self.stored(&session.id, now).await else {
                    continue;
                };
                session.entries = entries;
            }
            return Some((kind, session));
        }
        None
    }

    fn read(&self, head: &RequestHead, kind: Kind) -> Option<Session> {
        let name = &self.jar(kind).name;
        let opened = self.seal.open(name, cookie(head, name)?)?;
        serde_json::from_slice(&opened).ok()
    }

    async fn stored(&self, id: &str, now: i64) -> Option<Vec<Entry>> {
        let data = match self.underway.find(id) {
            Known::Data(data) => data,
            Known::Ended => return None,
            Known::Nothing => self.stored_data(id, now).await?,
        };
        let opened = self.seal.open(id, data.as_bytes())?;
        serde_json::from_slice(&opened).ok()
    }

    async fn stored_data(&self, id: &str, now: i64) -> Option<String> {
        let row = match row(&self.services, id).await {
            Ok(row) => row?,
            Err(error) => {
                tracing::warn!("a session cannot be looked up: {error}");
                return None;
            }
        };
        let expires = row.get("expires").and_then(Value::as_i64);
        if expires.is_some_and(|expires| expires < now) {
            return None;
        }
        Some(row.get("data")?.as_str()?.to_owned())
    }

    /// A new session.
    pub(super) fn begin(&self, entries: Vec<Entry>, now: i64) -> Session {
        let mut id = [0; 32];
        self.services.random.fill(&mut id);
        Session {
            id: URL_SAFE_NO_PAD.encode(id),
            created: now,
            renewed: now,
            used: now,
            entries,
        }
    }

    /// The cookie of a session with an id that is new, and what has to be stored, in place of the session `before`.
    pub(super) fn issue(
        &self,
        kind: Kind,
        session: &Session,
        before: Option<String>,
        now: i64,
    ) -> Result<(String, Option<Write>), Failure> {
        let line = self.cookie(kind, session, now)?;
        if !self.in_database {
            return Ok((line, None));
        }
        let entries = serde_json::to_vec(&session.entries).map_err(unwritable)?;
        let random = &*self.services.random;
        let data = self.seal.close(random, &session.id, &entries)?;
        let ttl = self.timeouts(kind).left(session, now).kept();
        let ttl = ttl.map(|ttl| ttl.clamp(1, LONGEST_TTL));
        let row = Record::from_iter([
            ("session_id".to_owned(), json!(session.id)),
            ("data".to_owned(), data.clone().into()),
            ("expires".to_owned(), json!(ttl.map(|ttl| now + ttl))),
            ("ttl".to_owned(), json!(ttl)),
        ]);
        let ticket = self.underway.begin(&session.id, &data);
        let (underway, services) = (self.underway.clone(), self.services.clone());
        let (id, stale) = (session.id.clone(), self.stale_ttl);
        let write = async move {
            services.writer.insert(ENTITY, row).await?;
            if ticket.hand_over() {
                delete(&services, &id).await?;
            }
            if let Some(before) = before {
                retire(&services, &underway, &before, stale, now).await?;
            }
            Ok(())
        };
        Ok((line, Some(Box::pin(write))))
    }

    /// The line that gives a client the cookie of a session.
    pub(super) fn cookie(
        &self,
        kind: Kind,
        session: &Session,
        now: i64,
    ) -> Result<String, Failure> {
        let mut shown = session.clone();
        if self.in_database {
            shown.entries.clear();
        }
        let jar = self.jar(kind);
        let text = serde_json::to_vec(&shown).map_err(unwritable)?;
        let sealed = self.seal.close(&*self.services.random, &jar.name, &text)?;
        let mut line = format!("{}={sealed}{}", jar.name, self.attributes);
        if line.len() > LONGEST_COOKIE {
            return Err(Failure::new(
                "a session is too long for a cookie; it needs storage kong",
            ));
        }
        if kind == Kind::Remembered
            && let Some(left) = jar.timeouts.left(session, now).kept()
        {
            let seconds = u64::try_from(now.saturating_add(left)).unwrap_or_default();
            let end = UNIX_EPOCH.checked_add(Duration::from_secs(seconds.min(1 << 37)));
            let end = httpdate::fmt_http_date(end.unwrap_or(UNIX_EPOCH));
            line += &format!("; Expires={end}; Max-Age={left}");
        }
        Ok(line)
    }

    /// The line that takes a cookie from a client.
    pub(super) fn removal(&self, kind: Kind) -> String {
        format!(
            "{}={}; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0",
            self.jar(kind).name,
            self.attributes
        )
    }

    /// Deletes what is stored of the sessions of a request.
    pub(super) async fn forget(&self, head: &RequestHead) -> Result<(), WriteError> {
        if !self.in_database {
            return Ok(());
        }
        for kind in self.kinds() {
            if let Some(session) = self.read(head, kind) {
                retire(&self.services, &self.underway, &session.id, 0, 0).await?;
            }
        }
        Ok(())
    }
}

fn unwritable(error: serde_json::Error) -> Failure {
    Failure::new(format!("a session cannot be written: {error}"))
}

async fn row(services: &Services, id: &str) -> Result<Option<Arc<Record>>, WriteError> {
    let found = services.records.find(ENTITY, By::Unique("session_id", id));
    let found = found.get().await;
    found.map_err(|error| WriteError::Unavailable(error.0))
}

/// Lets a session live only as long as requests with it may be under way; 0 ends it.
async fn retire(
    services: &Services,
    underway: &Underway,
    id: &str,
    stale: i64,
    now: i64,
) -> Result<(), WriteError> {
    if underway.end(id) {
        return Ok(());
    }
    if stale <= 0 {
        return delete(services, id).await;
    }
    let Some(row) = row_id(services, id).await? else {
        return Ok(());
    };
    let changes = Record::from_iter([
        ("expires".to_owned(), json!(now + stale)),
        ("ttl".to_owned(), json!(stale.min(LONGEST_TTL))),
    ]);
    match services.writer.update(ENTITY, row, changes).await {
        Ok(_) | Err(WriteError::NotFound) => Ok(()),
        Err(error) => Err(error),
    }
}

async fn delete(services: &Services, id: &str) -> Result<(), WriteError> {
    if let Some(row) = row_id(services, id).await? {
        services.writer.delete(ENTITY, row).await?;
    }
    Ok(())
}

async fn row_id(services: &Services, id: &str) -> Result<Option<Uuid>, WriteError> {
    let row = row(services, id).await?;
    Ok(row.and_then(|row| row.get("id")?.as_str()?.parse().ok()))
}
