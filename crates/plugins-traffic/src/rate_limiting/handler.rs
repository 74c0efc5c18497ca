//! Counts requests, and refuses those that are too many.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Needs, Outcome, Phase, RedisSettings, Reply,
    Services, Step, normalize_path,
};
use serde::Deserialize;

use super::headers::{self, Shown};
use crate::counting::local::{LocalCounters, Place};
use crate::counting::redis::RedisCounters;
use crate::counting::synced::SyncedCounters;
use crate::counting::{
    Fate, Figures, Identifier, Limit, Outage, PeriodLimits, Scope, Verdict, show_age, windows,
};

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    limits: PeriodLimits,
    limit_by: String,
    header_name: Option<String>,
    path: Option<String>,
    policy: String,
    fault_tolerant: bool,
    redis: RedisSettings,
    hide_client_headers: bool,
    error_code: f64,
    error_message: String,
    sync_rate: f64,
}

struct RateLimiting {
    scope: Scope,
    limits: Vec<Limit>,
    by: By,
    counters: Counters,
    outage: Outage,
    figures: Arc<Figures>,
    /// What clients are told; nothing if they are told nothing.
    shown: Vec<Shown>,
    error_code: u16,
    error_message: String,
    services: Services,
}

/// What is counted together.
enum By {
    Consumer,
    Credential,
    Address,
    Service,
    Header(String),
    Path(String),
}

/// Where the counters are.
enum Counters {
    Local {
        counters: Arc<LocalCounters>,
        scope: Place,
    },
    Database,
    Redis(RedisCounters),
    Synced {
        counters: Arc<SyncedCounters>,
        scope: Place,
        every: Duration,
    },
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let scope = Scope::of(record);
    let limits = config.limits.limits();
    let shown = limits.iter().filter(|_| !config.hide_client_headers);
    let counters = Counters::of(&config, scope, services)?;
    Ok(Arc::new(RateLimiting {
        scope,
        by: By::of(&config),
        figures: Figures::of(services, "rate-limiting", counters.name()),
        counters,
        outage: Outage::new("rate-limiting", config.fault_tolerant),
        shown: shown.copied().map(Shown::new).collect(),
        error_code: status(config.error_code)?,
        error_message: config.error_message,
        limits,
        services: services.clone(),
    }))
}

fn status(number: f64) -> Result<u16, Failure> {
    let valid = (100..=599_u16).find(|status| f64::from(*status) == number);
    valid.ok_or_else(|| Failure::new(format!("error_code {number} is no status of an answer")))
}

impl By {
    fn of(config: &Config) -> Self {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        match config.limit_by.as_str() {
            "credential" => Self::Credential,
            "ip" => Self::Address,
            "service" => Self::Service,
            "header" => Self::Header(text(&config.header_name)),
            "path" => Self::Path(text(&config.path)),
            _ => Self::Consumer,
        }
    }

    /// Who makes a request; what is missing is made up for by the client's address.
    fn identify<'a>(&'a self, exchange: &'a Exchange<'_>) -> Identifier<'a> {
        let found = match self {
            Self::Consumer => Identifier::consumer(exchange),
            Self::Credential => Identifier::credential(exchange),
            Self::Address => None,
            Self::Service => exchange
                .matched
                .service
                .map(|service| Identifier::Id(service.id)),
            Self::Header(name) => {
                let value = exchange.head.headers.get(name.as_str());
                value.map(|value| Identifier::Text(String::from_utf8_lossy(value)))
            }
            Self::Path(path) => {
                let asked = normalize_path(exchange.head.path());
                (*asked == *path.as_bytes()).then_some(Identifier::Text(Cow::Borrowed(path)))
            }
        };
        found.unwrap_or_else(|| Identifier::address(exchange))
    }
}

impl Counters {
    fn of(config: &Config, scope: Scope, services: &Services) -> Result<Self, Failure> {
        let shared = &services.shared;
        Ok(match config.policy.as_str() {
            "cluster" => Self::Database,
            "redis" if config.sync_rate > 0.0 => {
                let every = Duration::try_from_secs_f64(config.sync_rate);
                let every = every.map_err(|error| Failure::new(format!("sync_rate: {error}")))?;
                let redis = services.redis.open(&config.redis);
                // It says how to reach the server, and no secret.
                let name = format!("{:?} every {every:?}", config.redis);
                let counters = shared.get(&name, || SyncedCounters::on(redis.clone()));
                counters.set_redis(redis);
                show_age(services, &counters);
                let scope = counters.place(&scope);
                Self::Synced {
                    counters,
                    scope,
                    every,
                }
            }
            "redis" => Self::Redis(RedisCounters::on(services.redis.open(&config.redis))),
            _ => {
                let counters = shared.get("requests", LocalCounters::default);
                let scope = counters.place(&scope);
                Self::Local { counters, scope }
            }
        })
    }
}

impl Counters {
    /// How the metrics page calls the place.
    fn name(&self) -> &'static str {
        match self {
            Self::Local { .. } => "local",
            Self::Database => "cluster",
            Self::Redis(_) => "redis",
            Self::Synced { .. } => "redis_synced",
        }
    }
}

impl Handler for RateLimiting {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let now = self.services.clock.unix_seconds();
        let who = self.by.identify(exchange);
        match &self.counters {
            Counters::Local { counters, scope } => {
                let place = counters.place(&who).within(*scope);
                let verdict = counters.take(place, &self.limits, now);
                Step::Now(self.conclude(exchange, verdict, now))
            }
            Counters::Database => {
                let subject = self.scope.subject(&who);
                let windows = windows(&self.limits, None, now);
                let asked = self.services.counters.take(subject, windows);
                Step::later(async move {
                    let answer = asked.await.map(Verdict::from);
                    self.decide(exchange, answer, now)
                })
            }
            Counters::Redis(counters) => {
                let keys = self.scope.request_keys(&who, &self.limits, now);
                Step::later(async move {
                    let answer = counters.take(keys, &self.limits).await;
                    self.decide(exchange, answer, now)
                })
            }
            Counters::Synced {
                counters,
                scope,
                every,
            } => {
                let place = counters.place(&who).within(*scope);
                let strict = !self.outage.is_tolerated();
                if let Some(verdict) = counters.take_known(place, &self.limits, now, strict) {
                    return Step::Now(self.conclude(exchange, verdict, now));
                }
                let keys = self.scope.request_keys(&who, &self.limits, now);
                Step::later(async move {
                    let (limits, services) = (&self.limits, &self.services);
                    let taken = counters.take(place, keys, limits, now, *every, services);
                    let answer = taken.await;
                    self.decide(exchange, answer, now)
                })
            }
        }
    }
}

impl RateLimiting {
    fn decide(
        &self,
        exchange: &mut Exchange<'_>,
        answer: Result<Verdict, impl std::fmt::Display>,
        now: i64,
    ) -> Outcome {
        match answer {
            Ok(verdict) => self.conclude(exchange, verdict, now),
            Err(error) => {
                self.figures.count(self.outage.fate());
                self.outage.decide(&error, now).map(|()| Flow::Next)
            }
        }
    }

    fn conclude(&self, exchange: &mut Exchange<'_>, verdict: Verdict, now: i64) -> Outcome {
        headers::set(exchange, &self.shown, &verdict, now);
        if verdict.granted {
            self.figures.count(Fate::Passed);
            return Ok(Flow::Next);
        }
        self.figures.count(Fate::Limited);
        Ok(Reply::error(self.error_code, self.error_message.clone()).into())
    }
}
