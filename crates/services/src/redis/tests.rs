use std::sync::Arc;
use std::time::Duration;

use fleet::{Redis as Fleet, RedisCluster, RedisSentinel, free_ports};
use net::dns::{DnsSettings, Resolver};
use net::tls::TrustStore;
use plugin_api::{Redis, RedisError, RedisServers, RedisSettings, RedisValue};
use stdx::{Secret, SystemClock};
use tokio::runtime::Handle;

use super::Servers;
use crate::Connections;

const COUNT: &str = "return redis.call('INCR', KEYS[1])";
const GET: &str = "return redis.call('GET', KEYS[1])";
const TWO: &str = "return {redis.call('GET', KEYS[1]), redis.call('GET', KEYS[2])}";

/// Long enough for a loaded machine.
const TIMEOUT: Duration = Duration::from_secs(20);

fn settings(port: u16) -> RedisSettings {
    RedisSettings {
        host: "127.0.0.1".to_owned(),
        port,
        timeout: TIMEOUT,
        username: None,
        password: Secret::default(),
        database: 0,
        ssl: false,
        ssl_verify: false,
        server_name: None,
    }
}

fn servers(trust: Option<TrustStore>) -> Servers {
    let runtime = Handle::current();
    let settings = DnsSettings::default();
    let resolver = Resolver::new(settings, runtime.clone(), Arc::new(SystemClock));
    Servers::new(Connections::on(
        runtime,
        resolver.expect("a resolver"),
        trust,
    ))
}

fn open(settings: &RedisSettings) -> Arc<dyn Redis> {
    servers(None).open(settings)
}

async fn eval(
    redis: &Arc<dyn Redis>,
    script: &'static str,
    keys: &[&str],
) -> Result<RedisValue, RedisError> {
    let keys = keys.iter().map(ToString::to_string).collect();
    redis.eval(script, keys, Vec::new()).await
}

/// Asks until there is an answer.
async fn eventually(redis: &Arc<dyn Redis>, script: &'static str, key: &str) -> RedisValue {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        match eval(redis, script, &[key]).await {
            Ok(value) => return value,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_share_one_connection_and_scripts_are_atomic() {
    let server = Fleet::start().expect("Redis");
    let redis = open(&settings(server.port()));
    let calls = (0..200).map(|_| redis.eval(COUNT, vec!["n".to_owned()], Vec::new()));
    let tasks: Vec<_> = calls.map(tokio::spawn).collect();
    let mut numbers = Vec::new();
    for task in tasks {
        match task.await.expect("an end").expect("an answer") {
            RedisValue::Int(number) => numbers.push(number),
            other => panic!("{other:?}"),
        }
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=200).collect::<Vec<_>>());
    let clients = server.ask("CLIENT LIST").expect("an answer");
    assert_eq!(clients.matches("addr=").count() / 2, 2, "{clients}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn user_password_and_database_are_those_of_the_settings() {
    let server = Fleet::start_with(&["--user", "kong", "on", ">open", "~*", "+@all"]);
    let server = server.expect("Redis");
    let with = |password: &str| RedisSettings {
        username: Some("kong".to_owned()),
        password: Secret::new(password),
        database: 3,
        ..settings(server.port())
    };
    let redis = open(&with("open"));
    assert_eq!(eval(&redis, COUNT, &["n"]).await, Ok(RedisValue::Int(1)));
    let elsewhere = open(&settings(server.port()));
    assert_eq!(eval(&elsewhere, GET, &["n"]).await, Ok(RedisValue::Nil));
    let refused = eval(&open(&with("wrong")), GET, &["n"]).await;
    assert!(
        matches!(refused, Err(RedisError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_fails_is_no_outage() {
    let server = Fleet::start().expect("Redis");
    let redis = open(&settings(server.port()));
    let refused = eval(&redis, "return redis.call('NONE')", &[]).await;
    assert!(
        matches!(refused, Err(RedisError::Refused(_))),
        "{refused:?}"
    );
    assert_eq!(eval(&redis, COUNT, &["n"]).await, Ok(RedisValue::Int(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_started_again_is_used_again() {
    let server = Fleet::start().expect("Redis");
    let redis = open(&settings(server.port()));
    assert_eq!(eval(&redis, COUNT, &["n"]).await, Ok(RedisValue::Int(1)));
    server.stop().expect("an end");
    let away = eval(&redis, COUNT, &["n"]).await;
    assert!(matches!(away, Err(RedisError::Unavailable(_))), "{away:?}");
    server.resume().expect("a start");
    assert_eq!(eventually(&redis, COUNT, "n").await, RedisValue::Int(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_one_timeout() {
    let server = Fleet::start().expect("Redis");
    let redis = open(&RedisSettings {
        timeout: Duration::from_millis(500),
        ..settings(server.port())
    });
    eventually(&redis, COUNT, "n").await;
    server.pause().expect("a pause");
    let mut first = eval(&redis, COUNT, &["n"]).await;
    assert!(
        matches!(first, Err(RedisError::Unavailable(_))),
        "{first:?}"
    );
    for _ in 0..100 {
        let mut asked = redis.eval(COUNT, vec!["n".to_owned()], Vec::new());
        let polled =
            std::future::poll_fn(|context| std::task::Poll::Ready(asked.as_mut().poll(context)));
        first = match polled.await {
            std::task::Poll::Ready(answer) => answer,
            std::task::Poll::Pending => panic!("nobody waits for a server that is known to hang"),
        };
        assert!(
            matches!(first, Err(RedisError::Unavailable(_))),
            "{first:?}"
        );
    }
    server.unpause().expect("an end of the pause");
    eventually(&redis, COUNT, "n").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_lead_to_the_master_and_to_the_next_one() {
    let password = ["--requirepass", "open", "--masterauth", "open"];
    let master = Fleet::start_with(&password).expect("a master");
    let port = master.port().to_string();
    let follows = [&password[..], &["--replicaof", "127.0.0.1", &port]].concat();
    let follower = Fleet::start_with(&follows).expect("a follower");
    let sentinel = RedisSentinel::start(&master, Some("open")).expect("a sentinel");
    let redis = open(&RedisSettings {
        password: Secret::new("open"),
        database: 2,
        ..settings(sentinel.port())
    });
    assert_eq!(eval(&redis, COUNT, &["n"]).await, Ok(RedisValue::Int(1)));
    sentinel.wait_for_follower().expect("a follower");
    master.stop().expect("an end");
    eventually(&redis, COUNT, "n").await;
    let role = follower.ask("AUTH open\r\nROLE").expect("an answer");
    assert!(role.contains("master"), "{role}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_is_asked_where_its_keys_are() {
    let cluster = RedisCluster::start().expect("a cluster");
    let redis = open(&settings(cluster.nodes()[0].port()));
    for key in ["foo", "bar", "hello", "a", "b", "c"] {
        assert_eq!(
            eval(&redis, COUNT, &[key]).await,
            Ok(RedisValue::Int(1)),
            "{key}"
        );
        assert_eq!(
            eval(&redis, COUNT, &[key]).await,
            Ok(RedisValue::Int(2)),
            "{key}"
        );
    }
    let used = cluster.nodes().iter().filter(|node| {
        let keys = node.ask("DBSIZE").expect("an answer");
        keys.trim() != ":0"
    });
    assert_eq!(used.count(), 3);
    assert_eq!(
        eval(&redis, TWO, &["foo", "bar"]).await,
        Err(RedisError::Apart)
    );
    let together = eval(&redis, TWO, &["{x}a", "{x}b"]).await;
    assert_eq!(
        together,
        Ok(RedisValue::List(vec![RedisValue::Nil, RedisValue::Nil]))
    );

    let other = open(&RedisSettings {
        database: 1,
        ..settings(cluster.nodes()[0].port())
    });
    let refused = eval(&other, COUNT, &["foo"]).await;
    assert!(
        matches!(refused, Err(RedisError::Unavailable(_))),
        "{refused:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_that_move_are_followed() {
    let cluster = RedisCluster::start().expect("a cluster");
    let redis = open(&settings(cluster.nodes()[0].port()));
    // The slot of `foo` is 12182, which the last of three nodes has.
    assert_eq!(eval(&redis, COUNT, &["foo"]).await, Ok(RedisValue::Int(1)));
    let (from, to) = (&cluster.nodes()[2], &cluster.nodes()[0]);
    let name = |node: &Fleet| {
        let said = node.ask("CLUSTER MYID").expect("an answer");
        said.lines().nth(1).expect("a name").to_owned()
    };
    let told = |node: &Fleet, command: String| {
        let said = node.ask(&command).expect("an answer");
        assert!(said.starts_with("+OK"), "{command}: {said}");
    };
    told(
        to,
        format!("CLUSTER SETSLOT 12182 IMPORTING {}", name(from)),
    );
    told(
        from,
        format!("CLUSTER SETSLOT 12182 MIGRATING {}", name(to)),
    );
    told(from, format!("MIGRATE 127.0.0.1 {} foo 0 5000", to.port()));
    assert_eq!(eval(&redis, COUNT, &["foo"]).await, Ok(RedisValue::Int(2)));
    for node in [to, from] {
        told(node, format!("CLUSTER SETSLOT 12182 NODE {}", name(to)));
    }
    assert_eq!(eval(&redis, COUNT, &["foo"]).await, Ok(RedisValue::Int(3)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_and_certificates_are_verified_if_asked() {
    let made = rcgen::generate_simple_self_signed(vec!["redis.test".to_owned()]);
    let made = made.expect("a certificate");
    let folder = tempfile::tempdir().expect("a folder");
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), readable).expect("permissions");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let certificate = write("certificate.pem", made.cert.pem());
    let key = write("key.pem", made.signing_key.serialize_pem());
    let [port] = free_ports().expect("a port");
    let port_text = port.to_string();
    let server = Fleet::start_with(&[
        "--tls-port",
        &port_text,
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &certificate,
        "--tls-auth-clients",
        "no",
    ]);
    let _server = server.expect("Redis");
    let pem = made.cert.pem();
    let trust = TrustStore::from_pem([pem.as_str()]).expect("roots");
    let with = |verify, name: Option<&str>| RedisSettings {
        ssl: true,
        ssl_verify: verify,
        server_name: name.map(str::to_owned),
        ..settings(port)
    };
    let servers = servers(Some(trust));
    for good in [with(false, None), with(true, Some("redis.test"))] {
        let answer = eval(&servers.open(&good), COUNT, &["n"]).await;
        assert!(matches!(answer, Ok(RedisValue::Int(_))), "{answer:?}");
    }
    let refused = eval(&servers.open(&with(true, None)), COUNT, &["n"]).await;
    assert!(
        matches!(refused, Err(RedisError::Unavailable(_))),
        "{refused:?}"
    );
}
