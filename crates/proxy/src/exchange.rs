//! The life of an exchange: its phases in their order, and what is known of it on the way.

use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http1::{Connection, Framing, Known, RequestHead, Version};
use plugin_api::{BodyArguments, Phase, Source, Try};
use snapshot::Service;

use crate::access_log::Entry;
use crate::client::Client;
use crate::deadline::Slot;
use crate::error::{Blame, Error};
use crate::held::Share;
use crate::http1_client::Http1Client;
use crate::http2_client::Http2Client;
use crate::local::{Current, Local};
use crate::peer::Peer;
use crate::plugins::Plugged;
use crate::reply::{Asked, Reply};
use crate::request_body::{Reading, RequestBody};
use crate::request_id::RequestId;
use crate::routing::Chosen;
use crate::settings::RealIpHeader;
use crate::stats::Held;
use crate::{
    client_address, filtered, forward, grpc, own_answer, panics, response_body, response_head,
};

/// What becomes of the client's connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It takes the next request.
    KeepAlive,
    /// It ends in order, after the answer.
    Close,
    /// It ends at once: the answer broke off, or nobody is there.
    Abort,
}

/// One request and its answer.
pub(crate) struct Exchange {
    pub worker: Rc<Local>,
    pub published: Rc<Current>,
    pub peer: Rc<Peer>,
    pub head: RequestHead,
    pub id: RequestId,
    pub slot: Slot,
    pub http2: bool,
    /// The host that the request is for, without port, in lower case.
    pub host: Rc<str>,
    /// Who the client is, real-IP headers considered.
    pub client: Option<SocketAddr>,
    /// The route, once there is one.
    pub chosen: Option<Chosen>,
    pub started: Instant,
    /// When the request was first handed to an upstream; from then on answers count as proxied.
    pub forwarded: Option<Instant>,
    /// When the upstream's answer began.
    pub waited_until: Option<Instant>,
    /// The status of the answer whose head is sent.
    pub status: Option<u16>,
    pub body_bytes: u64,
    /// The bytes that the client got, head and framing included.
    pub sent_bytes: u64,
    /// The status that the upstream gave.
    pub upstream_status: Option<u16>,
    /// The attempts to reach it, if somebody logs them.
    pub tries: Vec<Try>,
    /// Whether the client's connection can go on.
    pub keep_alive: bool,
    /// A cookie for the client, by which the balancer knows it again.
    pub set_cookie: Option<String>,
    /// Whether the upstream asked that its answer is handed on at once.
    pub unbuffered: bool,
    /// Who made the answer.
    pub source: Source,
    /// The plugins that it goes through, if there are any.
    pub plugged: Option<Box<Plugged>>,
}

impl Exchange {
    /// Begins with a head that a client sent.
    pub fn begin(worker: Rc<Local>, peer: Rc<Peer>, head: RequestHead, http2: bool) -> Self {
        worker.stats.requests.add();
        let published = worker.published();
        peer.requests.update(|requests| requests + 1);
        Self {
            plugged: Plugged::begin(&worker.chains, &published.snapshot.plugins),
            published,
            id: worker.new_id(),
            slot: worker.deadlines.slot(),
            started: worker.look_at_clock(),
            client: peer.address,
            keep_alive: head.keep_alive() && !http2,
            host: peer.host_of(&head),
            worker,
            peer,
            head,
            http2,
            chosen: None,
            forwarded: None,
            waited_until: None,
            status: None,
            body_bytes: 0,
            sent_bytes: 0,
            upstream_status: None,
            tries: Vec::new(),
            set_cookie: None,
            unbuffered: false,
            source: Source::Service,
        }
    }

    /// Runs to the end, whatever happens; [`Exchange::end`] is next.
    pub async fn serve(&mut self, client: &mut Client<'_>) -> Fate {
        let worker = self.worker.clone();
        let _writing = Held::new(&worker.stats, |shard| &shard.writing);
        let outcome = {
            let run = pin!(self.run(client));
            panics::caught(pin!(worker.forgetting_time(run))).await
        };
        match outcome {
            Some(Ok(())) => self.settle(client).await,
            failed => {
                worker.forget_time();
                let error = failed.and_then(Result::err);
                let error = error.unwrap_or(Error::Internal("a panic"));
                Box::pin(self.conclude(client, error)).await
            }
        }
    }

    /// Logs what became of it, and gives back what it was made of.
    pub fn end(mut self) {
        self.log_to_plugins();
        self.log();
        if let Some(chosen) = self.chosen {
            self.worker.give_target(chosen.target);
        }
        self.head.recycle(&self.worker.buffers);
    }

    /// The phases. Plugins have their turns before and after the route is found, around the answer's head and body, and
    /// when it is over.
    async fn run(&mut self, client: &mut Client<'_>) -> Result<(), Error> {
        self.find_client();
        self.expect_body(client)?;
        if self.plugged.is_some()
            && let Some(answer) = Box::pin(self.rewrite()).await?
        {
            return Box::pin(own_answer::send_plugin(self, client, *answer)).await;
        }
        self.route()?;
        self.check_protocol()?;
        self.prepare_head()?;
        let mut body = None;
        if self.plugged.is_some() {
            let needs = self.enter_chain();
            let unannounced = self.head.framing() == Framing::Chunked;
            if needs.request_body
                || (needs.unannounced_body && unannounced)
                || (needs.body_arguments && BodyArguments::may_follow(&self.head))
            {
                body = Some(Box::pin(self.read_body_for_plugins(client, needs.held_body)).await?);
            }
            if let Some(answer) = Box::pin(self.access()).await {
                return Box::pin(own_answer::send_plugin(self, client, *answer)).await;
            }
            body = self.changed_body().or(body);
        }
        let service = self.service()?.clone();
        let service = self.redirected(service)?;
        let mut target = match self.named_target(&service)? {
            Some(target) => target,
            None => Box::pin(self.pick_target(&service)).await?,
        };
        self.forwarded = Some(self.started);
        if grpc::is_grpc(&service) {
            return Box::pin(grpc::forward(self, client, &service, target, body)).await;
        }
        let body = match body {
            Some(body) => body,
            None => self.read_body(client).await?,
        };
        let mut answer = forward::forward(self, client, &service, &mut target, &body).await?;
        drop(body);
        self.upstream_status = Some(answer.head.status());
        if answer.head.status() == 101 {
            return Box::pin(self.tunnel(client, answer, &service)).await;
        }
        if self.has_phase(Phase::Response) || self.has_phase(Phase::BodyFilter) {
            return Box::pin(filtered::send(self, client, answer, service.read_timeout)).await;
        }
        response_head::edit(self, &mut answer.head)?;
        match client {
            Client::Http1(client) => {
                let mut relay = response_body::Relay::begin(self, client, answer)?;
                relay.run(self, client, service.read_timeout).await?;
                relay.finish(&self.worker);
                Ok(())
            }
            Client::Http2(_) => {
                Box::pin(response_body::send(
                    self,
                    client,
                    answer,
                    service.read_timeout,
                ))
                .await
            }
        }
    }

    /// The body, held as a whole so that plugins can see it and replace it; in memory if it has no more than `held` bytes.
    async fn read_body_for_plugins(
        &mut self,
        client: &mut Client<'_>,
        held: u64,
    ) -> Result<RequestBody, Error> {
        let limits = &self.published.settings.limits;
        let share = Share::new(&self.worker.stats.held, limits.held_bodies);
        let how = Reading {
            buffered: true,
            in_memory: limits
                .body_in_memory
                .max(usize::try_from(held).unwrap_or(usize::MAX)),
            share: Some(&share),
            timeout: limits.body_timeout,
            slot: &self.slot,
        };
        let mut body = Box::pin(RequestBody::read(client, self.head.framing(), &how)).await?;
        if let Some(plugged) = &mut self.plugged {
            plugged.work.body = body.held();
            plugged.work.body_length = body.length();
            plugged.share = plugged.work.body.is_some().then_some(share);
        }
        Ok(body)
    }

    /// The client's address, from the connection or from those whom we trust to say.
    fn find_client(&mut self) {
        if !self.peer_is_trusted() {
            return;
        }
        let settings = &self.published.settings;
        let values: Vec<&[u8]> = match &settings.real_ip_header {
            RealIpHeader::Named(name) => self.head.headers.get_all(name.as_str()).collect(),
            RealIpHeader::ProxyProtocol => Vec::new(),
        };
        let named = client_address::resolve(settings, self.peer.preface, values.into_iter());
        self.client = named.or(self.client);
    }

    /// Refuses a body that is announced to be too long, before anything else is done for it.
    fn expect_body(&self, client: &mut Client<'_>) -> Result<(), Error> {
        let limit = self.published.settings.limits.body;
        if let Client::Http1(client) = client {
            client.expect_body(&self.head, &self.published.head_limits(), limit);
        }
        match self.head.framing() {
            Framing::Length(length) if limit > 0 && length > limit => Err(Error::BodyTooLarge),
            _ => Ok(()),
        }
    }

    async fn read_body(&self, client: &mut Client<'_>) -> Result<RequestBody, Error> {
        let limits = &self.published.settings.limits;
        let how = Reading {
            buffered: self.chosen()?.buffers_request(),
            in_memory: limits.body_in_memory,
            share: None,
            timeout: limits.body_timeout,
            slot: &self.slot,
        };
        RequestBody::read(client, self.head.framing(), &how).await
    }

    /// The route that was chosen.
    pub fn chosen(&self) -> Result<&Chosen, Error> {
        // Perf: not `ok_or`, which makes an error and drops it (bench case "GET, 1 KiB answer").
        match &self.chosen {
            Some(chosen) => Ok(chosen),
            None => Err(Error::NoRoute),
        }
    }

    /// The service that the chosen route leads to.
    fn service(&self) -> Result<&Arc<Service>, Error> {
        match self.chosen()?.service() {
            Some(service) => Ok(service),
            None => Err(Error::NoService),
        }
    }

    /// What the client asked for, as far as it shapes an answer of ours.
    pub fn asked<'a>(&'a self, target: &'a str) -> Asked<'a> {
        Asked {
            accept: self.head.headers.get_str(Known::Accept),
            content_type: self.head.headers.get_str(Known::ContentType),
            http2: self.http2,
            host: self.forwarded_host(),
            target,
        }
    }

    /// Ends a failed exchange: answers the error if the client can still be answered, and says how its connection goes on.
    async fn conclude(&mut self, client: &mut Client<'_>, error: Error) -> Fate {
        self.report(&error);
        self.source = Source::Error;
        if self.status.is_some() || matches!(error, Error::ClientGone(_) | Error::ClientStalled) {
            self.status.get_or_insert(error.status());
            if let Client::Http2(client) = client {
                client.answer.reset();
            }
            return Fate::Abort;
        }
        if matches!(error.status(), 400 | 408 | 413 | 414 | 500 | 501) {
            self.keep_alive = false;
        }
        let target = self.target();
        let reply = Reply::to_error(
            &error,
            &self.asked(&target),
            &self.published.settings,
            &self.id,
        );
        if let Client::Http1(client) = client {
            self.keep_alive &= client.can_drain_body();
        }
        match own_answer::send(self, client, reply).await {
            Ok(()) => self.settle(client).await,
            Err(_) => Fate::Abort,
        }
    }

    /// Decides, when the head of an answer is written, whether the connection goes on after an answer with this framing.
    pub fn connection(&mut self, framing: Framing) -> Connection<'static> {
        self.keep_alive &= framing != Framing::UntilClose && !self.worker.is_draining();
        if self.keep_alive {
            Connection::KeepAlive
        } else {
            Connection::Close
        }
    }

    /// After a complete answer: what is left of the request body must not be taken for the next request.
    async fn settle(&mut self, client: &mut Client<'_>) -> Fate {
        let Client::Http1(client) = client else {
            return Fate::Close;
        };
        if self.keep_alive && client.drain_body().await {
            Fate::KeepAlive
        } else {
            Fate::Close
        }
    }

    fn report(&self, error: &Error) {
        let target = self.target();
        match error.blame() {
            Blame::Client => {
                tracing::debug!(%error, host = &*self.host, target, request_id = %self.id, "request refused")
            }
            Blame::Upstream => {
                tracing::warn!(%error, host = &*self.host, target, request_id = %self.id, "request failed upstream")
            }
            Blame::Gateway => {
                tracing::error!(%error, host = &*self.host, target, request_id = %self.id, "request failed")
            }
        }
    }

    /// The host that the client asked for, as far as we know or a trusted peer says.
    fn forwarded_host(&self) -> &str {
        match self.head.headers.get_str(Known::XForwardedHost) {
            Some(said) if self.peer_is_trusted() => said,
            _ => &self.host,
        }
    }

    /// What a client that asks for it is told about where its request went.
    pub fn debug_lines(&self) -> Vec<(&'static str, String)> {
        if !self.published.settings.debug_header || !self.head.headers.contains("kong-debug") {
            return Vec::new();
        }
        let Some(chosen) = &self.chosen else {
            return Vec::new();
        };
        let mut lines = vec![("Kong-Route-Id", chosen.route.id.to_string())];
        lines.extend(
            chosen
                .route
                .name
                .as_ref()
                .map(|name| ("Kong-Route-Name", name.to_string())),
        );
        if let Some(service) = chosen.service() {
            lines.push(("Kong-Service-Id", service.id.to_string()));
            lines.extend(
                service
                    .name
                    .as_ref()
                    .map(|name| ("Kong-Service-Name", name.to_string())),
            );
        }
        lines
    }

    /// Path and query as the client sent them.
    pub fn target(&self) -> String {
        let path = String::from_utf8_lossy(self.head.path());
        match self.head.query() {
            Some(query) => [&*path, "?", &*String::from_utf8_lossy(query)].concat(),
            None => path.into_owned(),
        }
    }

    /// Counts the answer and writes its line into the access log.
    fn log(&self) {
        let status = self.status.unwrap_or(499);
        self.worker.stats.answered(status);
        let Some(log) = &self.published.access_log else {
            return;
        };
        let request = request_line(&self.head, self.http2);
        let entry = Entry {
            client: &self
                .client
                .map_or_else(|| "unix:".to_owned(), |client| client.ip().to_string()),
            user: &basic_user(self.head.headers.get(Known::Authorization)),
            request: &request,
            status,
            body_bytes: self.body_bytes,
            referer: self.head.headers.get("referer").unwrap_or_default(),
            user_agent: self.head.headers.get(Known::UserAgent).unwrap_or_default(),
            request_id: self.id.as_bytes(),
        };
        self.worker
            .log
            .add(log, &entry, |to| self.worker.moment.write_log_time(to));
    }
}

/// The first line of a request as it is logged.
pub(crate) fn request_line(head: &RequestHead, http2: bool) -> Vec<u8> {
    let version = match (http2, head.version()) {
        (true, _) => "HTTP/2.0",
        (false, Version::Http10) => "HTTP/1.0",
        (false, _) => "HTTP/1.1",
    };
    let mut line = [head.method().as_str().as_bytes(), b" ", head.path()].concat();
    if let Some(query) = head.query() {
        line.push(b'?');
        line.extend_from_slice(query);
    }
    line.push(b' ');
    line.extend_from_slice(version.as_bytes());
    line
}

/// The user name that a client claims with Basic authentication.
fn basic_user(authorization: Option<&[u8]>) -> Vec<u8> {
    use base64::Engine as _;
    let Some((scheme, credentials)) = authorization.and_then(|value| value.split_at_checked(6))
    else {
        return Vec::new();
    };
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return Vec::new();
    }
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(credentials.trim_ascii())
        .unwrap_or_default();
    decoded
        .split(|byte| *byte == b':')
        .next()
        .unwrap_or_default()
        .to_vec()
}

/// Answers bytes of an HTTP/1 client that are no request.
pub(crate) async fn refuse(
    worker: &Rc<Local>,
    peer: &Peer,
    client: &mut Http1Client,
    error: Error,
    refused: Refused<'_>,
) {
    let (published, id) = (worker.published(), worker.new_id());
    worker.stats.requests.add();
    tracing::debug!(%error, request_id = %id, "request refused");
    let asked = Asked {
        accept: refused.accept,
        ..Asked::default()
    };
    let reply = Reply::to_error(&error, &asked, &published.settings, &id);
    let stamp = own_answer::Stamp::at_once();
    let bytes = own_answer::write_http1(
        worker,
        &published,
        &reply,
        &id,
        &stamp,
        false,
        !refused.is_head,
    );
    // Nobody is left to be told when this fails.
    let _ = client.write(&mut [IoSlice::new(&bytes)]).await;
    worker.stats.answered(reply.status);
    if let Some(log) = &published.access_log {
        let entry = Entry {
            client: &peer.text,
            request: refused.line,
            status: reply.status,
            body_bytes: reply.body.len() as u64,
            request_id: id.as_bytes(),
            ..Entry::default()
        };
        worker
            .log
            .add(log, &entry, |to| worker.moment.write_log_time(to));
    }
}

/// What is known of bytes that are no request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'a> {
    /// The first line, or the start of it.
    pub line: &'a [u8],
    pub accept: Option<&'a str>,
    pub is_head: bool,
}

/// Answers an HTTP/2 stream that is no request.
pub(crate) async fn refuse_stream(
    worker: &Rc<Local>,
    client: &mut Http2Client,
    error: http1::Error,
) {
    let (published, id) = (worker.published(), worker.new_id());
    worker.stats.requests.add();
    let reply = Reply::to_error(
        &Error::Request(error),
        &Asked::default(),
        &published.settings,
        &id,
    );
    worker.stats.answered(reply.status);
    // Nobody is left to be told when this fails.
    let _ = own_answer::send_http2(
        worker,
        &published,
        &mut client.answer,
        reply,
        &id,
        &own_answer::Stamp::at_once(),
        false,
    )
    .await;
}
