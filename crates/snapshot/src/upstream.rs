//! Upstreams: names that stand for several targets.

use std::sync::Arc;

use entities::UpstreamOptions;
use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::Error;
use crate::read::Reader;

/// A name that services may use for a host, and the targets behind it.
#[derive(Debug, Clone)]
pub struct Upstream {
    pub id: Uuid,
    pub name: Box<str>,
    /// How a target is chosen, and what a request is hashed by.
    pub policy: balancer::HashPolicy,
    pub algorithm: balancer::Algorithm,
    /// The size of the ring that hashing uses.
    pub slots: u32,
    /// The `Host` that targets get instead of their own names.
    pub host_header: Option<Box<str>>,
    pub client_certificate: Option<Uuid>,
    /// Names are resolved to SRV records, whose own names are sent as `Host`.
    pub use_srv_name: bool,
    /// What only Silverback can do for it.
    pub options: UpstreamOptions,
    /// The record's `healthchecks`, for the prober.
    pub healthchecks: Arc<Value>,
    /// Oldest first.
    pub targets: Arc<[Arc<Target>]>,
}

/// One address of an upstream, and its share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    pub id: Uuid,
    pub upstream_id: Uuid,
    /// A name or an address, IPv6 in brackets.
    pub host: Box<str>,
    pub port: u16,
    /// Zero takes no traffic.
    pub weight: u32,
    /// Milliseconds since the epoch.
    pub created_at: i64,
}

impl Target {
    pub(crate) fn read(record: &Record) -> Result<Self, Error> {
        let fields = Reader(record);
        let address = fields.text("target")?;
        let split = address.rsplit_once(':');
        let parsed = split.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parsed.ok_or_else(|| Error::Value {
            field: "target",
            value: address.to_owned(),
        })?;
        let created_at = record.get("created_at").and_then(Value::as_f64);
        Ok(Self {
            id: fields.id()?,
            upstream_id: fields
                .foreign("upstream")?
                .ok_or(Error::Field("upstream"))?,
            host: host.into(),
            port,
            weight: fields.number("weight").unwrap_or(100),
            // Milliseconds since the epoch are far below 2^53.
            created_at: created_at.map_or(0, |seconds| (seconds * 1000.0) as i64),
        })
    }

    /// The order in which Kong fills its rings: by age, then by id.
    pub(crate) fn order(&self) -> (i64, Uuid) {
        (self.created_at, self.id)
    }
}

impl Upstream {
    pub(crate) fn read(record: &Record, targets: Arc<[Arc<Target>]>) -> Result<Self, Error> {
        let fields = Reader(record);
        let algorithm = fields.optional_text("algorithm").unwrap_or("round-robin");
        Ok(Self {
            id: fields.id()?,
            name: fields.text("name")?.into(),
            policy: read_policy(fields)?,
            algorithm: balancer::Algorithm::parse(algorithm).ok_or_else(|| Error::Value {
                field: "algorithm",
                value: algorithm.to_owned(),
            })?,
            slots: fields.number("slots").unwrap_or(10_000),
            host_header: fields.optional_text("host_header").map(Into::into),
            client_certificate: fields.foreign("client_certificate")?,
            use_srv_name: fields.flag("use_srv_name", false),
            options: UpstreamOptions::of(record),
            healthchecks: Arc::new(record.get("healthchecks").cloned().unwrap_or_default()),
            targets,
        })
    }
}

fn read_policy(fields: Reader<'_>) -> Result<balancer::HashPolicy, Error> {
    let cookie_path = fields.optional_text("hash_on_cookie_path").unwrap_or("/");
    let input = |kind: &'static str, [header, query_arg, uri_capture]: [&'static str; 3]| {
        Ok(match fields.optional_text(kind).unwrap_or("none") {
            "none" => balancer::HashInput::None,
            "consumer" => balancer::HashInput::Consumer,
            "ip" => balancer::HashInput::Ip,
            "path" => balancer::HashInput::Path,
            "header" => balancer::HashInput::Header(fields.text(header)?.into()),
            "cookie" => balancer::HashInput::Cookie {
                name: fields.text("hash_on_cookie")?.into(),
                path: cookie_path.into(),
            },
            "query_arg" => balancer::HashInput::QueryArg(fields.text(query_arg)?.into()),
            "uri_capture" => balancer::HashInput::UriCapture(fields.text(uri_capture)?.into()),
            other => {
                return Err(Error::Value {
                    field: kind,
                    value: other.to_owned(),
                });
            }
        })
    };
    Ok(balancer::HashPolicy {
        on: input(
            "hash_on",
            ["hash_on_header", "hash_on_query_arg", "hash_on_uri_capture"],
        )?,
        fallback: input(
            "hash_fallback",
            [
                "hash_fallback_header",
                "hash_fallback_query_arg",
                "hash_fallback_uri_capture",
            ],
        )?,
    })
}
