//! The targets of an upstream: newest first, found by id or address, with their health.
//!
//! Targets exist only below their upstream; the generated endpoints at the root are taken away.

use axum::response::Response;
use entities::address::Address;
use http::{Method, StatusCode};
use schema::{Record, Schema};
use serde_json::{Map, Value, json};
use stdx::Moment;
use store::{Key, PageRequest};
use uuid::Uuid;

use super::{Call, Error};
use crate::error::{Failure, Kind};
use crate::node::{AddressReport, BalancerReport, Health, TargetReport, WeightReport};
use crate::paging::Paging;
use crate::resource::{Located, Plain, Resource, foreign_id, id_of, parse_uuid};
use crate::{answer, entity};

/// `/upstreams/{upstreams}/targets`
pub async fn collection(call: Call<'_>) -> Result<Response, Error> {
    let upstream = Upstream::find(&call).await?;
    if call.method == Method::POST {
        let targets = Plain(upstream.targets);
        let mut input = call.input(upstream.targets);
        check_address(&input)?;
        input.insert(
            "upstream".to_owned(),
            json!({ "id": upstream.id.to_string() }),
        );
        let written = targets.insert(call.state, input).await?;
        return Ok(entity::created(call.state, upstream.targets, written));
    }
    let (paging, page, offset) = upstream.newest(&call).await?;
    let data = page.into_iter().map(Value::Object).collect();
    Ok(answer::json_body(
        StatusCode::OK,
        &paging.body(&call.path, data, offset),
    ))
}

/// `/upstreams/{upstreams}/targets/all`
pub async fn all(call: Call<'_>) -> Result<Response, Error> {
    let upstream = Upstream::find(&call).await?;
    let paging = Paging::read(&call.query, upstream.targets)?;
    let request = paging.request(Some(("upstream", upstream.id)));
    let page = call
        .state
        .repository
        .page(upstream.targets, &request)
        .await?;
    Ok(entity::shown_page(&paging, &call.path, page))
}

/// `/upstreams/{upstreams}/targets/{targets}`
///
/// Compat: PUT changes a target as PATCH does, and creates none.
pub async fn one(call: Call<'_>) -> Result<Response, Error> {
    let upstream = Upstream::find(&call).await?;
    let stored = upstream.target(&call).await?;
    let located = Located::Id(id_of(&stored).ok_or(Error::NotFound)?);
    let targets = Plain(upstream.targets);
    match call.method {
        Method::GET => Ok(entity::shown(call.state, upstream.targets, stored)),
        Method::DELETE => Ok(entity::deleted(targets.delete(call.state, &located).await?)),
        _ => {
            let input = call.input(upstream.targets);
            let address = input.get("target").cloned();
            let mut written = targets.update(call.state, &located, input).await?;
            // Compat: the answer to a change has the address as it was given
            // (`a_change_of_an_address_is_answered_as_it_was_written`).
            if let Some(address) = address {
                written.record.insert("target".to_owned(), address);
            }
            Ok(entity::changed(call.state, upstream.targets, written))
        }
    }
}

/// Marks a target, or the one address of it that the path names.
pub async fn mark(call: Call<'_>, healthy: bool) -> Result<Response, Error> {
    let upstream = Upstream::find(&call).await?;
    let stored = upstream.target(&call).await?;
    let target = stored
        .get("target")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let address = call.parameters.get(2).map(String::as_str);
    let marked = call
        .state
        .health
        .mark(upstream.id, target, address, healthy)
        .await;
    marked.map_err(|reason| Error::Refused(StatusCode::BAD_REQUEST, reason))?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// `/upstreams/{upstreams}/health`
pub async fn health(call: Call<'_>) -> Result<Response, Error> {
    let upstream = Upstream::find(&call).await?;
    let node_id = call.state.node.id().to_string();
    if call
        .query
        .get("balancer_health")
        .is_some_and(|value| value == "1")
    {
        let report = call.state.health.balancer(upstream.id).await;
        let data = report.map(|report| balancer(upstream.id, &report));
        let body = json!({ "data": data, "next": null, "node_id": node_id });
        return Ok(answer::json_body(StatusCode::OK, &body));
    }
    let reports = call.state.health.targets(upstream.id).await;
    let with_reasons = call.query.get("reasons").is_some_and(|value| value == "1");
    let (paging, page, offset) = upstream.newest(&call).await?;
    let data = page
        .into_iter()
        .map(|target| with_health(target, reports.as_deref(), with_reasons))
        .collect();
    let mut body = paging.body(&call.path, data, offset);
    body["node_id"] = node_id.into();
    Ok(answer::json_body(StatusCode::OK, &body))
}

/// Compat: a new target that is no address is refused before anything else is looked at, and in other words than those of
/// the declaration (`what_is_no_address_is_refused`).
fn check_address(input: &Record) -> Result<(), Error> {
    match input.get("target") {
        Some(Value::String(target)) if Address::parse(target).is_err() => {
            let message = "Invalid target; not a valid hostname or ip address";
            Err(Failure::violation("target", message).into())
        }
        _ => Ok(()),
    }
}

/// The upstream that the first parameter names.
struct Upstream {
    id: Uuid,
    targets: &'static Schema,
}

impl Upstream {
    async fn find(call: &Call<'_>) -> Result<Self, Error> {
        let upstreams = Plain(call.state.schema("upstreams").ok_or(Error::NotFound)?);
        let targets = call.state.schema("targets").ok_or(Error::NotFound)?;
        let located = upstreams
            .locate(call.state, call.parameter(0), &call.method)
            .await?;
        let stored = upstreams
            .select(call.state, &located)
            .await?
            .ok_or(Error::NotFound)?;
        Ok(Self {
            id: id_of(&stored).ok_or(Error::NotFound)?,
            targets,
        })
    }

    /// The target that the second parameter names by id or by address.
    async fn target(&self, call: &Call<'_>) -> Result<Record, Error> {
        let segment = call.parameter(1);
        let key = match parse_uuid(segment) {
            Some(id) => Key::Id(id),
            None => Key::Within {
                foreign: ("upstream", self.id),
                field: ("target", segment),
            },
        };
        let stored = call.state.repository.get(self.targets, &key).await?;
        stored
            .filter(|target| foreign_id(target, "upstream") == Some(self.id))
            .ok_or(Error::NotFound)
    }

    /// A page of the targets, newest first, and the offset of the next one, which is a plain number.
    async fn newest(
        &self,
        call: &Call<'_>,
    ) -> Result<(Paging, Vec<Record>, Option<String>), Error> {
        let paging = Paging::read(&call.query, self.targets)?;
        let skipped = match paging.offset() {
            None => 0,
            Some(offset) => offset.parse::<usize>().map_err(|_| {
                let message = format!("'{offset}' is not a valid offset: not a number");
                Failure::new(Kind::InvalidOffset, message)
            })?,
        };
        let mut targets = self.all_targets(call, &paging).await?;
        targets.sort_by(|a, b| {
            let created = |target: &Record| {
                target
                    .get("created_at")
                    .and_then(Value::as_f64)
                    .unwrap_or(0.0)
            };
            created(b)
                .total_cmp(&created(a))
                .then_with(|| id_of(b).cmp(&id_of(a)))
        });
        let end = skipped.saturating_add(paging.size());
        let next = (targets.len() > end).then(|| end.to_string());
        let page = targets
            .into_iter()
            .skip(skipped)
            .take(paging.size())
            .collect();
        Ok((paging, page, next))
    }

    async fn all_targets(&self, call: &Call<'_>, paging: &Paging) -> Result<Vec<Record>, Error> {
        let mut request = PageRequest {
            size: PageRequest::MAX_SIZE,
            offset: None,
            ..paging.request(Some(("upstream", self.id)))
        };
        let mut targets = Vec::new();
        loop {
            let page = call.state.repository.page(self.targets, &request).await?;
            targets.extend(page.records);
            match page.offset {
                Some(offset) => request.offset = Some(offset),
                None => return Ok(targets),
            }
        }
    }
}

/// Adds what the balancer knows; a target that it does not know could not be resolved.
///
/// Why an address is out is told to those who ask for it; Kong's answer has no place for it.
fn with_health(mut target: Record, reports: Option<&[TargetReport]>, with_reasons: bool) -> Value {
    if let Some(reports) = reports {
        let address = target.get("target").and_then(Value::as_str);
        let report = reports
            .iter()
            .find(|report| Some(report.target.as_str()) == address);
        let health = match report {
            Some(report) if !report.addresses.is_empty() => of_target(&report.addresses).name(),
            _ => "DNS_ERROR",
        };
        target.insert("health".to_owned(), health.into());
        if let Some(report) = report {
            let mut data = host(report, |address| ("health", address.health.name().into()));
            if with_reasons && let Some(shown) = data["addresses"].as_array_mut() {
                for (shown, address) in shown.iter_mut().zip(&report.addresses) {
                    if let Some((reason, since)) = &address.reason {
                        shown["reason"] = reason.as_str().into();
                        shown["since"] = Moment::from(*since).to_string().into();
                    }
                }
            }
            target.insert("data".to_owned(), data);
        }
    }
    Value::Object(target)
}

/// A target is as healthy as its best address.
fn of_target(addresses: &[AddressReport]) -> Health {
    let any = |health: Health| addresses.iter().any(|address| address.health == health);
    [Health::Healthy, Health::Unhealthy]
        .into_iter()
        .find(|health| any(*health))
        .unwrap_or(Health::Off)
}

/// One host of a balancer; `verdict` says how the health of an address is written.
fn host(report: &TargetReport, verdict: fn(&AddressReport) -> (&'static str, Value)) -> Value {
    let addresses: Vec<Value> = report
        .addresses
        .iter()
        .map(|address| {
            let (name, health) = verdict(address);
            json!({ "ip": address.ip, "port": address.port, "weight": address.weight, name: health })
        })
        .collect();
    json!({
        "host": report.host,
        "port": report.port,
        "dns": report.dns,
        "nodeWeight": report.node_weight,
        "weight": weight(&report.weight),
        "addresses": addresses,
    })
}

fn weight(weight: &WeightReport) -> Value {
    json!({ "total": weight.total, "available": weight.available, "unavailable": weight.unavailable })
}

fn balancer(upstream: Uuid, report: &BalancerReport) -> Value {
    let balancer_health = if report.healthy {
        Health::Healthy
    } else {
        Health::Unhealthy
    };
    let hosts: Vec<Value> = report
        .targets
        .iter()
        .map(|target| {
            host(target, |address| {
                ("healthy", (address.health != Health::Unhealthy).into())
            })
        })
        .collect();
    // Compat: an empty Lua table is an object.
    let hosts = if hosts.is_empty() {
        Value::Object(Map::new())
    } else {
        Value::Array(hosts)
    };
    json!({
        "id": upstream.to_string(),
        "health": report.health.name(),
        "balancer_health": balancer_health.name(),
        "details": { "healthy": report.healthy, "weight": weight(&report.weight), "hosts": hosts },
    })
}
