//! Which requests share an answer.
//!
//! Invariant: whatever of a request can reach the upstream and change its answer is in the key, named by the answer's
//! `Vary`, or up to who configures the plugin (`vary_headers`): who asks, where the request goes, scheme, host, method,
//! path, query and body, and what a trusted proxy in front says about them.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{Context, SHA256};
use plugin_api::{Exchange, Known, RequestHead, arguments};

/// The digest of what tells requests apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key([u8; 32]);

impl Key {
    /// Reads what `X-Cache-Key` says.
    pub fn parse(text: &str) -> Option<Self> {
        let mut key = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok()?;
            *byte = u8::from_str_radix(digits, 16).ok()?;
        }
        Some(Self(key))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(64);
        for byte in self.0 {
            write!(text, "{byte:02x}")?;
        }
        f.write_str(&text)
    }
}

/// What the configuration says about keys.
#[derive(Debug, Default)]
pub(super) struct KeyRules {
    pub ignore_case: bool,
    /// The arguments that count; all if there are none.
    pub arguments: Vec<String>,
    pub headers: Vec<String>,
}

/// What a proxy in front can say that the upstream hears.
const FORWARDED: [&str; 4] = [
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Forwarded-Proto",
    "X-Forwarded-Prefix",
];

impl KeyRules {
    /// The key of a request.
    pub fn key(&self, exchange: &Exchange<'_>) -> Key {
        let mut digest = Parts(Context::new(&SHA256));
        self.add_who(exchange, &mut digest);
        let route = exchange.matched.route.map(|route| route.id);
        digest.add_optional(route.as_ref().map(|id| id.as_bytes().as_slice()));
        let connection = &exchange.connection;
        digest.add(connection.forwarded_proto.as_bytes());
        digest.add(connection.host.as_bytes());
        // What a trusted proxy says in its place is below.
        let own_port =
            !(connection.trusted && exchange.head.headers.contains(Known::XForwardedPort));
        digest.add_optional(own_port.then_some(&connection.port.to_be_bytes()[..]));
        let upstream = &exchange.work.upstream;
        for chosen in [&upstream.scheme, &upstream.host, &upstream.host_header] {
            digest.add_optional(chosen.as_deref().map(str::as_bytes));
        }
        digest.add(&upstream.port.unwrap_or_default().to_be_bytes());
        digest.add(exchange.head.method().as_str().as_bytes());
        self.add_target(exchange, &mut digest);
        for name in &self.headers {
            digest.add(&joined(exchange.head, name));
        }
        if connection.trusted {
            for name in FORWARDED {
                digest.add(&joined(exchange.head, name));
            }
        }
        digest.add(exchange.body());
        digest.finish()
    }

    /// Who asks. Without anybody known, a client that tries to prove something to the upstream is kept apart.
    fn add_who(&self, exchange: &Exchange<'_>, digest: &mut Parts) {
        let work = &exchange.work;
        if let Some(consumer) = &work.consumer {
            digest.add(b"consumer");
            digest.add(consumer.id.as_bytes());
        } else if let Some(credential) = &work.credential {
            digest.add(b"credential");
            digest.add(credential.id.as_bytes());
        } else {
            digest.add(b"nobody");
            digest.add(&joined(exchange.head, "Authorization"));
        }
    }

    /// Where the request goes, other plugins' edits included.
    fn add_target(&self, exchange: &Exchange<'_>, digest: &mut Parts) {
        let target = exchange.target.as_slice();
        let path = target.split(|byte| *byte == b'?').next();
        let path = path.unwrap_or_default();
        if self.ignore_case {
            digest.add(&path.to_ascii_lowercase());
        } else {
            digest.add(path);
        }
        let mut counted: Vec<_> = arguments(exchange.query())
            .filter(|argument| {
                let named = |name: &String| *name.as_bytes() == *argument.name;
                self.arguments.is_empty() || self.arguments.iter().any(named)
            })
            .collect();
        // The order of an argument's own values may mean something.
        counted.sort_by(|a, b| a.name.cmp(&b.name));
        digest.add(&counted.len().to_be_bytes());
        for argument in &counted {
            digest.add(&argument.name);
            digest.add_optional(argument.value.as_deref());
        }
    }
}

/// All lines of a header in one.
pub(super) fn joined(head: &RequestHead, name: &str) -> Vec<u8> {
    let mut values = head.headers.get_all(name);
    let mut joined = Vec::new();
    if let Some(first) = values.next() {
        joined.push(b'=');
        joined.extend_from_slice(first);
    }
    for value in values {
        joined.push(b'\n');
        joined.extend_from_slice(value);
    }
    joined
}

/// A digest of parts, each with its length, so that no two lists of parts look the same.
struct Parts(Context);

impl Parts {
    fn add(&mut self, part: &[u8]) {
        self.0.update(&(part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn add_optional(&mut self, part: Option<&[u8]>) {
        match part {
            Some(part) => self.add(part),
            None => self.0.update(&u64::MAX.to_be_bytes()),
        }
    }

    fn finish(self) -> Key {
        let mut key = [0; 32];
        for (byte, digest) in key.iter_mut().zip(self.0.finish().as_ref()) {
            *byte = *digest;
        }
        Key(key)
    }
}
