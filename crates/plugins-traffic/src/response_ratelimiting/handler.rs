//! Counts what answers say was used, and withholds those of clients that have nothing left.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::try_join_all;
use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Needs, Outcome, Phase, RedisSettings, Reply,
    ResponseHead, Services, Step, Summary,
};
use serde::Deserialize;

use super::limits::{Named, parse_used};
use crate::counting::local::LocalCounters;
use crate::counting::redis::RedisCounters;
use crate::counting::{
    Fate, Figures, Identifier, Outage, PeriodLimits, Scope, Used, text_of, used, windows,
};

const TOO_MANY_REQUESTS: u16 = 429;

#[derive(Deserialize)]
struct Config {
    header_name: String,
    limit_by: String,
    policy: String,
    fault_tolerant: bool,
    redis: RedisSettings,
    block_on_first_violation: bool,
    hide_client_headers: bool,
    limits: BTreeMap<String, PeriodLimits>,
}

struct ResponseRateLimiting {
    scope: Scope,
    /// The header of answers that says what was used.
    header: String,
    by: By,
    limits: Arc<[Named]>,
    counters: Counters,
    outage: Outage,
    figures: Arc<Figures>,
    refuses_at_first: bool,
    services: Services,
}

/// What is counted together.
#[derive(Clone, Copy)]
enum By {
    Consumer,
    Credential,
    Address,
}

/// Where the counters are.
enum Counters {
    Local(Arc<LocalCounters>),
    Database,
    Redis(Arc<RedisCounters>),
}

/// What is known of one exchange.
#[derive(Default)]
struct Seen {
    who: Option<Identifier<'static>>,
    /// When the request came, in seconds since the Unix epoch.
    at: i64,
    /// What each limit's windows held then; nothing if that is not known.
    usage: Option<Vec<Used>>,
    /// What the answer used, by the limits' place.
    used: Vec<f64>,
    is_withheld: bool,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let (policy, counters) = match config.policy.as_str() {
        "cluster" => ("cluster", Counters::Database),
        "redis" => {
            let redis = services.redis.open(&config.redis);
            ("redis", Counters::Redis(Arc::new(RedisCounters::on(redis))))
        }
        _ => {
            let counters = services.shared.get("usage", LocalCounters::default);
            ("local", Counters::Local(counters))
        }
    };
    Ok(Arc::new(ResponseRateLimiting {
        scope: Scope::of(record),
        header: config.header_name,
        by: match config.limit_by.as_str() {
            "credential" => By::Credential,
            "ip" => By::Address,
            _ => By::Consumer,
        },
        limits: Named::all(config.limits, config.hide_client_headers).into(),
        counters,
        outage: Outage::new("response-ratelimiting", config.fault_tolerant),
        figures: Figures::of(services, "response-ratelimiting", policy),
        refuses_at_first: config.block_on_first_violation,
        services: services.clone(),
    }))
}

impl By {
    fn identify(self, exchange: &Exchange<'_>) -> Identifier<'static> {
        let found = match self {
            Self::Consumer => Identifier::consumer(exchange),
            Self::Credential => Identifier::credential(exchange),
            Self::Address => None,
        };
        let found = found.unwrap_or_else(|| Identifier::address(exchange));
        found.into_owned()
    }
}

impl Handler for ResponseRateLimiting {
    fn needs(&self) -> Needs {
        Needs::phases(&[
            Phase::Access,
            Phase::HeaderFilter,
            Phase::BodyFilter,
            Phase::Log,
        ])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let now = self.services.clock.unix_seconds();
        let who = self.by.identify(exchange);
        if let Counters::Local(counters) = &self.counters {
            let usage = self.limits.iter().map(|limit| {
                let place = counters.place(&(self.scope, &who, &limit.name));
                counters.read(place, &limit.limits, now)
            });
            let usage = usage.collect();
            return Step::Now(self.begin(exchange, who, usage, now));
        }
        Step::later(async move {
            match self.ask(&who, now).await {
                Ok(usage) => self.begin(exchange, who, usage, now),
                Err(error) => {
                    self.figures.count(self.outage.fate());
                    self.outage.decide(&error, now).map(|()| Flow::Next)
                }
            }
        })
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        let used = parse_used(head.headers.get_all(self.header.as_str()), &self.limits);
        let seen: &mut Seen = exchange.state();
        let Some(usage) = &seen.usage else {
            return Ok(());
        };
        head.headers.remove(self.header.as_str());
        for ((named, held), used) in self.limits.iter().zip(usage).zip(&used) {
            for (place, limit) in named.limits.iter().enumerate() {
                let left = limit.most - held[place];
                seen.is_withheld |= *used > 0.0 && left <= 0.0;
                if let Some(shown) = named.shown.get(place) {
                    head.headers.set(shown.limit.as_str(), &shown.text)?;
                    let left = text_of((left - used).max(0.0)).to_vec();
                    head.headers.set(shown.left.as_str(), &left)?;
                }
            }
        }
        seen.used = used;
        if seen.is_withheld {
            head.set_status(TOO_MANY_REQUESTS);
            exchange.work.drops_body = true;
        }
        Ok(())
    }

    fn log(&self, exchange: &mut Exchange<'_>, _: &Summary<'_>) {
        let seen: &mut Seen = exchange.state();
        let Some(who) = seen.who.take() else {
            return;
        };
        if seen.is_withheld {
            return self.figures.count(Fate::Limited);
        }
        self.figures.count(Fate::Passed);
        let used = std::mem::take(&mut seen.used);
        if used.iter().any(|used| *used != 0.0) {
            self.count(who, used, seen.at);
        }
    }
}

impl ResponseRateLimiting {
    /// Remembers what there is left, and refuses those who have nothing left if that is wanted.
    fn begin(
        &self,
        exchange: &mut Exchange<'_>,
        who: Identifier<'static>,
        usage: Vec<Used>,
        now: i64,
    ) -> Outcome {
        let mut told = Vec::with_capacity(self.limits.len());
        for (named, held) in self.limits.iter().zip(&usage) {
            let left = named
                .limits
                .iter()
                .zip(held)
                .map(|(limit, held)| limit.most - held);
            let left = left.fold(f64::INFINITY, f64::min);
            if self.refuses_at_first && left <= 0.0 {
                self.figures.count(Fate::Limited);
                let message = format!("API rate limit exceeded for '{}'", named.name);
                return Ok(Reply::error(TOO_MANY_REQUESTS, message).into());
            }
            told.extend(
                named
                    .left
                    .as_ref()
                    .map(|header| (header.clone(), text_of(left))),
            );
        }
        for (header, left) in told {
            exchange.set_answer_header(header, left);
        }
        let seen: &mut Seen = exchange.state();
        seen.who = Some(who);
        seen.usage = Some(usage);
        seen.at = now;
        Ok(Flow::Next)
    }

    /// What all windows hold, from where others count as well.
    async fn ask(&self, who: &Identifier<'_>, now: i64) -> Result<Vec<Used>, String> {
        let each = self.limits.iter().map(|named| async move {
            let (name, limits) = (named.name.as_str(), &named.limits);
            match &self.counters {
                Counters::Redis(counters) => {
                    let keys = self.scope.usage_keys(who, name, limits, now);
                    counters.read(keys).await.map_err(|error| error.to_string())
                }
                _ => {
                    let subject = self.scope.subject(who);
                    let windows = windows(limits, Some(name), now);
                    let answer = self.services.counters.usage(subject, windows).await;
                    answer.map(used).map_err(|error| error.to_string())
                }
            }
        });
        try_join_all(each).await
    }

    /// Adds what was used to all windows; nobody waits for it.
    fn count(&self, who: Identifier<'static>, used: Vec<f64>, now: i64) {
        if let Counters::Local(counters) = &self.counters {
            for (named, used) in self.limits.iter().zip(used) {
                let place = counters.place(&(self.scope, &who, &named.name));
                counters.add(place, &named.limits, now, used);
            }
            return;
        }
        let redis = match &self.counters {
            Counters::Redis(counters) => Some(counters.clone()),
            _ => None,
        };
        let (limits, scope, services) = (self.limits.clone(), self.scope, self.services.clone());
        self.services.background.spawn(Box::pin(async move {
            for (named, used) in limits.iter().zip(used) {
                if used == 0.0 {
                    continue;
                }
                let (name, limits) = (named.name.as_str(), &named.limits);
                // Whole units, because Redis and the database count in them.
                let units = used.ceil();
                let counted = match &redis {
                    Some(counters) => {
                        let keys = scope.usage_keys(&who, name, limits, now);
                        let added = counters.add(keys, limits, units).await;
                        added.map(drop).map_err(|error| error.to_string())
                    }
                    None => {
                        let subject = scope.subject(&who);
                        let windows = windows(limits, Some(name), now);
                        #[expect(
                            clippy::cast_possible_truncation,
                            reason = "what is more stays the most"
                        )]
                        let units = units as i64;
                        let added = services.counters.add_usage(subject, windows, units).await;
                        added.map_err(|error| error.to_string())
                    }
                };
                if let Err(error) = counted {
                    tracing::debug!(error, "the usage of an answer was not counted");
                }
            }
        }));
    }
}
