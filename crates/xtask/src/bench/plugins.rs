//! What plugins cost: CPU time of a request through a route with one, beside the plain route of the same node.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use fleet::Redis;
use serde_json::{Value, json};

use crate::bench::Plan;
use crate::bench::clients;
use crate::bench::gateway::{Configuration, Gateway, Upstream, silverback};
use crate::bench::load;
use crate::bench::report::{Report, median};
use crate::steps::say;

/// How many keys the clients use in turns.
const KEYS: usize = 1000;
const CONNECTIONS: usize = 32;

/// A route with plugins, and what its requests may cost at most, in terms of the plain route's.
struct Case {
    name: &'static str,
    title: &'static str,
    plugins: fn(&Around) -> Value,
    goal: f64,
}

/// Where other servers are.
struct Around {
    upstream: u16,
    redis: u16,
}

/// No window of this many requests is ever full.
const NEVER: u64 = 1_000_000_000;

const CASES: &[Case] = &[
    Case {
        name: "key-auth",
        title: "key-auth, hot keys",
        plugins: |_| json!([{ "name": "key-auth" }]),
        goal: 1.15,
    },
    Case {
        name: "limit-local",
        title: "rate-limiting, local",
        plugins: |_| json!([{ "name": "rate-limiting", "config": { "minute": NEVER, "policy": "local" } }]),
        goal: 1.08,
    },
    Case {
        name: "limit-both",
        title: "key-auth and rate-limiting, local",
        plugins: |_| {
            json!([
                { "name": "key-auth" },
                { "name": "rate-limiting", "config": { "minute": NEVER, "policy": "local" } },
            ])
        },
        goal: 1.20,
    },
    Case {
        name: "limit-redis",
        title: "rate-limiting, Redis, sync_rate 1",
        plugins: |around| {
            let redis = json!({ "host": "127.0.0.1", "port": around.redis });
            let config =
                json!({ "minute": NEVER, "policy": "redis", "sync_rate": 1, "redis": redis });
            json!([{ "name": "rate-limiting", "config": config }])
        },
        goal: 1.10,
    },
    Case {
        name: "transform",
        title: "request-transformer, three headers",
        plugins: |_| {
            let headers = json!(["x-one:1", "x-two:two", "x-three:3"]);
            json!([{ "name": "request-transformer", "config": { "add": { "headers": headers } } }])
        },
        goal: 1.08,
    },
    Case {
        name: "prometheus",
        title: "prometheus, all switches",
        plugins: |_| {
            let config = json!({
                "per_consumer": true, "status_code_metrics": true, "latency_metrics": true,
                "bandwidth_metrics": true, "upstream_health_metrics": true,
            });
            json!([{ "name": "prometheus", "config": config }])
        },
        goal: 1.06,
    },
    Case {
        name: "http-log",
        title: "http-log, batches of 1,000",
        plugins: |around| {
            let endpoint = format!("http://127.0.0.1:{}/log", around.upstream);
            let queue = json!({ "max_batch_size": 1000, "max_entries": 100_000 });
            json!([{ "name": "http-log", "config": { "http_endpoint": endpoint, "queue": queue } }])
        },
        goal: 1.10,
    },
    Case {
        name: "cache",
        title: "proxy-cache, hits",
        plugins: |_| {
            let config =
                json!({ "strategy": "memory", "content_type": ["text/plain"], "cache_ttl": 3600 });
            json!([{ "name": "proxy-cache", "config": config }])
        },
        goal: 0.8,
    },
    Case {
        name: "function",
        title: "pre-function that sets a header",
        plugins: |_| {
            let code = "kong.service.request.set_header('X-One', kong.request.get_header('host'))";
            json!([{ "name": "pre-function", "config": { "access": [code] } }])
        },
        goal: f64::INFINITY,
    },
];

/// Measures every case, and fails if what was logged did not arrive.
pub fn measure(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    check_entries(&run_cases(plan, upstream, folder, report)?)
}

/// Measures every case in turns with the plain route. One that is not answered is reported and left out.
pub fn run_cases(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<Gateway> {
    let redis = Redis::start()?;
    let around = Around {
        upstream: upstream.port,
        redis: redis.port(),
    };
    let file = declare(folder, &around)?;
    let gateway = silverback(
        &plan.silverback,
        &folder.join("plugins"),
        &Configuration::File(&file),
        None,
    )?;
    let to = SocketAddr::from(([127, 0, 0, 1], gateway.http));
    let plain = script(folder, "plain")?;
    let mut running = Vec::new();
    for case in CASES {
        let script = script(folder, case.name)?;
        // The first second fills caches and opens connections.
        match load::scripted(to, &script, CONNECTIONS, Duration::from_secs(1)) {
            Ok(_) => running.push((case, script, Vec::new(), Vec::new())),
            Err(error) => say(&format!("== {} is left out: {error:#}", case.title)),
        }
    }
    let mut beside = Vec::new();
    for _ in 0..plan.rounds {
        for (_, script, costs, ratios) in &mut running {
            let base = cost(plan, &gateway, to, &plain)?;
            let own = cost(plan, &gateway, to, script)?;
            beside.push(base);
            costs.push(own);
            ratios.push(own / base);
        }
    }
    for (case, _, costs, ratios) in &running {
        report.plugin(
            case.title,
            median(&beside),
            median(costs),
            median(ratios),
            case.goal,
        );
    }
    Ok(gateway)
}

/// Log entries that nobody took cost next to nothing, and a figure with them says nothing.
fn check_entries(gateway: &Gateway) -> anyhow::Result<()> {
    let port = gateway.status.context("a Status API")?;
    let page = clients::get(port, "/metrics")?;
    let total = |family: &str| -> f64 {
        let values = page.lines().filter(|line| line.starts_with(family));
        values
            .filter_map(|line| line.rsplit(' ').next()?.trim().parse::<f64>().ok())
            .sum()
    };
    let (sent, dropped) = (
        total("silverback_log_entries_sent_total"),
        total("silverback_log_entries_dropped_total"),
    );
    let failed = total("silverback_log_batches_failed_total");
    say(&format!(
        "== log entries: {sent} sent, {dropped} dropped, {failed} batches failed"
    ));
    ensure!(
        sent > 0.0 && failed == 0.0,
        "the collector did not take all batches, so the figure of http-log does not count"
    );
    Ok(())
}

/// Microseconds of CPU time for each request of a round.
fn cost(plan: &Plan, gateway: &Gateway, to: SocketAddr, script: &Path) -> anyhow::Result<f64> {
    let before = gateway.process.cpu_time()?;
    let outcome = load::scripted(to, script, CONNECTIONS, plan.round)?;
    let cpu = gateway.process.cpu_time()?.saturating_sub(before);
    Ok(cpu.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64)
}

/// A declarative file with the plain route, a route for each case, and keys of consumers.
fn declare(folder: &Path, around: &Around) -> anyhow::Result<PathBuf> {
    let mut routes = vec![json!({ "name": "plain", "paths": ["/plain"] })];
    routes.extend(CASES.iter().map(|case| {
        json!({ "name": case.name, "paths": [format!("/{}", case.name)], "plugins": (case.plugins)(around) })
    }));
    let consumers: Vec<Value> = (0..KEYS)
        .map(|number| {
            let keys = json!([{ "key": format!("key-{number}") }]);
            json!({ "username": format!("consumer-{number}"), "keyauth_credentials": keys })
        })
        .collect();
    let services = json!([{
        "name": "upstream", "url": format!("http://127.0.0.1:{}", around.upstream), "routes": routes,
    }]);
    let path = folder.join("plugins.json");
    let file = json!({ "_format_version": "3.0", "services": services, "consumers": consumers });
    fs::write(&path, file.to_string())?;
    Ok(path)
}

/// What wrk asks: one path, with a key of the many, whether it is needed or not, so that all requests are alike.
fn script(folder: &Path, name: &str) -> anyhow::Result<PathBuf> {
    let path = folder.join(format!("{name}.lua"));
    let text = format!(
        "local requests, at = {{}}, 0\n\
         function init()\n  for number = 0, {KEYS} - 1 do\n    \
         requests[number] = wrk.format('GET', '/{name}', {{ apikey = 'key-' .. number }})\n  end\nend\n\
         function request()\n  at = (at + 1) % {KEYS}\n  return requests[at]\nend\n"
    );
    fs::write(&path, text)?;
    Ok(path)
}
