//! Rate limits that nodes share: exact, under Kong's keys and in its rows, and harmless when their counters are away.

use fleet::Redis;
use serde_json::{Value, json};
use testing::{Answer, Backend, Cluster, Node, eventually, eventually_answers};

/// Adds a route on all nodes whose requests are limited.
fn add_limited(nodes: &[Node], path: &str, backend: &Backend, config: &Value) {
    nodes[0].add_route(path, &backend.url(), &Value::Null);
    let name = path.trim_start_matches('/');
    let plugin = json!({ "name": "rate-limiting", "config": config });
    let plugins = format!("/routes/{name}/plugins?wait=cluster&wait_timeout=60");
    nodes[0].configure("POST", &plugins, &plugin);
    for node in nodes {
        eventually_answers(node, "/", 404);
    }
}

/// The statuses of many requests at once, through all nodes.
fn statuses(nodes: &[Node], path: &str, each: usize) -> Vec<u16> {
    std::thread::scope(|scope| {
        let clients: Vec<_> = nodes
            .iter()
            .cycle()
            .take(nodes.len() * 8)
            .map(|node| {
                scope.spawn(move || {
                    let requests = (0..each).map(|_| node.get(path).status);
                    requests.collect::<Vec<_>>()
                })
            })
            .collect();
        let answers = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        answers.collect()
    })
}

fn remaining(answer: &Answer) -> Option<&str> {
    answer.header("ratelimit-remaining")
}

#[test]
fn as_many_pass_as_fit_through_all_nodes_together() {
    const LIMIT: usize = 50;
    let backend = Backend::saying("here");
    let redis = Redis::start().unwrap();
    let cluster = Cluster::new(3);
    let nodes: [Node; 3] = cluster.start();
    // Windows that do not end during the test, but once in a year.
    let redis_settings = json!({ "host": "127.0.0.1", "port": redis.port() });
    let redis_config =
        json!({ "year": LIMIT, "policy": "redis", "redis": redis_settings, "limit_by": "ip" });
    add_limited(&nodes, "/redis", &backend, &redis_config);
    let config = json!({ "year": LIMIT, "policy": "cluster", "limit_by": "ip" });
    add_limited(&nodes, "/cluster", &backend, &config);
    for path in ["/redis", "/cluster"] {
        let statuses = statuses(&nodes, path, 5);
        let passed = statuses.iter().filter(|status| **status == 200);
        assert_eq!(passed.count(), LIMIT, "{path}");
        assert!(statuses.iter().all(|status| [200, 429].contains(status)));
    }

    let rows = "SELECT identifier, period, value, period_date = date_trunc('year', now()), \
                route_id = (SELECT id FROM routes WHERE name = 'cluster'), \
                service_id = '00000000-0000-0000-0000-000000000000', \
                ttl > now() + interval '364 days' FROM ratelimiting_metrics";
    assert_eq!(
        cluster.query(rows).trim(),
        format!("127.0.0.1|year|{LIMIT}|t|t|t|t")
    );
    let route = nodes[0].configure("GET", "/routes/redis", &Value::Null);
    let route = route["id"].as_str().unwrap().to_owned();
    let keys = redis.ask("KEYS *").unwrap();
    let key = keys.lines().last().unwrap();
    let prefix = format!("ratelimit:{route}:00000000-0000-0000-0000-000000000000:127.0.0.1:");
    assert!(
        key.starts_with(&prefix) && key.ends_with("000:year"),
        "{key}"
    );
    assert_eq!(redis.ask(&format!("GET {key}")).unwrap(), "$2\r\n50\r\n");
    let life = redis.ask(&format!("TTL {key}")).unwrap();
    let life: u32 = life.trim_start_matches(':').trim().parse().unwrap();
    assert!((31_535_000..=31_536_000).contains(&life), "{life}");

    // What a node of Kong counts is counted here as well.
    redis.ask(&format!("SET {key} 48")).unwrap();
    assert_eq!(remaining(&nodes[1].get("/redis")), Some("1"));
    cluster.query("UPDATE ratelimiting_metrics SET value = 45");
    assert_eq!(remaining(&nodes[2].get("/cluster")), Some("4"));
}

#[test]
fn while_redis_is_away_requests_pass_or_fail_as_configured() {
    let backend = Backend::saying("here");
    let redis = Redis::start().unwrap();
    let cluster = Cluster::new(1);
    let nodes: [Node; 1] = cluster.start();
    let config = |tolerant: bool, sync_rate: f64| {
        let settings = json!({ "host": "127.0.0.1", "port": redis.port(), "timeout": 500 });
        json!({
            "year": 1000, "policy": "redis", "redis": settings, "fault_tolerant": tolerant, "sync_rate": sync_rate,
        })
    };
    let (tolerant, strict) = (
        ["/tolerant", "/tolerant-synced"],
        ["/strict", "/strict-synced"],
    );
    for (path, config) in [
        (tolerant[0], config(true, -1.0)),
        (tolerant[1], config(true, 0.05)),
        (strict[0], config(false, -1.0)),
        (strict[1], config(false, 0.05)),
    ] {
        add_limited(&nodes, path, &backend, &config);
        eventually("requests are limited", || {
            remaining(&nodes[0].get(path)).is_some()
        });
    }
    redis.pause().unwrap();
    for path in strict {
        eventually("requests fail", || nodes[0].get(path).status == 500);
    }
    for path in tolerant {
        for _ in 0..20 {
            assert_eq!(nodes[0].get(path).status, 200, "{path}");
        }
    }
    redis.unpause().unwrap();
    for path in tolerant.into_iter().chain(strict) {
        eventually("requests are limited again", || {
            let answer = nodes[0].get(path);
            answer.status == 200 && remaining(&answer).is_some()
        });
    }
}

#[test]
fn while_the_database_is_away_requests_pass_or_fail_as_configured() {
    let backend = Backend::saying("here");
    let cluster = Cluster::new(1).with("PG_TIMEOUT", "1000");
    let nodes: [Node; 1] = cluster.start();
    for (path, tolerant) in [("/tolerant", true), ("/strict", false)] {
        let config = json!({ "year": 1000, "policy": "cluster", "fault_tolerant": tolerant });
        add_limited(&nodes, path, &backend, &config);
        eventually("requests are limited", || {
            remaining(&nodes[0].get(path)).is_some()
        });
    }
    cluster.postgres().pause().unwrap();
    eventually("requests fail", || nodes[0].get("/strict").status == 500);
    for _ in 0..20 {
        assert_eq!(nodes[0].get("/tolerant").status, 200);
    }
    cluster.postgres().unpause().unwrap();
    for path in ["/tolerant", "/strict"] {
        eventually("requests are limited again", || {
            let answer = nodes[0].get(path);
            answer.status == 200 && remaining(&answer).is_some()
        });
    }
}
