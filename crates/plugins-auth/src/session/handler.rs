//! Recognises clients by their session, and gives sessions to those whom another plugin has recognised.

use std::sync::Arc;

use plugin_api::{
    BodyArguments, By, Configured, Consumer, Credential, Exchange, Failure, Flow, Handler,
    HeaderEdit, Needs, Outcome, Phase, Reply, ResponseHead, Services, Step, arguments,
};

use super::config::Config;
use super::keeping::{Keeping, Kind};
use super::state::{Entry, Left, Session};
use crate::identity;

/// A session that was used less than this ago is not noted to be used again.
const TOUCH: i64 = 60;

struct Sessions {
    config: Config,
    keeping: Keeping,
    services: Services,
}

/// The session of an exchange.
#[derive(Default)]
struct Opened(Option<Session>);

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(Sessions {
        keeping: Keeping::new(&config, services)?,
        config,
        services: services.clone(),
    }))
}

impl Handler for Sessions {
    fn needs(&self) -> Needs {
        Needs {
            request_body: self.config.read_body_for_logout,
            ..Needs::phases(&[Phase::Access, Phase::HeaderFilter])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        for name in &self.config.request_headers {
            exchange.head.headers.remove(&*header_name(name));
        }
        if !self.keeping.has_cookie(exchange.head) {
            return Step::next();
        }
        Step::later(self.resume(exchange))
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        let (Some(consumer), Some(credential)) =
            (&exchange.work.consumer, &exchange.work.credential)
        else {
            return Ok(());
        };
        let entry = self.entry(consumer, credential, exchange.work.groups.clone());
        let opened = exchange.state::<Opened>().0.take();
        if opened.as_ref().is_some_and(|session| {
            let mut entries = session.entries.iter();
            entries.any(|known| {
                known.audience == entry.audience
                    && known.consumer == entry.consumer
                    && known.credential == entry.credential
            })
        }) {
            return Ok(());
        }
        let now = self.services.clock.unix_seconds();
        let (before, mut entries) = match opened {
            Some(session) => (Some(session.id), session.entries),
            None => (None, Vec::new()),
        };
        entries.retain(|known| known.audience != entry.audience);
        entries.push(entry);
        for kind in self.keeping.kinds() {
            let session = self.keeping.begin(entries.clone(), now);
            let (cookie, write) = self.keeping.issue(kind, &session, before.clone(), now)?;
            head.headers.append("Set-Cookie", cookie)?;
            if let Some(write) = write {
                self.services.background.spawn(Box::pin(async move {
                    if let Err(error) = write.await {
                        tracing::warn!("a session is lost: {error}");
                    }
                }));
            }
            if kind == Kind::Main {
                for (name, value) in self.headers(&self.config.response_headers, &session, now) {
                    head.headers.set(&*name, value)?;
                }
            }
        }
        Ok(())
    }
}

impl Sessions {
    /// Lets a client go on with the session that its cookie names.
    async fn resume(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let now = self.services.clock.unix_seconds();
        let Some((kind, mut session)) = self.keeping.find(exchange.head, now).await else {
            return Ok(Flow::Next);
        };
        let audience = &self.config.audience;
        let Some(entry) = session
            .entries
            .iter()
            .find(|entry| entry.audience == *audience)
            .cloned()
        else {
            // It is a session for others, who keep it when this client logs in here.
            exchange.state::<Opened>().0 = Some(session);
            return Ok(Flow::Next);
        };
        if self.is_logout(exchange) {
            self.end(exchange, session, now).await?;
            return Ok(Reply::new(200).into());
        }
        let by_id = By::Id(entry.consumer);
        let found = self.services.records.find("consumers", by_id).get().await;
        let consumer = match found {
            Ok(found) => found.and_then(Consumer::read),
            Err(error) => {
                tracing::warn!("the consumer of a session cannot be found: {error}");
                return Ok(Flow::Next);
            }
        };
        let Some(consumer) = consumer else {
            self.end(exchange, session, now).await?;
            return Ok(Flow::Next);
        };
        self.refresh(exchange, kind, &mut session, now).await?;
        for (name, value) in self.headers(&self.config.request_headers, &session, now) {
            exchange.head.headers.set(&*name, value)?;
        }
        for (name, value) in self.headers(&self.config.response_headers, &session, now) {
            exchange.set_answer_header(name, value);
        }
        match &entry.groups {
            Some(groups) => {
                let groups = groups.join(", ");
                exchange
                    .head
                    .headers
                    .set("X-Authenticated-Groups", groups)?;
            }
            None => exchange.head.headers.remove("X-Authenticated-Groups"),
        }
        exchange.work.groups = entry.groups;
        let credential = Credential {
            identifier: Some(entry.credential.as_str().into()),
            id: entry.credential.into(),
            record: None,
        };
        identity::identify(
            exchange,
            Some(Arc::new(consumer)),
            Some(Arc::new(credential)),
        )?;
        exchange.state::<Opened>().0 = Some(session);
        Ok(Flow::Next)
    }

    /// Renews a session whose time is nearly over, or notes that it was used.
    async fn refresh(
        &self,
        exchange: &mut Exchange<'_>,
        kind: Kind,
        session: &mut Session,
        now: i64,
    ) -> Result<(), Failure> {
        let mut fresh = session.clone();
        fresh.used = now;
        let cookie = if kind == Kind::Remembered
            || self.keeping.timeouts(kind).wants_renewal(session, now)
        {
            let renewed = self.keeping.begin(session.entries.clone(), now);
            fresh.id = renewed.id;
            fresh.renewed = now;
            let kept = self
                .keeping
                .issue(kind, &fresh, Some(session.id.clone()), now);
            let (cookie, write) = kept?;
            if let Some(write) = write
                && let Err(error) = write.await
            {
                tracing::warn!("a session cannot be renewed: {error}");
                return Ok(());
            }
            cookie
        } else if now.saturating_sub(session.used) >= TOUCH {
            self.keeping.cookie(kind, &fresh, now)?
        } else {
            return Ok(());
        };
        add_cookie(exchange, cookie);
        if kind == Kind::Remembered {
            // The client came back: it gets a session of the short kind as well.
            let again = self.keeping.begin(session.entries.clone(), now);
            let (cookie, write) = self.keeping.issue(Kind::Main, &again, None, now)?;
            if let Some(write) = write
                && let Err(error) = write.await
            {
                tracing::warn!("a session cannot be renewed: {error}");
                return Ok(());
            }
            add_cookie(exchange, cookie);
            fresh = again;
        }
        *session = fresh;
        Ok(())
    }

    /// Ends a session for this audience; what others know of the client goes on under another id.
    async fn end(
        &self,
        exchange: &mut Exchange<'_>,
        mut session: Session,
        now: i64,
    ) -> Result<(), Failure> {
        session
            .entries
            .retain(|entry| entry.audience != self.config.audience);
        self.keeping.forget(exchange.head).await?;
        for kind in self.keeping.kinds() {
            if session.entries.is_empty() {
                add_cookie(exchange, self.keeping.removal(kind));
                continue;
            }
            let rest = self.keeping.begin(session.entries.clone(), now);
            let (cookie, write) = self.keeping.issue(kind, &rest, None, now)?;
            if let Some(write) = write {
                write.await?;
            }
            add_cookie(exchange, cookie);
        }
        Ok(())
    }

    fn entry(
        &self,
        consumer: &Consumer,
        credential: &Credential,
        groups: Option<Vec<Box<str>>>,
    ) -> Entry {
        let name = consumer.username.as_ref().or(consumer.custom_id.as_ref());
        Entry {
            audience: self.config.audience.clone(),
            subject: name.map_or_else(|| consumer.id.to_string(), ToString::to_string),
            consumer: consumer.id,
            credential: credential.id.to_string(),
            groups,
        }
    }

    fn is_logout(&self, exchange: &Exchange<'_>) -> bool {
        let method = exchange.head.method().as_str();
        let mut methods = self.config.logout_methods.iter();
        if !methods.any(|allowed| allowed == method) {
            return false;
        }
        let query = exchange.head.query().unwrap_or_default();
        let named = |wanted: &str| arguments(query).any(|given| *given.name == *wanted.as_bytes());
        if self.config.logout_query_arg.as_deref().is_some_and(named) {
            return true;
        }
        let Some(wanted) = self.config.logout_post_arg.as_deref() else {
            return false;
        };
        self.config.read_body_for_logout
            && method != "GET"
            && BodyArguments::of(exchange).is_some_and(|body| !body.texts(wanted).is_empty())
    }

    /// The headers that tell somebody of a session.
    fn headers(&self, names: &[String], session: &Session, now: i64) -> Vec<(String, String)> {
        if names.is_empty() {
            return Vec::new();
        }
        let left: Left = self.keeping.timeouts(Kind::Main).left(session, now);
        let seconds = |left: Option<i64>| left.map(|left| left.to_string());
        let mut entries = session.entries.iter();
        let entry = entries.find(|entry| entry.audience == self.config.audience);
        let value = |name: &str| match name {
            "id" => Some(session.id.clone()),
            "audience" => Some(self.config.audience.clone()),
            "subject" => entry.map(|entry| entry.subject.clone()),
            "timeout" => seconds(left.least()),
            "idling-timeout" => seconds(left.idling),
            "rolling-timeout" => seconds(left.rolling),
            _ => seconds(left.absolute),
        };
        let named = |name: &String| Some((header_name(name), value(name)?));
        names.iter().filter_map(named).collect()
    }
}

/// `Session-Idling-Timeout` of `idling-timeout`.
fn header_name(name: &str) -> String {
    let words = name.split('-').map(|word| match word.split_at_checked(1) {
        Some((first, rest)) => format!("-{}{rest}", first.to_ascii_uppercase()),
        None => String::new(),
    });
    std::iter::once("Session".to_owned()).chain(words).collect()
}

fn add_cookie(exchange: &mut Exchange<'_>, cookie: String) {
    let edit = HeaderEdit::Append("Set-Cookie".into(), cookie.into_bytes());
    exchange.work.answer_headers.push(edit);
}
