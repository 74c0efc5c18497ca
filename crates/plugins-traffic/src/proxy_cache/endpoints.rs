//! The cache on the Admin API: entries are shown and purged, on all nodes.

use std::sync::Arc;

use plugin_api::{Body, BoxFuture, Endpoint, EndpointCall, Failure, Method, Reply};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::cache::{CHANNEL, Cache, Caches, Stored};
use super::key::Key;

/// The endpoints.
pub(super) const ENDPOINTS: &[Endpoint] = &[
    Endpoint {
        path: "/proxy-cache",
        methods: &[Method::Delete],
        summary: "Forgets every cached answer, on all nodes.",
        run: |call| boxed(clear(call)),
    },
    Endpoint {
        path: "/proxy-cache/{cache_key}",
        methods: &[Method::Get, Method::Delete],
        summary: "Shows or forgets the answer with a key, as `X-Cache-Key` tells it.",
        run: |call| boxed(by_key(call)),
    },
    Endpoint {
        path: "/proxy-cache/{plugin_id}/caches/{cache_key}",
        methods: &[Method::Get, Method::Delete],
        summary: "Shows or forgets the answer with a key in the cache that a plugin uses.",
        run: |call| boxed(by_plugin_and_key(call)),
    },
];

fn boxed(
    answer: impl Future<Output = Result<Reply, Failure>> + Send + 'static,
) -> BoxFuture<Result<Reply, Failure>> {
    Box::pin(answer)
}

/// Compat: a bare 404, without a message.
fn not_found() -> Reply {
    Reply::new(404)
}

async fn clear(call: EndpointCall) -> Result<Reply, Failure> {
    for (plugin, cache) in Caches::of(&call.services).users() {
        cache.clear();
        tell(&call, plugin, None).await;
    }
    Ok(Reply::new(204))
}

async fn by_key(call: EndpointCall) -> Result<Reply, Failure> {
    let users = Caches::of(&call.services).users();
    act(&call, &users, call.parameter(0)).await
}

async fn by_plugin_and_key(call: EndpointCall) -> Result<Reply, Failure> {
    let plugin: Option<Uuid> = call.parameter(0).parse().ok();
    let mut users = Caches::of(&call.services).users();
    users.retain(|(user, _)| Some(*user) == plugin);
    act(&call, &users, call.parameter(1)).await
}

/// Shows or forgets a key in the first of these caches that has it.
async fn act(
    call: &EndpointCall,
    users: &[(Uuid, Arc<Cache>)],
    text: &str,
) -> Result<Reply, Failure> {
    let Some(key) = Key::parse(text) else {
        return Ok(not_found());
    };
    let now = call.services.clock.monotonic();
    for (plugin, cache) in users {
        let Some(stored) = cache.newest(&key, now) else {
            continue;
        };
        if call.method == Method::Delete {
            cache.purge(&key);
            tell(call, *plugin, Some(text)).await;
            return Ok(Reply::new(204));
        }
        return Ok(Reply::new(200).with_body(Body::Json(shown(&stored))));
    }
    Ok(not_found())
}

/// Has the other nodes purge as well. While the database is away the word is kept and told later.
async fn tell(call: &EndpointCall, plugin: Uuid, key: Option<&str>) {
    let word = Caches::purge_word(plugin, key);
    let _ = call.services.cluster.tell(CHANNEL, word).await;
}

/// An answer in the form in which Kong shows it.
fn shown(stored: &Stored) -> Value {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers = Map::new();
    for (name, value) in &stored.headers {
        let value = Value::from(text(value));
        match headers.get_mut(&**name) {
            None => {
                headers.insert(name.to_string(), value);
            }
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    json!({
        "status": stored.status,
        "headers": headers,
        "body": text(&stored.body),
        "body_len": stored.body.len(),
        "timestamp": stored.timestamp,
        "ttl": stored.fresh_for.as_secs(),
        "version": 1,
        "req_body": text(&stored.request_body),
    })
}
