mod server;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::FutureExt as _;
use futures_util::future::join_all;
use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Failure, Flow, Handler};
use serde_json::{Value, json};
use stdx::ManualClock;

use self::server::{Behaviour, FakeNetwork, FakeServer, said};
use super::claim::{parse_claim, strip_scheme};
use super::handler;
use super::message::{Answer, LONGEST, parse_answer};
use super::name::entry_of;

struct World {
    server: Arc<FakeServer>,
    clock: Arc<ManualClock>,
    handler: Arc<dyn Handler>,
}

/// A handler with some settings, and the server it asks.
fn world(settings: Value) -> World {
    try_world(settings).unwrap()
}

fn try_world(settings: Value) -> Result<World, Failure> {
    let server = Arc::new(FakeServer::default());
    let clock = Arc::new(ManualClock::at(SystemTime::UNIX_EPOCH));
    let guest = json!({ "id": "00000000-0000-0000-0000-00000000000a", "username": "guest" });
    let mut services = services(FakeRecords::default().with("consumers", guest));
    services.network = Arc::new(FakeNetwork(server.clone()));
    services.clock = clock.clone();
    let mut config = json!({
        "ldap_host": "ldap.test", "ldap_port": 389, "ldaps": false, "start_tls": false,
        "verify_ldap_host": false, "base_dn": "ou=people,dc=test", "attribute": "uid",
        "cache_ttl": 60, "hide_credentials": false, "timeout": 10000, "keepalive": 60000,
        "anonymous": null, "header_type": "ldap", "realm": null,
    });
    for (field, value) in settings.as_object().unwrap() {
        config[field] = value.clone();
    }
    let handler = build(handler::build, &config, &services)?;
    Ok(World {
        server,
        clock,
        handler,
    })
}

fn credentials(user: &str, password: &str) -> String {
    format!("LDAP {}", STANDARD.encode(format!("{user}:{password}")))
}

/// What became of a request.
struct Seen {
    /// The status and challenge of a refusal.
    refused: Option<(u16, String)>,
    sample: Sample,
}

impl Seen {
    fn header(&self, name: &str) -> Option<&str> {
        self.sample.head.headers.get_str(name)
    }
}

impl World {
    async fn request(&self, headers: &[(&str, &str)]) -> Result<Seen, Failure> {
        let mut sample = Sample::new("GET", "/", headers);
        let mut exchange = sample.exchange();
        let flow = self.handler.access(&mut exchange).outcome().await?;
        let refused = match flow {
            Flow::Next => None,
            Flow::Answer(reply) => {
                let challenge = reply.headers.into_iter().next_back().unwrap();
                assert_eq!(challenge.0, "WWW-Authenticate");
                Some((reply.status, String::from_utf8(challenge.1).unwrap()))
            }
        };
        Ok(Seen { refused, sample })
    }

    /// Whether a user gets in.
    async fn passes(&self, user: &str, password: &str) -> Result<bool, Failure> {
        let value = credentials(user, password);
        let seen = self.request(&[("Authorization", &value)]).await?;
        Ok(seen.refused.is_none())
    }

    fn behave(&self, behaviour: Behaviour) {
        *self.server.behaviour.lock() = behaviour;
    }
}

#[tokio::test]
async fn only_the_right_name_with_the_right_password_passes() {
    let world = world(json!({}));
    for (value, expected) in [
        ("ldap YWxpY2U6c2U6Y3JldA==", true), // alice:se:cret
        ("  LdaP \t YWxpY2U6c2U6Y3JldA", true),
        ("ldap YWxpY2U6c2U=", false),         // alice:se
        ("ldap Ym9iOnNlOmNyZXQ=", false),     // bob:se:cret
        ("ldap YWxpY2U6", false),             // alice:
        ("ldap OnNlOmNyZXQ=", false),         // :se:cret
        ("ldap YWxpY2U=", false),             // alice
        ("ldap YWxpY2UKOnNlOmNyZXQ=", false), // alice, a new line, :se:cret
        ("ldap !", false),
        ("ldap", false),
        ("ldapYWxpY2U6c2U6Y3JldA==", false),
        ("Basic YWxpY2U6c2U6Y3JldA==", false),
    ] {
        let seen = world.request(&[("Authorization", value)]).await.unwrap();
        assert_eq!(seen.refused.is_none(), expected, "{value}");
        if expected {
            assert_eq!(seen.header("X-Credential-Identifier"), Some("alice"));
            assert_eq!(seen.header("Authorization"), Some(value));
            let credential = seen.sample.work.credential.unwrap();
            assert!(credential.id.starts_with("ldap-auth:"), "{}", credential.id);
        } else {
            assert_eq!(seen.refused, Some((401, "LDAP".to_owned())));
        }
    }
    let seen = world.request(&[]).await.unwrap();
    assert_eq!(seen.refused, Some((401, "LDAP".to_owned())));
    assert_eq!(
        world.server.take_heard(),
        [
            "connect ldap.test:389 None",
            "bind uid=alice,ou=people,dc=test se:cret",
            "bind uid=alice,ou=people,dc=test se",
            "bind uid=bob,ou=people,dc=test se:cret",
        ]
    );
}

#[tokio::test]
async fn a_name_reaches_no_other_branch() {
    for (user, expected) in [
        ("alice", "uid=alice,dc=test"),
        ("a,ou=admins", "uid=a\\,ou\\=admins,dc=test"),
        ("a+b\"<c>;\\", "uid=a\\+b\\\"\\<c\\>\\;\\\\,dc=test"),
        ("#a #", "uid=\\#a #,dc=test"),
        (" a b ", "uid=\\ a b\\ ,dc=test"),
        (" ", "uid=\\ ,dc=test"),
        ("a\0\nb", "uid=a\\00\\0Ab,dc=test"),
        ("žluť*(", "uid=žluť*(,dc=test"),
    ] {
        assert_eq!(entry_of(user, "uid", "dc=test"), expected);
    }
}

#[tokio::test]
async fn both_headers_are_asked_and_either_is_enough() {
    let world = world(json!({ "hide_credentials": true }));
    let right = credentials("alice", "se:cret");
    let wrong = credentials("alice", "wrong");
    for (first, second, expected) in [
        (&right, &wrong, true),
        (&wrong, &right, true),
        (&wrong, &wrong, false),
        (&"Bearer a".to_owned(), &right, true),
    ] {
        let headers: [(&str, &str); 2] =
            [("Proxy-Authorization", first), ("Authorization", second)];
        let seen = world.request(&headers).await.unwrap();
        assert_eq!(seen.refused.is_none(), expected, "{first} {second}");
        assert_eq!(seen.header("Proxy-Authorization"), None);
        assert_eq!(seen.header("Authorization"), None);
    }
}

#[tokio::test]
async fn a_refused_client_goes_on_as_the_anonymous_consumer() {
    let world = world(json!({ "anonymous": "guest", "hide_credentials": true }));
    let wrong = credentials("alice", "almost");
    let seen = world.request(&[("Authorization", &wrong)]).await.unwrap();
    assert_eq!(seen.refused, None);
    assert_eq!(seen.header("X-Anonymous-Consumer"), Some("true"));
    assert_eq!(seen.header("X-Consumer-Username"), Some("guest"));
    assert_eq!(seen.header("Authorization"), None);
    let other = [("Authorization", "Bearer a")];
    let seen = world.request(&other).await.unwrap();
    assert_eq!(seen.header("Authorization"), Some("Bearer a"));
    // That nobody knows is no refusal.
    let world = self::world(json!({ "anonymous": "guest" }));
    world.behave(Behaviour {
        is_away: true,
        ..Behaviour::default()
    });
    assert!(world.passes("alice", "se:cret").await.is_err());
}

#[tokio::test]
async fn the_challenge_names_scheme_and_realm() {
    for (settings, expected) in [
        (json!({ "realm": "here" }), "LDAP realm=\"here\""),
        (json!({ "header_type": "Basic" }), "Basic"),
        (
            json!({ "header_type": "basic", "realm": "here" }),
            "basic realm=\"here\"",
        ),
        (json!({ "header_type": null }), "LDAP"),
    ] {
        let seen = world(settings).request(&[]).await.unwrap();
        assert_eq!(seen.refused, Some((401, expected.to_owned())));
    }
    let basic = world(json!({ "header_type": "basic" }));
    let value = credentials("alice", "se:cret").replace("LDAP", "Basic");
    let seen = basic.request(&[("Authorization", &value)]).await.unwrap();
    assert_eq!(seen.refused, None);
}

#[tokio::test]
async fn logins_are_remembered_for_their_time_whether_accepted_or_refused() {
    let world = world(json!({ "cache_ttl": 2.5 }));
    for password in ["se:cret", "wrong"] {
        let expected = password == "se:cret";
        for _ in 0..2 {
            let passes = world.passes("alice", password).await.unwrap();
            assert_eq!(passes, expected);
            world.clock.advance(Duration::from_millis(2400));
        }
        let binds = world.server.take_heard();
        let binds = binds.iter().filter(|heard| heard.starts_with("bind"));
        assert_eq!(binds.count(), 1);
        world.clock.advance(Duration::from_millis(100));
        assert_eq!(world.passes("alice", password).await.unwrap(), expected);
        assert_eq!(world.server.take_heard().len(), 1);
    }
    let forgetful = self::world(json!({ "cache_ttl": 0 }));
    for _ in 0..2 {
        assert!(forgetful.passes("alice", "se:cret").await.unwrap());
    }
    assert_eq!(forgetful.server.take_heard().len(), 3);
}

#[tokio::test]
async fn a_server_that_cannot_answer_is_no_refusal_and_is_not_remembered() {
    let world = world(json!({}));
    let mut nested = vec![0x30, 0x84, 0, 0, 0xff, 0];
    nested.extend([0x30, 0x82, 0xfe, 0].repeat(100));
    let mut long = vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff];
    long.resize(4 * LONGEST, 0);
    for behaviour in [
        Behaviour {
            is_away: true,
            ..Behaviour::default()
        },
        Behaviour {
            code: Some(51),
            ..Behaviour::default()
        },
        Behaviour {
            code: Some(52),
            ..Behaviour::default()
        },
        Behaviour {
            adds: vec![0],
            ..Behaviour::default()
        },
    ]
    .into_iter()
    .chain(
        [
            Vec::new(),
            b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
            said(7, 1, 0),
            said(0, 1, 0),
            said(1, 24, 0),
            nested,
            long,
            vec![0x30, 0x80, 2, 1, 1, 0x61, 0x80],
        ]
        .map(|says| Behaviour {
            says: Some(says),
            ..Behaviour::default()
        }),
    ) {
        world.behave(behaviour);
        assert!(world.passes("alice", "se:cret").await.is_err());
    }
    world.behave(Behaviour {
        code: Some(53),
        ..Behaviour::default()
    });
    assert!(!world.passes("bob", "unwilling").await.unwrap());
    world.behave(Behaviour::default());
    assert!(world.passes("alice", "se:cret").await.unwrap());
}

#[tokio::test]
async fn many_who_claim_the_same_at_once_ask_the_server_once() {
    let world = world(json!({}));
    let all = join_all((0..9).map(|_| world.passes("alice", "se:cret")));
    assert!(all.await.into_iter().all(|passes| passes.unwrap()));
    assert_eq!(world.server.take_heard().len(), 2);

    // The first to ask goes away: another one brings it to its end.
    let mut first = Box::pin(world.passes("alice", "other"));
    assert!((&mut first).now_or_never().is_none());
    let mut second = Box::pin(world.passes("alice", "other"));
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    assert!(!second.await.unwrap());
    assert_eq!(world.server.take_heard().len(), 1);

    // Nobody waits any more: the next one asks anew, over a new connection.
    let mut only = Box::pin(world.passes("alice", "third"));
    assert!((&mut only).now_or_never().is_none());
    drop(only);
    assert!(!world.passes("alice", "third").await.unwrap());
    let heard = world.server.take_heard();
    assert_eq!(heard.len(), 3, "{heard:?}");
}

#[tokio::test]
async fn a_connection_serves_many_logins_while_both_sides_keep_it() {
    let world = world(json!({ "keepalive": 1000 }));
    let connects = || {
        let heard = world.server.take_heard();
        let connects = heard.iter().filter(|heard| heard.starts_with("connect"));
        connects.count()
    };
    assert!(!world.passes("a", "1").await.unwrap());
    assert!(!world.passes("a", "2").await.unwrap());
    assert_eq!(connects(), 1);
    world.clock.advance(Duration::from_millis(999));
    assert!(!world.passes("a", "3").await.unwrap());
    assert_eq!(connects(), 0);
    world.clock.advance(Duration::from_secs(1));
    world.behave(Behaviour {
        hangs_up: true,
        ..Behaviour::default()
    });
    assert!(!world.passes("a", "4").await.unwrap());
    assert_eq!(connects(), 1);
    assert!(!world.passes("a", "5").await.unwrap());
    assert_eq!(connects(), 1);
    let none = self::world(json!({ "keepalive": 0 }));
    assert!(!none.passes("a", "1").await.unwrap());
    assert!(!none.passes("a", "2").await.unwrap());
    assert_eq!(none.server.take_heard().len(), 4);
}

#[tokio::test]
async fn no_password_is_sent_before_tls_begins() {
    let world = world(json!({ "start_tls": true, "verify_ldap_host": true }));
    assert!(world.passes("alice", "se:cret").await.unwrap());
    let bind = "bind uid=alice,ou=people,dc=test se:cret";
    assert_eq!(
        world.server.take_heard(),
        [
            "connect ldap.test:389 None",
            "StartTLS",
            "TLS verify=true",
            bind
        ]
    );
    let no = Behaviour {
        code: Some(2),
        ..Behaviour::default()
    };
    let more = Behaviour {
        adds: said(2, 1, 0),
        ..Behaviour::default()
    };
    for behaviour in [no, more] {
        let world = self::world(json!({ "start_tls": true }));
        world.behave(behaviour);
        assert!(world.passes("alice", "se:cret").await.is_err());
        assert_eq!(
            world.server.take_heard(),
            ["connect ldap.test:389 None", "StartTLS"]
        );
    }
    let world = self::world(json!({ "ldaps": true, "ldap_port": 636 }));
    assert!(world.passes("alice", "se:cret").await.unwrap());
    assert_eq!(
        world.server.take_heard(),
        ["connect ldap.test:636 Some(false)", bind]
    );
}

#[test]
fn times_that_are_none_are_refused_by_name() {
    for (field, value) in [
        ("timeout", json!(0)),
        ("timeout", json!(-1)),
        ("keepalive", json!(-1)),
        ("cache_ttl", json!(-1)),
        ("cache_ttl", json!(1e300)),
    ] {
        let refused = try_world(json!({ field: value })).err().unwrap();
        assert!(refused.to_string().starts_with(field), "{refused}");
    }
}

#[test]
fn answers_are_read_whatever_stands_in_them() {
    let no = Answer {
        id: 300,
        operation: 1,
        code: 49,
        text: "no".to_owned(),
    };
    let answer = said(300, 1, 49);
    let length = answer.len();
    assert_eq!(parse_answer(&answer).unwrap(), Some((no, length)));
    for end in 0..length {
        assert_eq!(parse_answer(&answer[..end]).unwrap(), None);
    }
    // Active Directory writes lengths in four bytes.
    let mut wide = vec![0x30, 0x84, 0, 0, 0, (length - 2) as u8];
    wide.extend(&answer[2..]);
    assert!(parse_answer(&wide).unwrap().is_some());
    for at in 0..length {
        for byte in 0..=255 {
            let mut other = answer.clone();
            other[at] = byte;
            let _ = parse_answer(&other);
        }
    }
}

#[test]
fn claims_are_read_whatever_stands_in_them() {
    assert_eq!(strip_scheme(b"a b", "a b c"), None);
    assert_eq!(strip_scheme(b"", ""), None);
    assert_eq!(
        parse_claim(&STANDARD.encode([255, b':', b'a']).into_bytes()),
        None
    );
    let claim = parse_claim(STANDARD.encode(b"a:\xff:").as_bytes()).unwrap();
    assert_eq!((&*claim.user, &*claim.password), ("a", &b"\xff:"[..]));
}
