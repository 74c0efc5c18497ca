use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use parking_lot::Mutex;
use proptest::prelude::*;
use stdx::ManualClock;
use tokio::runtime::Handle;

use super::cache::{Cache, Entry};
use super::files::parse_hosts;
use super::turns::Turns;
use super::*;
use crate::ResolveError;
use crate::test_support::eventually;

/// What the name server says to a question; questions it does not know are answered with "name error".
#[derive(Clone)]
enum Reply {
    Records(Vec<RData>, u32),
    Code(ResponseCode),
}

/// A full name in lower case, and a record type.
type Question = (String, RecordType);

/// A name server on a loopback port.
struct NameServer {
    address: SocketAddr,
    zone: Arc<Mutex<HashMap<Question, Reply>>>,
    /// The questions with their ids.
    asked: Arc<Mutex<Vec<(u16, Question)>>>,
    /// Questions wait for this.
    gate: Arc<tokio::sync::RwLock<()>>,
}

impl NameServer {
    async fn start() -> Self {
        let socket = Arc::new(tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let server = Self {
            address: socket.local_addr().unwrap(),
            zone: Arc::default(),
            asked: Arc::default(),
            gate: Arc::default(),
        };
        let (zone, asked, gate) = (
            Arc::clone(&server.zone),
            Arc::clone(&server.asked),
            Arc::clone(&server.gate),
        );
        tokio::spawn(async move {
            let mut buffer = [0; 4096];
            loop {
                let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
                let question = Message::from_vec(&buffer[..length]).unwrap();
                let query = &question.queries[0];
                let key = (
                    query.name().to_ascii().to_ascii_lowercase(),
                    query.query_type(),
                );
                let id = question.metadata.id;
                // A question that is repeated because the answer takes its time is still one question.
                if !asked
                    .lock()
                    .iter()
                    .any(|(other, asked)| (*other, asked) == (id, &key))
                {
                    asked.lock().push((id, key.clone()));
                }
                let (socket, zone, gate) =
                    (Arc::clone(&socket), Arc::clone(&zone), Arc::clone(&gate));
                tokio::spawn(async move {
                    let _open = gate.read().await;
                    let reply = zone
                        .lock()
                        .get(&key)
                        .cloned()
                        .unwrap_or(Reply::Code(ResponseCode::NXDomain));
                    socket
                        .send_to(&answer(question, reply), peer)
                        .await
                        .unwrap();
                });
            }
        });
        server
    }

    fn says(&self, name: &str, kind: RecordType, reply: Reply) {
        self.zone.lock().insert((name.to_owned(), kind), reply);
    }

    fn says_a(&self, name: &str, addresses: &[[u8; 4]], ttl: u32) {
        let records = addresses
            .iter()
            .map(|address| RData::A(A(Ipv4Addr::from(*address))))
            .collect();
        self.says(name, RecordType::A, Reply::Records(records, ttl));
    }

    fn questions(&self) -> usize {
        self.asked.lock().len()
    }

    /// The names and types of the questions since the last call.
    fn take_questions(&self) -> Vec<Question> {
        self.asked
            .lock()
            .drain(..)
            .map(|(_, question)| question)
            .collect()
    }
}

fn answer(question: Message, reply: Reply) -> Vec<u8> {
    let name = question.queries[0].name().clone();
    let mut answer = question.into_response();
    match reply {
        Reply::Records(records, ttl) => {
            for data in records {
                answer.add_answer(Record::from_rdata(name.clone(), ttl, data));
            }
        }
        Reply::Code(code) => answer.metadata.response_code = code,
    }
    answer.to_vec().unwrap()
}

fn srv(priority: u16, weight: u16, port: u16, target: &str) -> RData {
    RData::SRV(SRV::new(
        priority,
        weight,
        port,
        Name::from_str(target).unwrap(),
    ))
}

/// A resolver that asks the server alone, with a clock to move.
struct Fixture {
    resolver: Resolver,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

fn fixture(server: &NameServer, edit: impl FnOnce(&mut DnsSettings)) -> Fixture {
    fixture_with(
        server,
        "127.0.0.9 Known.test alias.test\n",
        "search one.test two.test\n",
        edit,
    )
}

fn fixture_with(
    server: &NameServer,
    hosts: &str,
    resolv_conf: &str,
    edit: impl FnOnce(&mut DnsSettings),
) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let (hosts_file, resolv_conf_file) = (
        folder.path().join("hosts"),
        folder.path().join("resolv.conf"),
    );
    std::fs::write(&hosts_file, hosts).unwrap();
    std::fs::write(&resolv_conf_file, resolv_conf).unwrap();
    let mut settings = DnsSettings {
        servers: vec![server.address],
        resolv_conf: resolv_conf_file,
        hosts_file,
        order: vec![
            RecordKind::Last,
            RecordKind::Srv,
            RecordKind::A,
            RecordKind::Aaaa,
            RecordKind::Cname,
        ],
        ..DnsSettings::default()
    };
    edit(&mut settings);
    let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
    let shared: Arc<dyn stdx::Clock> = clock.clone();
    let resolver = Resolver::new(settings, Handle::current(), shared).unwrap();
    Fixture {
        resolver,
        clock,
        _folder: folder,
    }
}

fn socket(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[tokio::test]
async fn an_address_is_found_once_and_then_cached() {
    let server = NameServer::start().await;
    server.says_a("api.test.", &[[10, 0, 0, 1]], 60);
    let Fixture {
        resolver, clock, ..
    } = fixture(&server, |_| ());
    assert!(resolver.cached_address("api.test", 80).is_none());
    assert_eq!(
        resolver.resolve_address("API.test", 80).await,
        Ok(socket("10.0.0.1:80"))
    );
    let questions = server.questions();
    assert_eq!(
        resolver.cached_address("api.test", 81),
        Some(Ok(socket("10.0.0.1:81")))
    );
    clock.advance(Duration::from_secs(59));
    assert_eq!(
        resolver.resolve_address("api.test", 80).await,
        Ok(socket("10.0.0.1:80"))
    );
    assert_eq!(server.questions(), questions);
    resolver.clear();
    assert!(resolver.cached_address("api.test", 80).is_none());
}

#[tokio::test]
async fn literals_and_the_hosts_file_ask_nobody() {
    let server = NameServer::start().await;
    let Fixture { resolver, .. } = fixture(&server, |_| ());
    for (name, expected) in [
        ("127.0.0.1", "127.0.0.1:80"),
        ("::1", "[::1]:80"),
        ("[::1]", "[::1]:80"),
        ("known.TEST", "127.0.0.9:80"),
        ("alias.test", "127.0.0.9:80"),
        ("localhost", "127.0.0.1:80"),
    ] {
        assert_eq!(
            resolver.resolve_address(name, 80).await,
            Ok(socket(expected)),
            "{name}"
        );
        assert_eq!(
            resolver.cached_address(name, 80),
            Some(Ok(socket(expected))),
            "{name}"
        );
    }
    let answer = resolver.resolve("known.test").await.unwrap();
    assert_eq!(
        *answer.records,
        Records::Addresses(vec![[127, 0, 0, 9].into()])
    );
    assert_eq!(server.questions(), 0);
}

#[tokio::test]
async fn types_are_asked_in_order_and_the_last_success_comes_first() {
    let server = NameServer::start().await;
    let v6: Ipv6Addr = "2001:db8::1".parse().unwrap();
    server.says(
        "v6.test.",
        RecordType::AAAA,
        Reply::Records(vec![RData::AAAA(AAAA(v6))], 0),
    );
    let Fixture { resolver, .. } = fixture_with(&server, "", "", |settings| {
        settings.stale_ttl = Duration::ZERO
    });
    assert_eq!(
        resolver.resolve_address("v6.test", 80).await,
        Ok(SocketAddr::new(v6.into(), 80))
    );
    let asked = |server: &NameServer| {
        server
            .take_questions()
            .into_iter()
            .map(|(_, kind)| kind)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        asked(&server),
        [RecordType::SRV, RecordType::A, RecordType::AAAA]
    );
    resolver.resolve_address("v6.test", 80).await.unwrap();
    assert_eq!(asked(&server), [RecordType::AAAA]);
}

#[tokio::test]
async fn short_names_are_searched_for_and_full_ones_are_not() {
    let server = NameServer::start().await;
    server.says_a("api.two.test.", &[[10, 0, 0, 2]], 60);
    server.says_a("a.b.", &[[10, 0, 0, 3]], 60);
    let Fixture { resolver, .. } =
        fixture(&server, |settings| settings.order = vec![RecordKind::A]);
    assert_eq!(
        resolver.resolve_address("api", 80).await,
        Ok(socket("10.0.0.2:80"))
    );
    let names: Vec<String> = server
        .take_questions()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["api.one.test.", "api.two.test."]);
    assert_eq!(
        resolver.resolve_address("a.b", 80).await,
        Ok(socket("10.0.0.3:80"))
    );
    assert!(resolver.resolve_address("api.", 80).await.is_err());
    let names: Vec<String> = server
        .take_questions()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["a.b.", "api."]);
}

#[tokio::test]
async fn ndots_decides_whether_the_bare_name_comes_first() {
    let server = NameServer::start().await;
    server.says_a("a.b.", &[[10, 0, 0, 3]], 60);
    let Fixture { resolver, .. } = fixture_with(
        &server,
        "",
        "search one.test\noptions ndots:2\n",
        |settings| {
            settings.order = vec![RecordKind::A];
        },
    );
    assert_eq!(
        resolver.resolve_address("a.b", 80).await,
        Ok(socket("10.0.0.3:80"))
    );
    let names: Vec<String> = server
        .take_questions()
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["a.b.one.test.", "a.b."]);
}

#[tokio::test]
async fn aliases_are_followed() {
    let server = NameServer::start().await;
    let alias = RData::CNAME(CNAME(Name::from_str("real.test.").unwrap()));
    server.says(
        "alias.test.",
        RecordType::CNAME,
        Reply::Records(vec![alias], 60),
    );
    server.says_a("real.test.", &[[10, 0, 0, 4]], 60);
    let Fixture { resolver, .. } = fixture_with(&server, "", "", |_| ());
    assert_eq!(
        resolver.resolve_address("alias.test", 80).await,
        Ok(socket("10.0.0.4:80"))
    );

    let itself = RData::CNAME(CNAME(Name::from_str("loop.test.").unwrap()));
    server.says(
        "loop.test.",
        RecordType::CNAME,
        Reply::Records(vec![itself], 60),
    );
    assert!(resolver.resolve_address("loop.test", 80).await.is_err());
}

#[tokio::test]
async fn service_records_give_ports_and_share_by_weight() {
    let server = NameServer::start().await;
    let records = vec![
        srv(2, 9, 9999, "spare.test."),
        srv(1, 1, 8001, "one.test."),
        srv(1, 3, 0, "two.test."),
    ];
    server.says("svc.test.", RecordType::SRV, Reply::Records(records, 60));
    server.says_a("one.test.", &[[10, 0, 0, 1]], 60);
    server.says_a("two.test.", &[[10, 0, 0, 2]], 60);
    let Fixture { resolver, .. } = fixture_with(&server, "", "", |_| ());
    let mut counts: HashMap<SocketAddr, usize> = HashMap::new();
    for _ in 0..8 {
        *counts
            .entry(resolver.resolve_address("svc.test", 80).await.unwrap())
            .or_default() += 1;
    }
    assert_eq!(
        counts,
        HashMap::from([(socket("10.0.0.1:8001"), 2), (socket("10.0.0.2:80"), 6)])
    );
    let Records::Services(services) = &*resolver.resolve("svc.test").await.unwrap().records else {
        panic!("no services");
    };
    assert_eq!(
        services
            .iter()
            .map(|service| &*service.target)
            .collect::<Vec<_>>(),
        ["one.test", "two.test", "spare.test"]
    );
    assert!(resolver.cached_address("svc.test", 80).unwrap().is_ok());
}

#[tokio::test]
async fn services_that_lead_in_circles_end() {
    let server = NameServer::start().await;
    server.says(
        "a.test.",
        RecordType::SRV,
        Reply::Records(vec![srv(1, 1, 1, "b.test.")], 60),
    );
    server.says(
        "b.test.",
        RecordType::SRV,
        Reply::Records(vec![srv(1, 1, 1, "a.test.")], 60),
    );
    let Fixture { resolver, .. } = fixture_with(&server, "", "", |_| ());
    assert_eq!(
        resolver.resolve_address("a.test", 80).await,
        Err(ResolveError::Recursion)
    );
    assert_eq!(
        resolver.cached_address("a.test", 80),
        Some(Err(ResolveError::Recursion))
    );

    // What points to itself only is passed over.
    server.says(
        "self.test.",
        RecordType::SRV,
        Reply::Records(vec![srv(1, 1, 1, "self.test.")], 60),
    );
    server.says_a("self.test.", &[[10, 0, 0, 5]], 60);
    assert_eq!(
        resolver.resolve_address("self.test", 80).await,
        Ok(socket("10.0.0.5:80"))
    );
}

#[tokio::test]
async fn addresses_take_turns() {
    let server = NameServer::start().await;
    server.says_a(
        "api.test.",
        &[[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 3]],
        60,
    );
    let Fixture { resolver, .. } = fixture(&server, |_| ());
    let mut picks = Vec::new();
    for _ in 0..6 {
        picks.push(
            resolver
                .resolve_address("api.test", 80)
                .await
                .unwrap()
                .to_string(),
        );
    }
    assert_eq!(picks[..3], ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    assert_eq!(picks[..3], picks[3..]);
}

#[tokio::test]
async fn an_expired_answer_is_served_while_it_is_renewed() {
    let server = NameServer::start().await;
    server.says_a("api.test.", &[[10, 0, 0, 1]], 10);
    let Fixture {
        resolver, clock, ..
    } = fixture(&server, |settings| {
        settings.stale_ttl = Duration::from_secs(100)
    });
    resolver.resolve_address("api.test", 80).await.unwrap();
    server.says_a("api.test.", &[[10, 0, 0, 2]], 10);
    clock.advance(Duration::from_secs(11));
    assert_eq!(
        resolver.resolve_address("api.test", 80).await,
        Ok(socket("10.0.0.1:80"))
    );
    eventually(|| resolver.cached_address("api.test", 80) == Some(Ok(socket("10.0.0.2:80")))).await;
}

#[tokio::test]
async fn a_stale_answer_outlives_errors_and_is_not_asked_for_all_the_time() {
    let server = NameServer::start().await;
    server.says_a("api.test.", &[[10, 0, 0, 1]], 10);
    let Fixture {
        resolver, clock, ..
    } = fixture_with(&server, "", "", |settings| {
        settings.stale_ttl = Duration::from_secs(100);
        settings.order = vec![RecordKind::A];
    });
    resolver.resolve_address("api.test", 80).await.unwrap();
    server.says(
        "api.test.",
        RecordType::A,
        Reply::Code(ResponseCode::NXDomain),
    );
    clock.advance(Duration::from_secs(11));
    assert!(resolver.cached_address("api.test", 80).unwrap().is_ok());
    eventually(|| server.questions() == 2).await;
    for _ in 0..100 {
        assert_eq!(
            resolver.resolve_address("api.test", 80).await,
            Ok(socket("10.0.0.1:80"))
        );
        tokio::task::yield_now().await;
    }
    assert_eq!(server.questions(), 2);
    clock.advance(Duration::from_secs(100));
    let gone = Err(ResolveError::Server {
        code: 3,
        text: "name error",
    });
    assert_eq!(resolver.resolve_address("api.test", 80).await, gone);
}

#[tokio::test]
async fn errors_have_kongs_words_and_their_own_lifetimes() {
    let server = NameServer::start().await;
    server.says("empty.test.", RecordType::A, Reply::Records(vec![], 60));
    server.says(
        "refused.test.",
        RecordType::A,
        Reply::Code(ResponseCode::Refused),
    );
    let Fixture {
        resolver, clock, ..
    } = fixture_with(&server, "", "", |settings| {
        settings.order = vec![RecordKind::A]
    });
    let text = async |name: &str| {
        resolver
            .resolve_address(name, 80)
            .await
            .unwrap_err()
            .to_string()
    };
    assert_eq!(text("gone.test").await, "dns server error: 3 name error");
    assert_eq!(
        text("empty.test").await,
        "dns client error: 101 empty record received"
    );
    assert_eq!(text("refused.test").await, "dns server error: 5 refused");
    assert_eq!(text("").await, "invalid name");
    assert_eq!(text(&"a".repeat(300)).await, "invalid name");

    clock.advance(Duration::from_secs(29));
    assert!(resolver.cached_address("gone.test", 80).is_some());
    assert!(resolver.cached_address("empty.test", 80).is_some());
    assert!(resolver.cached_address("refused.test", 80).is_none());
    clock.advance(Duration::from_secs(2));
    assert!(resolver.cached_address("gone.test", 80).is_none());
}

#[tokio::test]
async fn the_valid_ttl_replaces_what_the_server_says() {
    let server = NameServer::start().await;
    server.says_a("api.test.", &[[10, 0, 0, 1]], 1);
    let Fixture {
        resolver, clock, ..
    } = fixture(&server, |settings| {
        settings.valid_ttl = Some(Duration::from_secs(50));
        settings.stale_ttl = Duration::ZERO;
    });
    resolver.resolve_address("api.test", 80).await.unwrap();
    clock.advance(Duration::from_secs(49));
    assert!(resolver.cached_address("api.test", 80).is_some());
    clock.advance(Duration::from_secs(2));
    assert!(resolver.cached_address("api.test", 80).is_none());
}

#[tokio::test]
async fn lookups_of_one_name_share_one_question_unless_told_not_to() {
    for (no_sync, expected) in [(false, 1), (true, 5)] {
        let server = NameServer::start().await;
        server.says_a("api.test.", &[[10, 0, 0, 1]], 60);
        let Fixture { resolver, .. } = fixture_with(&server, "", "", |settings| {
            settings.order = vec![RecordKind::A];
            settings.no_sync = no_sync;
        });
        let closed = server.gate.write().await;
        let lookups: Vec<_> = (0..5)
            .map(|_| {
                let resolver = resolver.clone();
                tokio::spawn(async move { resolver.resolve_address("api.test", 80).await })
            })
            .collect();
        eventually(|| server.questions() >= expected).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        drop(closed);
        for lookup in lookups {
            assert!(lookup.await.unwrap().is_ok());
        }
        assert_eq!(server.questions(), expected, "no_sync {no_sync}");
    }
}

#[tokio::test]
async fn a_lookup_that_is_given_up_finishes_for_the_next_one() {
    let server = NameServer::start().await;
    server.says_a("api.test.", &[[10, 0, 0, 1]], 60);
    let Fixture { resolver, .. } = fixture_with(&server, "", "", |settings| {
        settings.order = vec![RecordKind::A]
    });
    tokio::select! {
        biased;
        _ = resolver.resolve_address("api.test", 80) => panic!("answered at once"),
        () = std::future::ready(()) => {}
    }
    eventually(|| resolver.cached_address("api.test", 80).is_some()).await;
    assert_eq!(server.questions(), 1);
}

#[tokio::test]
async fn a_worker_on_another_runtime_shares_the_answers() {
    let server = NameServer::start().await;
    server.says_a("api.test.", &[[10, 0, 0, 1]], 60);
    let Fixture { resolver, .. } = fixture(&server, |_| ());
    let elsewhere = resolver.clone();
    let found = tokio::task::spawn_blocking(move || {
        let worker = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        worker.block_on(elsewhere.resolve_address("api.test", 80))
    });
    assert_eq!(found.await.unwrap(), Ok(socket("10.0.0.1:80")));
    assert!(resolver.cached_address("api.test", 80).is_some());
}

#[test]
fn a_resolver_whose_runtime_has_stopped_says_so() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
    let resolver = Resolver::new(DnsSettings::default(), runtime.handle().clone(), clock).unwrap();
    drop(runtime);
    let worker = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let error = worker
        .block_on(resolver.resolve_address("api.test", 80))
        .unwrap_err();
    assert!(error.to_string().contains("has stopped"), "{error}");
}

#[test]
fn the_cache_stays_within_its_bounds_and_keeps_what_is_used() {
    let cache = Cache::new(16);
    let now = Instant::now();
    let entry = || Arc::new(Entry::new(Err(ResolveError::Empty), now, now));
    cache.insert("favourite", entry());
    for number in 0..1000 {
        cache.insert(&format!("name-{number}"), entry());
        assert!(cache.get("favourite").is_some(), "{number}");
        assert!(cache.len() <= 16);
    }
}

#[test]
fn hosts_files_are_read_as_they_come() {
    let hosts = parse_hosts(
        "# comment\n10.0.0.1 one One.Test # the first\n10.0.0.2 one\n::1 one\nnonsense here\n\n  10.0.0.3\ttwo\n",
    );
    let v4_first = [RecordKind::A];
    let v6_first = [RecordKind::Last, RecordKind::Aaaa, RecordKind::A];
    assert_eq!(
        hosts["one"].preferred(&v4_first),
        Some([10, 0, 0, 1].into())
    );
    assert_eq!(
        hosts["one"].preferred(&v6_first),
        Some("::1".parse().unwrap())
    );
    assert_eq!(
        hosts["one.test"].preferred(&v6_first),
        Some([10, 0, 0, 1].into())
    );
    assert_eq!(
        hosts["two"].preferred(&v4_first),
        Some([10, 0, 0, 3].into())
    );
    assert_eq!(
        hosts["localhost"].preferred(&v4_first),
        Some([127, 0, 0, 1].into())
    );
    assert!(!hosts.contains_key("here"));
}

#[test]
fn record_kinds_are_read_and_unknown_ones_named() {
    assert_eq!("srv".parse::<RecordKind>().unwrap(), RecordKind::Srv);
    assert_eq!("LAST".parse::<RecordKind>().unwrap(), RecordKind::Last);
    assert!(
        "MX".parse::<RecordKind>()
            .unwrap_err()
            .to_string()
            .contains("MX")
    );
}

proptest! {
    #[test]
    fn every_round_of_turns_gives_each_service_exactly_its_weight(
        weights in proptest::collection::vec(0_u16..50, 1..6),
    ) {
        let services = weights
            .iter()
            .map(|weight| ServiceRecord { priority: 1, weight: *weight, port: 1, target: "a".into() })
            .collect();
        let records = Records::Services(services);
        let turns = Turns::new(&records);
        let shares: Vec<usize> = weights.iter().map(|weight| usize::from(*weight).max(1)).collect();
        let mut counts = vec![0; weights.len()];
        for _ in 0..shares.iter().sum() {
            counts[turns.pick(&records)] += 1;
        }
        prop_assert_eq!(counts, shares);
    }
}
