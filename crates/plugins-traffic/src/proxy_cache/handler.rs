//! Answers from the cache, or gathers the upstream's answer for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http1::Known;
use plugin_api::{
    Body, Configured, Exchange, Failure, Handler, Method, Needs, Phase, Reply, RequestHead,
    ResponseHead, Services, Step,
};
use serde::Deserialize;

use super::cache::{Cache, Caches, Reservation, Stored, Usage};
use super::directives::{self, MediaType, Permission, Wishes};
use super::key::{self, Key, KeyRules};

#[derive(Deserialize)]
struct Config {
    response_code: Vec<u16>,
    request_method: Vec<String>,
    content_type: Vec<String>,
    cache_ttl: Option<u64>,
    cache_control: bool,
    ignore_uri_case: Option<bool>,
    storage_ttl: Option<u64>,
    memory: Memory,
    vary_query_params: Option<Vec<String>>,
    vary_headers: Option<Vec<String>>,
    response_headers: Shown,
}

#[derive(Deserialize)]
struct Memory {
    dictionary_name: String,
}

/// Which headers are added to answers.
#[derive(Deserialize)]
struct Shown {
    age: Option<bool>,
    #[serde(rename = "X-Cache-Status")]
    status: Option<bool>,
    #[serde(rename = "X-Cache-Key")]
    key: Option<bool>,
}

struct ProxyCache {
    methods: Vec<Method>,
    codes: Vec<u16>,
    types: Vec<MediaType>,
    fresh_for: Duration,
    kept_for: Option<Duration>,
    obeys: bool,
    rules: KeyRules,
    shown: Shown,
    cache: Arc<Cache>,
    _usage: Usage,
    services: Services,
}

/// What the plugin is doing with one exchange.
#[derive(Default)]
enum Progress {
    /// Nothing: the answer is not for the cache, or comes out of it.
    #[default]
    Idle,
    /// The request may be answered from the cache next time.
    Asked { key: Key, purges: u64 },
    /// The answer is being stored.
    Gathering(Box<Gathering>),
}

struct Gathering {
    key: Key,
    purges: u64,
    stored: Stored,
    body: BytesMut,
    room: Reservation,
}

const STATUS: &str = "X-Cache-Status";
const KEY: &str = "X-Cache-Key";

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let methods = config
        .request_method
        .iter()
        .map(|name| Method::parse(name.as_bytes()))
        .collect::<Result<_, _>>()?;
    let types = config.content_type.iter();
    let (cache, usage) = Caches::of(services).open(&config.memory.dictionary_name, record.id);
    Ok(Arc::new(ProxyCache {
        methods,
        codes: config.response_code,
        types: types.filter_map(|text| MediaType::parse(text)).collect(),
        fresh_for: Duration::from_secs(config.cache_ttl.unwrap_or(300)),
        kept_for: config.storage_ttl.map(Duration::from_secs),
        obeys: config.cache_control,
        rules: KeyRules {
            ignore_case: config.ignore_uri_case.unwrap_or_default(),
            arguments: config.vary_query_params.unwrap_or_default(),
            headers: config.vary_headers.unwrap_or_default(),
        },
        shown: config.response_headers,
        cache,
        _usage: usage,
        services: services.clone(),
    }))
}

impl Handler for ProxyCache {
    fn needs(&self) -> Needs {
        // What is sent is part of the question.
        let bodies = |method: &Method| !matches!(method, Method::Get | Method::Head);
        Needs {
            request_body: self.methods.iter().any(bodies),
            ..Needs::phases(&[Phase::Access, Phase::HeaderFilter, Phase::BodyFilter])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        match self.look_up(exchange) {
            Some(reply) => Step::answer(reply),
            None => Step::next(),
        }
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        let progress = std::mem::take(exchange.state::<Progress>());
        let Progress::Asked { key, purges } = progress else {
            return Ok(());
        };
        match self.begin(
            exchange.head,
            head,
            key,
            purges,
            exchange.work.body.as_ref(),
        ) {
            Some(gathering) => {
                *exchange.state() = Progress::Gathering(Box::new(gathering));
            }
            None if self.shows(self.shown.status, exchange.head) => {
                head.headers.set(STATUS, "Bypass")?;
            }
            None => {}
        }
        Ok(())
    }

    fn body_filter(
        &self,
        exchange: &mut Exchange<'_>,
        piece: &mut Bytes,
        last: bool,
    ) -> Result<(), Failure> {
        let progress = exchange.state::<Progress>();
        let Progress::Gathering(gathering) = progress else {
            return Ok(());
        };
        if !gathering.room.grow(piece.len() as u64) {
            *progress = Progress::Idle;
            return Ok(());
        }
        gathering.body.extend_from_slice(piece);
        if last && let Progress::Gathering(gathering) = std::mem::take(progress) {
            let mut stored = gathering.stored;
            stored.body = gathering.body.freeze();
            self.cache.store(gathering.key, stored, gathering.purges);
        }
        Ok(())
    }
}

impl ProxyCache {
    /// The answer of the cache, if it has one that will do.
    fn look_up(&self, exchange: &mut Exchange<'_>) -> Option<Reply> {
        let wishes = match self.obeys {
            true => Wishes::of(&exchange.head.headers),
            false => Wishes::default(),
        };
        if !self.may_be_cached(exchange, &wishes) {
            self.show(self.shown.status, exchange, STATUS, "Bypass");
            return None;
        }
        let key = self.rules.key(exchange);
        if self.shows(self.shown.key, exchange.head) {
            exchange.set_answer_header(KEY, key.to_string());
        }
        // Nothing that is purged from here on comes back with this request's answer.
        let purges = self.cache.purges();
        let now = self.services.clock.monotonic();
        let status = match self.cache.find(&key, exchange.head, now) {
            Some(stored) if self.will_do(&stored, &wishes, now) => {
                self.cache.count("Hit");
                return Some(self.replay(exchange, &stored, now));
            }
            Some(_) => "Refresh",
            None if wishes.only_if_cached => return Some(Reply::new(504)),
            None => "Miss",
        };
        self.cache.count(status);
        self.show(self.shown.status, exchange, STATUS, status);
        *exchange.state() = Progress::Asked { key, purges };
        None
    }

    /// Whether an answer to this request may be kept at all.
    fn may_be_cached(&self, exchange: &Exchange<'_>, wishes: &Wishes) -> bool {
        let head = &exchange.head;
        let whole_body = match head.method() {
            Method::Get | Method::Head => !exchange.announces_body(),
            // A body that is too long to be held cannot be compared.
            _ => exchange.work.body_length == exchange.body().len() as u64,
        };
        let refused =
            wishes.no_store || wishes.no_cache || head.headers.contains(Known::Authorization);
        self.methods.contains(head.method()) && whole_body && !(self.obeys && refused)
    }

    /// Whether an answer is fresh enough for the client.
    fn will_do(&self, stored: &Stored, wishes: &Wishes, now: Instant) -> bool {
        if !self.obeys {
            return now.saturating_duration_since(stored.at) <= self.fresh_for;
        }
        stored.staleness(now) <= wishes.max_stale.unwrap_or_default()
            && wishes.max_age.is_none_or(|most| stored.age(now) <= most)
            && wishes
                .min_fresh
                .is_none_or(|least| stored.freshness(now) >= least)
    }

    /// A kept answer, as it goes out again.
    fn replay(&self, exchange: &Exchange<'_>, stored: &Stored, now: Instant) -> Reply {
        let unchanged = is_known_to_client(exchange.head, stored);
        let mut reply = Reply::new(if unchanged { 304 } else { stored.status });
        reply.replayed = true;
        for (name, value) in &stored.headers {
            let described = name.to_ascii_lowercase().starts_with("content-");
            let located = name.eq_ignore_ascii_case("Content-Location");
            if !unchanged || !described || located {
                let name = String::from(&**name);
                reply.headers.push((name.into(), value.to_vec()));
            }
        }
        if self.shows(self.shown.age, exchange.head) {
            let age = stored.age(now).as_secs().to_string();
            reply = reply.with_header("Age", age);
        }
        if self.shows(self.shown.status, exchange.head) {
            reply = reply.with_header(STATUS, "Hit");
        }
        if unchanged {
            return reply;
        }
        reply.with_body(Body::Bytes(stored.body.clone()))
    }

    /// Begins to store an answer; `None` if it is not for the cache.
    fn begin(
        &self,
        request: &RequestHead,
        head: &ResponseHead,
        key: Key,
        purges: u64,
        request_body: Option<&Bytes>,
    ) -> Option<Gathering> {
        // A part of an answer, or none, says nothing to whoever asks for the whole.
        if !self.codes.contains(&head.status()) || matches!(head.status(), 206 | 304) {
            return None;
        }
        let headers = &head.headers;
        let kind = directives::media_type(headers)?;
        let listed = self.types.iter().any(|listed| listed.covers(&kind));
        // A cookie is for one client.
        if !listed || kind.is_grpc() || headers.contains(Known::SetCookie) {
            return None;
        }
        let clock = &self.services.clock;
        let mut fresh_for = self.fresh_for;
        if self.obeys {
            let permission = Permission::of(headers, clock.now());
            if permission.forbidden || permission.fresh_for.is_zero() {
                return None;
            }
            fresh_for = permission.fresh_for;
        }
        let names = directives::varied(headers)?.into_iter();
        let varied = names.map(|name| {
            let value = key::joined(request, &name);
            (name, value)
        });
        let is_head = *request.method() == Method::Head;
        let announced = headers.get_str(Known::ContentLength).filter(|_| !is_head);
        let announced = announced.and_then(|length| length.parse().ok());
        if !self.cache.takes(announced.unwrap_or_default()) {
            return None;
        }
        Some(Gathering {
            key,
            purges,
            stored: Stored {
                status: head.status(),
                headers: kept_headers(head, is_head),
                body: Bytes::new(),
                request_body: request_body.cloned().unwrap_or_default(),
                varied: varied.collect(),
                at: clock.monotonic(),
                timestamp: clock.unix_seconds(),
                age_before: directives::age(headers),
                fresh_for,
                kept_for: self.kept_for.unwrap_or(fresh_for),
            },
            body: BytesMut::new(),
            room: Cache::reserve(&self.cache),
        })
    }

    fn show(
        &self,
        wanted: Option<bool>,
        exchange: &mut Exchange<'_>,
        name: &'static str,
        value: &str,
    ) {
        if self.shows(wanted, exchange.head) {
            exchange.set_answer_header(name, value);
        }
    }

    /// Whether a header is added to the answer.
    ///
    /// Compat: `Kong-Debug` adds them all (pinned by plugins/traffic "proxy-cache response_headers can be switched off").
    fn shows(&self, wanted: Option<bool>, request: &RequestHead) -> bool {
        wanted.unwrap_or_default() || request.headers.contains("Kong-Debug")
    }
}

/// Whether the client has this very answer already (RFC 9110 section 13).
fn is_known_to_client(request: &RequestHead, stored: &Stored) -> bool {
    if stored.status != 200 || !matches!(request.method(), Method::Get | Method::Head) {
        return false;
    }
    let headers = &request.headers;
    if headers.contains("If-None-Match") {
        let Some(tag) = stored.header("ETag").map(opaque) else {
            return false;
        };
        let mut lines = headers.get_all("If-None-Match");
        return lines.any(|line| {
            let mut tags = line.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            tags.any(|known| known == b"*" || opaque(known) == tag)
        });
    }
    let since = headers.get("If-Modified-Since");
    since.is_some() && since == stored.header("Last-Modified")
}

/// An entity tag without the mark of weak ones.
fn opaque(tag: &[u8]) -> &[u8] {
    tag.strip_prefix(b"W/").unwrap_or(tag)
}

/// The header lines of an answer that are kept: not those that concern one connection or one client's moment.
///
/// Compat: what is left of a rate limit is not kept, its limit is.
fn kept_headers(head: &ResponseHead, is_head: bool) -> Vec<(Box<str>, Box<[u8]>)> {
    const DROPPED: [&str; 13] = [
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "age",
        "date",
        "x-cache-key",
        "x-cache-status",
    ];
    let kept = head.headers.iter().filter_map(|field| {
        let name = std::str::from_utf8(field.name).ok()?;
        let lower = name.to_ascii_lowercase();
        let dropped = DROPPED.contains(&lower.as_str())
            || (lower == "content-length" && !is_head)
            || lower.contains("ratelimit-remaining");
        (!dropped).then(|| (name.into(), field.value.into()))
    });
    kept.collect()
}
