//! Whose requests are counted together, and what the counters are called.

use std::borrow::Cow;
use std::hash::Hash;
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use plugin_api::{Configured, Exchange};
use stdx::counting::{Subject, Window};
use uuid::Uuid;

use super::{Limit, Period};

/// Longer names are counted under their digest: a client chooses them, and databases have bounds.
const LONGEST: usize = 1024;

/// Where a limit belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub route: Uuid,
    pub service: Uuid,
}

impl Scope {
    /// That of a record.
    pub fn of(record: &Configured<'_>) -> Self {
        Self {
            route: record.route.unwrap_or_default(),
            service: record.service.unwrap_or_default(),
        }
    }

    /// The subject of rows in the database.
    pub fn subject(self, identifier: &Identifier<'_>) -> Subject {
        Subject {
            identifier: identifier.text().into_owned(),
            route: self.route,
            service: self.service,
        }
    }

    /// The keys of Redis for requests, by their limits' places.
    pub fn request_keys(
        self,
        identifier: &Identifier<'_>,
        limits: &[Limit],
        now: i64,
    ) -> Vec<String> {
        let identifier = identifier.text();
        let Self { route, service } = self;
        let key = |limit: &Limit| {
            let (start, period) = (millis(limit.period, now), limit.period.name());
            format!("ratelimit:{route}:{service}:{identifier}:{start}:{period}")
        };
        limits.iter().map(key).collect()
    }

    /// The keys of Redis for the usage that answers count under a name.
    pub fn usage_keys(
        self,
        identifier: &Identifier<'_>,
        name: &str,
        limits: &[Limit],
        now: i64,
    ) -> Vec<String> {
        let identifier = identifier.text();
        let Self { route, service } = self;
        let key = |limit: &Limit| {
            let (start, period) = (millis(limit.period, now), limit.period.name());
            format!("response-ratelimit:{route}:{service}:{identifier}:{start}:{name}:{period}")
        };
        limits.iter().map(key).collect()
    }
}

fn millis(period: Period, now: i64) -> i64 {
    period.start(now).saturating_mul(1000)
}

/// The windows of some limits at a moment, as the database has them; `name` is what their periods begin with.
pub fn windows(limits: &[Limit], name: Option<&str>, now: i64) -> Vec<Window> {
    let window = |limit: &Limit| Window {
        period: match name {
            Some(name) => format!("{name}_{}", limit.period.name()),
            None => limit.period.name().to_owned(),
        },
        start: limit.period.start(now),
        length: limit.period.length(),
        limit: limit.most,
    };
    limits.iter().map(window).collect()
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Identifier<'a> {
    Id(Uuid),
    Address(IpAddr),
    Text(Cow<'a, str>),
}

impl<'a> Identifier<'a> {
    /// The client's address.
    pub fn address(exchange: &Exchange<'_>) -> Self {
        match exchange.client_ip() {
            Some(address) => Self::Address(address),
            None => Self::Text(Cow::Borrowed("unix:")),
        }
    }

    /// The consumer, or else the credential; nothing for a client that was not recognised.
    pub fn consumer(exchange: &'a Exchange<'_>) -> Option<Self> {
        let consumer = exchange.work.consumer.as_ref();
        consumer
            .map(|consumer| Self::Id(consumer.id))
            .or_else(|| Self::credential(exchange))
    }

    /// The credential.
    pub fn credential(exchange: &'a Exchange<'_>) -> Option<Self> {
        let credential = exchange.work.credential.as_ref()?;
        Some(Self::Text(Cow::Borrowed(&credential.id)))
    }

    /// The same for as long as anybody likes.
    pub fn into_owned(self) -> Identifier<'static> {
        match self {
            Self::Id(id) => Identifier::Id(id),
            Self::Address(address) => Identifier::Address(address),
            Self::Text(text) => Identifier::Text(Cow::Owned(text.into_owned())),
        }
    }

    /// What keys and rows have for it.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Id(id) => id.to_string().into(),
            Self::Address(address) => address.to_string().into(),
            Self::Text(text) if text.len() <= LONGEST => Cow::Borrowed(text),
            Self::Text(text) => {
                let mut name = "sha256:".to_owned();
                for byte in digest(&SHA256, text.as_bytes()).as_ref() {
                    name.push_str(&format!("{byte:02x}"));
                }
                name.into()
            }
        }
    }
}

/// Two hashes with keys of their own, which together nobody can make collide.
#[derive(Debug, Default)]
pub struct Names(std::hash::RandomState, std::hash::RandomState);

impl Names {
    /// The number of whatever `of` hashes.
    pub fn number(&self, of: &impl Hash) -> u128 {
        use std::hash::BuildHasher as _;
        let half = |state: &std::hash::RandomState| state.hash_one(of);
        (u128::from(half(&self.0)) << 64) | u128::from(half(&self.1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope = Scope {
        route: Uuid::nil(),
        service: Uuid::from_u128(1),
    };

    #[test]
    fn keys_are_those_of_kong() {
        let limit = |period| Limit { period, most: 1.0 };
        let limits = [limit(Period::Minute), limit(Period::Year)];
        let who = Identifier::Address("127.0.0.1".parse().expect("an address"));
        let now = 1_709_212_455;
        assert_eq!(
            SCOPE.request_keys(&who, &limits, now),
            [
                "ratelimit:00000000-0000-0000-0000-000000000000:00000000-0000-0000-0000-000000000001:\
                 127.0.0.1:1709212440000:minute",
                "ratelimit:00000000-0000-0000-0000-000000000000:00000000-0000-0000-0000-000000000001:\
                 127.0.0.1:1704067200000:year",
            ]
        );
        assert_eq!(
            SCOPE.usage_keys(&who, "video", &limits[..1], now),
            ["response-ratelimit:00000000-0000-0000-0000-000000000000:\
              00000000-0000-0000-0000-000000000001:127.0.0.1:1709212440000:video:minute"]
        );
        let names: Vec<_> = windows(&limits, Some("video"), now)
            .into_iter()
            .map(|window| (window.period, window.start))
            .collect();
        let expected = [
            ("video_minute", 1_709_212_440),
            ("video_year", 1_704_067_200),
        ];
        assert_eq!(
            names,
            expected.map(|(name, start)| (name.to_owned(), start))
        );
    }

    #[test]
    fn a_long_identifier_is_counted_under_its_digest() {
        let long = Identifier::Text("x".repeat(LONGEST + 1).into());
        assert_eq!(long.text().len(), "sha256:".len() + 64);
        let other = Identifier::Text("x".repeat(LONGEST + 2).into());
        assert_ne!(long.text(), other.text());
        assert_eq!(
            Identifier::Text("x".repeat(LONGEST).into()).text().len(),
            LONGEST
        );
    }
}
