//! What heads say about caching: `Cache-Control`, `Expires`, `Age`, `Vary`, media types (RFC 9111, RFC 9110).

use std::time::{Duration, SystemTime};

use http1::{Headers, Known};

/// What `Cache-Control` of a request says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wishes {
    pub no_cache: bool,
    pub no_store: bool,
    pub only_if_cached: bool,
    pub max_age: Option<Duration>,
    /// How stale an answer may be.
    pub max_stale: Option<Duration>,
    pub min_fresh: Option<Duration>,
}

impl Wishes {
    pub fn of(headers: &Headers) -> Self {
        let mut wishes = Self::default();
        for (name, value) in directives(headers) {
            match name.as_str() {
                "no-cache" => wishes.no_cache = true,
                "no-store" => wishes.no_store = true,
                "only-if-cached" => wishes.only_if_cached = true,
                "max-age" => wishes.max_age = seconds(value),
                "max-stale" => {
                    // Without a number, any staleness will do.
                    wishes.max_stale = seconds(value).or(Some(Duration::MAX));
                }
                "min-fresh" => wishes.min_fresh = seconds(value),
                _ => {}
            }
        }
        wishes
    }
}

/// What `Cache-Control` of an answer says, and the headers that say the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Permission {
    /// Whether a shared cache must not keep it.
    pub forbidden: bool,
    /// How long it is fresh from now on.
    pub fresh_for: Duration,
}

impl Permission {
    pub fn of(headers: &Headers, now: SystemTime) -> Self {
        let (mut forbidden, mut max_age, mut shared_max_age) = (false, None, None);
        for (name, value) in directives(headers) {
            match name.as_str() {
                "private" | "no-store" | "no-cache" => forbidden = true,
                "max-age" => max_age = seconds(value),
                "s-maxage" => shared_max_age = seconds(value),
                _ => {}
            }
        }
        let expires = || {
            let text = headers.get_str("Expires")?;
            let at = httpdate::parse_http_date(text).ok()?;
            at.duration_since(now).ok()
        };
        let lifetime = shared_max_age.or(max_age).or_else(expires);
        Self {
            forbidden,
            fresh_for: lifetime.unwrap_or_default().saturating_sub(age(headers)),
        }
    }
}

/// How old an answer is when it comes.
pub(super) fn age(headers: &Headers) -> Duration {
    let age = headers.get_str("Age").and_then(|age| seconds(Some(age)));
    age.unwrap_or_default()
}

/// The request headers that an answer depends on, in lower case; `None` if nobody can say.
pub(super) fn varied(headers: &Headers) -> Option<Vec<Box<str>>> {
    let mut names = Vec::new();
    for line in headers.get_all("Vary") {
        let line = std::str::from_utf8(line).ok()?;
        for name in line.split(',').map(str::trim) {
            match name {
                "" => {}
                "*" => return None,
                name => names.push(name.to_ascii_lowercase().into()),
            }
        }
    }
    names.sort();
    names.dedup();
    Some(names)
}

fn directives(headers: &Headers) -> impl Iterator<Item = (String, Option<&str>)> {
    let lines = headers
        .get_all("Cache-Control")
        .filter_map(|line| std::str::from_utf8(line).ok());
    let parts = lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .filter(|part| !part.is_empty());
    parts.map(|part| match part.split_once('=') {
        Some((name, value)) => (
            name.trim().to_ascii_lowercase(),
            Some(value.trim().trim_matches('"')),
        ),
        None => (part.to_ascii_lowercase(), None),
    })
}

/// A number of seconds; one that is too large stands for very many.
fn seconds(value: Option<&str>) -> Option<Duration> {
    const MANY: u64 = 1 << 31;
    let value = value?;
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| Duration::from_secs(value.parse().unwrap_or(MANY).min(MANY)))
}

/// A media type with its parameters, all but their values in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MediaType {
    kind: String,
    subtype: String,
    parameters: Vec<(String, String)>,
}

impl MediaType {
    /// Reads a media type, or a range of them such as `text/*`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = match parts.next()? {
            "*" => ("*", "*"),
            essence => essence.split_once('/')?,
        };
        if kind.is_empty() || subtype.is_empty() {
            return None;
        }
        let mut parameters = Vec::new();
        for part in parts.filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"');
            parameters.push((name.trim().to_ascii_lowercase(), value.to_ascii_lowercase()));
        }
        parameters.sort();
        Some(Self {
            kind: kind.to_ascii_lowercase(),
            subtype: subtype.to_ascii_lowercase(),
            parameters,
        })
    }

    /// Whether another type is of this one, parameters included.
    pub fn covers(&self, other: &Self) -> bool {
        (self.kind == "*" || self.kind == other.kind)
            && (self.subtype == "*" || self.subtype == other.subtype)
            && self.parameters == other.parameters
    }

    /// Whether it is of gRPC, whose answers end with trailers.
    pub fn is_grpc(&self) -> bool {
        self.kind == "application" && self.subtype.starts_with("grpc")
    }
}

/// The media type of an answer, if it says one.
pub(super) fn media_type(headers: &Headers) -> Option<MediaType> {
    MediaType::parse(headers.get_str(Known::ContentType)?)
}
