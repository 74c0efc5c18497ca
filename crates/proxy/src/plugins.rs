//! The plugins of an exchange: which handlers it goes through, and their turns in each phase.
//!
//! Without any plugin record this costs a request one comparison. A plugin that fails ends the exchange with 500, and
//! nothing else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use foldhash::fast::RandomState;
use http1::{Framing, Known, OwnLines, ResponseHead};
use plugin_api::{
    ClientConnection, Entity, Exchange as View, Failure, Flow, Latencies, Matched, Needs, Phase,
    Reply, Source, Step, Summary, Tls, Turn, Upstream, Work,
};
use router::Protocol;
use snapshot::{Chain, ChainKey, Instance, Plugins, Service};
use uuid::Uuid;

use crate::error::Error;
use crate::exchange::Exchange;
use crate::held::Share;
use crate::latency::since;
use crate::panics;
use crate::request_body::RequestBody;

/// The most chains that a worker keeps compiled.
const MOST_CHAINS: usize = 4096;

/// The chains that a worker has compiled, of one state of the plugins.
#[derive(Debug, Default)]
pub(crate) struct Chains(RefCell<(Plugins, Compiled)>);

/// Perf: ids come from the store, not from clients, so a fast hash will do (`cargo xtask bench --only plugins`).
type Compiled = HashMap<ChainKey, Rc<Chain>, RandomState>;

impl Chains {
    /// The chain of a route and a service.
    pub fn get(&self, plugins: &Plugins, route: Option<Uuid>, service: Option<Uuid>) -> Rc<Chain> {
        let (of, compiled) = &mut *self.0.borrow_mut();
        if !of.is_same(plugins) {
            *of = plugins.clone();
            compiled.clear();
        }
        let key = plugins.key(route, service);
        if let Some(known) = compiled.get(&key) {
            return known.clone();
        }
        if compiled.len() >= MOST_CHAINS {
            compiled.clear();
        }
        let chain = Rc::new(plugins.chain(key));
        compiled.insert(key, chain.clone());
        chain
    }
}

/// The handlers of one exchange, and what they have worked out.
pub(crate) struct Plugged {
    chain: Rc<Chain>,
    /// The records that apply, as far as it is settled: of all requests until there is a route, then of the route.
    chosen: Vec<Arc<Instance>>,
    pub work: Work,
    /// The head that the client got, if a handler wants to log it.
    pub sent: Option<ResponseHead>,
    /// What the request's body takes of the memory for such.
    pub share: Option<Share>,
}

impl std::fmt::Debug for Plugged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(&self.chosen).finish()
    }
}

impl Plugged {
    /// The plugins of all requests, for an exchange that has no route yet. `None` if there are no plugins at all.
    pub fn begin(chains: &Chains, plugins: &Plugins) -> Option<Box<Self>> {
        if plugins.is_empty() {
            return None;
        }
        let chain = chains.get(plugins, None, None);
        let links = chain.links().iter();
        let chosen = links.filter_map(|link| link.choose(None).cloned());
        Some(Box::new(Self {
            chosen: chosen.collect(),
            chain,
            work: Work::default(),
            sent: None,
            share: None,
        }))
    }

    /// Whether a handler that applies has work in a phase.
    pub fn has(&self, phase: Phase) -> bool {
        self.chosen
            .iter()
            .any(|instance| self.takes_turn(instance, phase))
    }

    /// Whether a handler has work in a phase, and has not said that it wants no turn.
    fn takes_turn(&self, instance: &Arc<Instance>, phase: Phase) -> bool {
        instance.needs.phases.contains(phase)
            && !(phase == Phase::Response && self.work.skips_response(mark(instance)))
    }

    /// Whether a handler that applies changes how long the answer's body is.
    pub fn changes_length(&self) -> bool {
        let mut chosen = self.chosen.iter();
        self.work.answer_length_changes || chosen.any(|instance| instance.needs.changes_length)
    }

    /// Whether a handler that applies wants to log the head of the answer.
    fn logs_head(&self) -> bool {
        self.chosen
            .iter()
            .any(|instance| instance.needs.answer_head)
    }

    /// The next handler with work in a phase, from `at` on, which moves behind it.
    ///
    /// Perf: handlers are taken out one by one, so that a piece of a body costs no list of them.
    fn next(&self, phase: Phase, at: &mut usize) -> Option<Arc<Instance>> {
        let rest = self.chosen.get(*at..)?;
        let takes_turn = |instance: &Arc<Instance>| self.takes_turn(instance, phase);
        let found = rest.iter().position(takes_turn)?;
        *at += found + 1;
        rest.get(found).cloned()
    }
}

/// Tells the states of handlers apart.
fn mark(instance: &Arc<Instance>) -> usize {
    Arc::as_ptr(instance).addr()
}

impl Exchange {
    /// Phase *rewrite*, for the plugins of all requests. An answer ends the exchange.
    pub async fn rewrite(&mut self) -> Result<Option<Box<Reply>>, Error> {
        let mut at = 0;
        while let Some(instance) = self.next(Phase::Rewrite, &mut at) {
            let began = self.begin_turn();
            let mut none = Vec::new();
            let Some(mut view) = self.view(&mut none) else {
                break;
            };
            view.work.enter(mark(&instance));
            let outcome = instance.handler.rewrite(&mut view).outcome().await;
            self.worker.forget_time();
            self.end_turn(&instance, Phase::Rewrite, began);
            match outcome {
                Ok(Flow::Next) => {}
                Ok(Flow::Answer(reply)) => return Ok(Some(reply)),
                Err(failure) => return Err(self.failed(&instance, Phase::Rewrite, &failure)),
            }
        }
        Ok(None)
    }

    /// Takes up the chain of the route; tells what it needs.
    pub fn enter_chain(&mut self) -> Needs {
        let ids = self
            .chosen
            .as_ref()
            .map(|chosen| (chosen.route.id, chosen.route.service_id));
        let (route, service) = ids.unzip();
        let Some(plugged) = &mut self.plugged else {
            return Needs::default();
        };
        let plugins = &self.published.snapshot.plugins;
        plugged.chain = self.worker.chains.get(plugins, route, service.flatten());
        plugged.chosen.clear();
        plugged.chain.needs
    }

    /// Phase *access*: settles which records apply, and gives those with work in it their turns.
    ///
    /// Compat: after an answer or a failure nobody else has a turn, but the records that apply are settled all the same,
    /// because they filter and log the answer.
    pub async fn access(&mut self) -> Option<Box<Reply>> {
        let chain = self.plugged.as_ref()?.chain.clone();
        let mut answer = None;
        for link in chain.links() {
            let plugged = self.plugged.as_mut()?;
            let consumer = plugged.work.consumer.as_ref().map(|consumer| consumer.id);
            let Some(instance) = link.choose(consumer).cloned() else {
                continue;
            };
            plugged.chosen.push(instance.clone());
            if answer.is_some() || !instance.needs.phases.contains(Phase::Access) {
                continue;
            }
            let began = self.begin_turn();
            let mut none = Vec::new();
            let mut view = self.view(&mut none)?;
            view.work.enter(mark(&instance));
            // Perf: what is there is not awaited (`cargo xtask bench --only plugins`).
            let outcome = match instance.handler.access(&mut view) {
                Step::Now(outcome) => outcome,
                Step::Later(future) => future.await,
            };
            self.worker.forget_time();
            self.end_turn(&instance, Phase::Access, began);
            match outcome {
                Ok(Flow::Next) => {}
                Ok(Flow::Answer(reply)) => answer = Some(reply),
                Err(failure) => {
                    self.failed(&instance, Phase::Access, &failure);
                    let reply = Reply::error(500, "An unexpected error occurred");
                    answer = Some(Box::new(reply));
                }
            }
        }
        answer
    }

    /// Phase *response*, with the whole answer of the upstream.
    pub async fn respond(
        &mut self,
        head: &mut ResponseHead,
        body: &mut Bytes,
    ) -> Result<Option<Box<Reply>>, Error> {
        let mut at = 0;
        while let Some(instance) = self.next(Phase::Response, &mut at) {
            let mut none = Vec::new();
            let Some(mut view) = self.view(&mut none) else {
                break;
            };
            view.work.enter(mark(&instance));
            let step = instance.handler.response(&mut view, head, body);
            match step.outcome().await {
                Ok(Flow::Next) => {}
                Ok(Flow::Answer(reply)) => return Ok(Some(reply)),
                Err(failure) => return Err(self.failed(&instance, Phase::Response, &failure)),
            }
        }
        Ok(None)
    }

    /// Phase *header filter*: what was decided early about the answer's head, then the handlers.
    pub fn filter_head(&mut self, head: &mut ResponseHead) -> Result<(), Error> {
        let Some(plugged) = &mut self.plugged else {
            return Ok(());
        };
        for edit in std::mem::take(&mut plugged.work.answer_headers) {
            edit.apply(head).map_err(|_| {
                Error::Internal("a plugin's response header that cannot be written")
            })?;
        }
        self.each(Phase::HeaderFilter, |instance, view| {
            instance.handler.header_filter(view, head)
        })
    }

    /// Phase *body filter*, for one piece.
    pub fn filter_body(&mut self, piece: &mut Bytes, last: bool) -> Result<(), Error> {
        self.each(Phase::BodyFilter, |instance, view| {
            instance.handler.body_filter(view, piece, last)
        })
    }

    /// The next handler with work in a phase, from `at` on, which moves behind it.
    fn next(&self, phase: Phase, at: &mut usize) -> Option<Arc<Instance>> {
        self.plugged.as_ref()?.next(phase, at)
    }

    /// Gives the handlers of a phase their turns, up to the first one that fails. A panic is a failure: these phases are
    /// run for answers of the gateway as well, where nothing around them would catch it.
    fn each(
        &mut self,
        phase: Phase,
        mut turn: impl FnMut(&Instance, &mut View<'_>) -> Result<(), Failure>,
    ) -> Result<(), Error> {
        let mut at = 0;
        while let Some(instance) = self.next(phase, &mut at) {
            // A body filter has as many turns as the body has pieces.
            let began = match phase {
                Phase::HeaderFilter => self.begin_turn(),
                _ => None,
            };
            let mut none = Vec::new();
            let Some(mut view) = self.view(&mut none) else {
                break;
            };
            view.work.enter(mark(&instance));
            let done = panics::contained(|| turn(&instance, &mut view));
            self.end_turn(&instance, phase, began);
            if let Err(failure) = done.unwrap_or_else(|| Err(Failure::new("a panic"))) {
                return Err(self.failed(&instance, phase, &failure));
            }
        }
        Ok(())
    }

    /// The time, if a handler of the chain looks at the turns of plugins.
    fn begin_turn(&self) -> Option<SystemTime> {
        let needs = self.plugged.as_ref()?.chain.needs;
        needs.turns.then(|| self.worker.clock.now())
    }

    /// Notes a turn that has a beginning.
    fn end_turn(&mut self, instance: &Instance, phase: Phase, began: Option<SystemTime>) {
        if let (Some(began), Some(plugged)) = (began, &mut self.plugged) {
            plugged.work.turns.push(Turn {
                plugin: instance.name.clone(),
                phase,
                began,
                ended: self.worker.clock.now(),
            });
        }
    }

    /// The body that a plugin gave the request.
    pub fn changed_body(&mut self) -> Option<RequestBody> {
        let work = &mut self.plugged.as_mut()?.work;
        let body = work.body.take().filter(|_| work.body_changed)?;
        Some(RequestBody::made(body))
    }

    /// The service as the plugins of the chain want it asked.
    pub fn redirected(&mut self, service: Arc<Service>) -> Result<Arc<Service>, Error> {
        let Some(plugged) = &mut self.plugged else {
            return Ok(service);
        };
        let wanted = std::mem::take(&mut plugged.work.upstream);
        if wanted == Upstream::default() {
            return Ok(service);
        }
        let protocol = match &wanted.scheme {
            Some(scheme) => Protocol::parse(scheme)
                .ok_or(Error::Internal("a plugin chose a scheme that there is not"))?,
            None => service.protocol,
        };
        let host = wanted.host.as_deref().unwrap_or(&service.host);
        let port = wanted.port.unwrap_or(service.port);
        let service = service.redirected(protocol, host, port);
        if let (Some(host), Some(chosen)) = (wanted.host_header, &mut self.chosen) {
            chosen.preserved_host = Some(host.into());
        }
        Ok(Arc::new(service))
    }

    /// Keeps the head that the client got, if a handler wants to log it, with the lines that say how it was sent.
    pub fn keep_sent(&mut self, mut head: ResponseHead, framing: Framing) {
        if self.logs_head() {
            let mut own = self.worker.own_lines.take();
            own.clear();
            // Every value is ours; one that is refused here is not logged.
            let _ = self
                .add_sent(framing, &mut own)
                .and_then(|()| own.apply(&mut head.headers));
            self.worker.own_lines.set(own);
        }
        self.keep(head);
    }

    /// Keeps a head that has these lines already, if a handler wants to log it.
    ///
    /// Perf: the head leaves the read buffer, or every exchange would need a new one (`cargo xtask bench --only plugins`,
    /// http-log).
    pub fn keep(&mut self, mut head: ResponseHead) {
        match &mut self.plugged {
            Some(plugged) if plugged.logs_head() => {
                head.detach();
                plugged.sent = Some(head);
            }
            _ => head.recycle(&self.worker.buffers),
        }
    }

    /// Adds the lines that say how a head was sent.
    pub fn add_sent(&self, framing: Framing, own: &mut OwnLines) -> Result<(), http1::Error> {
        match framing {
            Framing::Length(length) => own.add_number(Known::ContentLength, length)?,
            Framing::Chunked if !self.http2 => own.add(Known::TransferEncoding, b"chunked")?,
            _ => {}
        }
        match self.keep_alive {
            _ if self.http2 => Ok(()),
            true => own.add(Known::Connection, b"keep-alive"),
            false => own.add(Known::Connection, b"close"),
        }
    }

    /// Whether a handler that applies wants to log the head of the answer.
    pub fn logs_head(&self) -> bool {
        let plugged = self.plugged.as_ref();
        plugged.is_some_and(|plugged| plugged.logs_head())
    }

    /// Phase *log*. Whoever fails in it has failed alone.
    pub fn log_to_plugins(&mut self) {
        let Some(plugged) = &mut self.plugged else {
            return;
        };
        if !plugged.has(Phase::Log) {
            return;
        }
        let sent = plugged.sent.take();
        let waited = plugged.work.waited;
        let tries = std::mem::take(&mut self.tries);
        let uri = self.target();
        let now = self.worker.clock.monotonic();
        let request = since(self.started, now);
        let wait = self.forwarded.zip(self.waited_until);
        let wait = wait.map(|(asked, answered)| since(asked, answered));
        let summary = Summary {
            status: self.status.unwrap_or(499),
            head: sent.as_ref(),
            source: self.source,
            request_size: self.request_size(),
            response_size: self.sent_bytes,
            upstream_status: self.upstream_status,
            uri: &uri,
            started_at: self.worker.wall_time.of(self.started),
            latencies: Latencies {
                gateway: match self.forwarded {
                    Some(forwarded) => since(self.started, forwarded),
                    None => request.saturating_sub(waited.unwrap_or_default()),
                },
                upstream: wait.or(waited),
                request,
                receive: self
                    .waited_until
                    .map(|head| since(head, now))
                    .unwrap_or_default(),
            },
            tries: &tries,
        };
        let mut at = 0;
        while let Some(instance) = self.next(Phase::Log, &mut at) {
            let mut none = Vec::new();
            let Some(mut view) = self.view(&mut none) else {
                break;
            };
            view.work.enter(mark(&instance));
            let done = panics::contained(|| instance.handler.log(&mut view, &summary));
            if done.is_none() {
                self.failed(&instance, Phase::Log, &Failure::new("a panic"));
            }
        }
        if let Some(head) = sent {
            head.recycle(&self.worker.buffers);
        }
    }

    /// How long a plugin waited for a server that it asked in the upstream's place.
    pub fn waited_elsewhere(&self) -> Option<Duration> {
        self.plugged.as_ref()?.work.waited
    }

    /// The bytes of the request, as far as the client announced or sent them.
    fn request_size(&self) -> u64 {
        let body = match self.head.framing() {
            Framing::Length(length) => length,
            _ => 0,
        };
        self.head.received_len() as u64 + body
    }

    /// Whether a handler that applies changes how long the answer's body is.
    pub fn changes_length(&self) -> bool {
        self.plugged
            .as_ref()
            .is_some_and(|plugged| plugged.changes_length())
    }

    /// Whether a handler that applies has work in a phase.
    pub fn has_phase(&self, phase: Phase) -> bool {
        self.plugged
            .as_ref()
            .is_some_and(|plugged| plugged.has(phase))
    }

    /// The exchange as a handler sees it; `None` without plugins. `none` stands for the target while there is none.
    fn view<'a>(&'a mut self, none: &'a mut Vec<u8>) -> Option<View<'a>> {
        let forwarded_proto = match self.forwarded_proto() {
            said if said.eq_ignore_ascii_case(b"https") => "https",
            _ => "http",
        };
        let trusted = self.peer_is_trusted();
        let plugged = self.plugged.as_deref_mut()?;
        let peer = &*self.peer;
        let (matched, target) = match &mut self.chosen {
            Some(chosen) => {
                let service = chosen.route.service.as_ref();
                let matched = Matched {
                    route: Some(Entity {
                        id: chosen.route.id,
                        name: chosen.route.name.as_deref(),
                    }),
                    service: service.map(|service| Entity {
                        id: service.id,
                        name: service.name.as_deref(),
                    }),
                    service_host: service.map(|service| &*service.host),
                    route_path: chosen.route.spec.paths.first().map(|path| &**path),
                    captures: chosen.captures.as_deref(),
                    prefix: chosen.prefix.as_deref(),
                };
                (matched, &mut chosen.target)
            }
            None => (Matched::default(), none),
        };
        Some(View {
            head: &mut self.head,
            target,
            connection: ClientConnection {
                client: self.client,
                peer: peer.address,
                local: peer.destination,
                number: peer.number,
                requests: peer.requests.get(),
                port: peer.port.parse().unwrap_or_default(),
                trusted,
                http2: self.http2,
                tls: peer.tls.then_some(Tls {
                    version: peer.tls_version,
                    cipher: peer.tls_cipher,
                    server_name: peer.sni.as_deref(),
                    client_certificates: &peer.client_certificates,
                }),
                forwarded_proto,
                host: &self.host,
                request_id: self.id.as_str(),
                started: self.started,
            },
            matched,
            from_upstream: self.source == Source::Service && self.upstream_status.is_some(),
            work: &mut plugged.work,
        })
    }

    fn failed(&self, instance: &Instance, phase: Phase, failure: &Failure) -> Error {
        tracing::error!(
            plugin = &*instance.name,
            plugin_id = %instance.id,
            phase = phase.name(),
            request_id = %self.id,
            "a plugin failed: {failure}"
        );
        Error::Internal("a plugin failed")
    }
}
