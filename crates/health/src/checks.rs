//! The settings of health checks: an upstream's field `healthchecks`, typed.

use std::time::Duration;

use serde_json::Value;

/// How often checks may run at most, whatever is configured.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// All that an upstream says about the health of its targets.
#[derive(Debug, Clone, PartialEq)]
pub struct Checks {
    pub active: Active,
    /// What traffic says.
    pub passive: Thresholds,
    /// The upstream is unhealthy unless more than this percentage of its weight is on healthy addresses.
    pub threshold: f64,
}

/// Probes.
#[derive(Debug, Clone, PartialEq)]
pub struct Active {
    pub kind: Kind,
    pub path: Box<str>,
    /// Headers of the probe, by name.
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// For connecting, and again for the answer.
    pub timeout: Duration,
    /// Probes of one upstream that run at a time.
    pub concurrency: usize,
    /// The name in the TLS greeting, instead of the target's.
    pub sni: Option<Box<str>>,
    pub verify_certificate: bool,
    /// How often healthy addresses are probed; `None` is never.
    pub healthy_interval: Option<Duration>,
    /// How often unhealthy addresses are probed; `None` is never.
    pub unhealthy_interval: Option<Duration>,
    pub thresholds: Thresholds,
}

/// What a probe speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A connection is enough.
    Tcp,
    Http,
    Https,
    /// The health service of gRPC.
    Grpc,
    Grpcs,
}

impl Kind {
    /// Whether the probe speaks TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Grpcs)
    }
}

/// How many observations of a kind in a row change the verdict; zero ignores them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Thresholds {
    pub successes: u8,
    pub http_failures: u8,
    pub tcp_failures: u8,
    pub timeouts: u8,
    /// Statuses that count as successes.
    pub healthy_statuses: Box<[u16]>,
    /// Statuses that count as failures.
    pub unhealthy_statuses: Box<[u16]>,
}

impl Checks {
    /// Reads the field; what is missing is off.
    pub fn read(field: &Value) -> Self {
        let active = field.get("active").unwrap_or(&Value::Null);
        let passive = field.get("passive").unwrap_or(&Value::Null);
        Self {
            active: Active::read(active),
            passive: Thresholds::read(passive),
            threshold: number(field, "/threshold"),
        }
    }

    /// Whether anything can make an address unhealthy.
    ///
    /// Compat: as in Kong, counting successes of traffic alone is not a health check.
    pub fn is_on(&self) -> bool {
        let passive = &self.passive;
        self.active.is_on()
            || [
                passive.http_failures,
                passive.tcp_failures,
                passive.timeouts,
            ]
            .into_iter()
            .any(|limit| limit > 0)
    }
}

impl Active {
    fn read(field: &Value) -> Self {
        let text = |name: &str| field.get(name).and_then(Value::as_str);
        let interval = |pointer| {
            let seconds = seconds(number(field, pointer));
            (!seconds.is_zero()).then(|| seconds.max(SHORTEST_INTERVAL))
        };
        Self {
            kind: match text("type") {
                Some("tcp") => Kind::Tcp,
                Some("https") => Kind::Https,
                Some("grpc") => Kind::Grpc,
                Some("grpcs") => Kind::Grpcs,
                _ => Kind::Http,
            },
            path: text("http_path").unwrap_or("/").into(),
            headers: headers(field.get("headers")),
            timeout: Some(seconds(number(field, "/timeout")))
                .filter(|timeout| !timeout.is_zero())
                .unwrap_or(Duration::from_secs(1)),
            concurrency: field
                .get("concurrency")
                .and_then(Value::as_u64)
                .and_then(|number| usize::try_from(number).ok())
                .map_or(10, |number| number.max(1)),
            sni: text("https_sni").map(Into::into),
            verify_certificate: field
                .get("https_verify_certificate")
                .and_then(Value::as_bool)
                .unwrap_or(true),
            healthy_interval: interval("/healthy/interval"),
            unhealthy_interval: interval("/unhealthy/interval"),
            thresholds: Thresholds::read(field),
        }
    }

    /// Whether there are probes.
    pub fn is_on(&self) -> bool {
        self.healthy_interval.is_some() || self.unhealthy_interval.is_some()
    }
}

impl Thresholds {
    fn read(field: &Value) -> Self {
        let limit = |pointer| {
            let number = field.pointer(pointer).and_then(Value::as_u64);
            u8::try_from(number.unwrap_or_default()).unwrap_or(u8::MAX)
        };
        Self {
            successes: limit("/healthy/successes"),
            http_failures: limit("/unhealthy/http_failures"),
            tcp_failures: limit("/unhealthy/tcp_failures"),
            timeouts: limit("/unhealthy/timeouts"),
            healthy_statuses: statuses(field.pointer("/healthy/http_statuses")),
            unhealthy_statuses: statuses(field.pointer("/unhealthy/http_statuses")),
        }
    }
}

fn number(field: &Value, pointer: &str) -> f64 {
    let number = field.pointer(pointer).and_then(Value::as_f64);
    number.unwrap_or_default()
}

fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}

fn statuses(field: Option<&Value>) -> Box<[u16]> {
    let list = field.and_then(Value::as_array);
    let numbers = list.into_iter().flatten().filter_map(Value::as_u64);
    numbers
        .filter_map(|number| u16::try_from(number).ok())
        .collect()
}

/// Lists of values by name; a value with a line break in it would be a header of its own, and is left out.
fn headers(field: Option<&Value>) -> Vec<(Box<str>, Box<str>)> {
    let Some(Value::Object(fields)) = field else {
        return Vec::new();
    };
    let is_clean = |text: &str| !text.chars().any(|letter| letter.is_control());
    let mut headers = Vec::new();
    for (name, values) in fields {
        let values = values.as_array().into_iter().flatten();
        for value in values.filter_map(Value::as_str) {
            if is_clean(name) && is_clean(value) {
                headers.push((name.as_str().into(), value.into()));
            }
        }
    }
    headers
}
