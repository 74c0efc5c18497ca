//! What plugins can do to a TLS handshake, with a plugin that is not in the product.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use net::connect::{Connector, Target, TargetTls};
use net::tls::{
    ClientIdentity, ClientTls, ClientTlsSettings, ServerIdentity, ServerTls, ServerTlsSettings,
};
use net::{ConnectFailure, Stream};
use plugin_api::{
    Configured, Exchange, Failure, Handler, Handshake, KeyPair, Needs, Phase, Reply, Step,
};
use proxy::DataPlaneSettings;
use rcgen::generate_simple_self_signed;
use serde_json::json;
use snapshot::{Change, PluginTable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Gateway, record, runtime, snapshot};

const PATIENCE: Duration = Duration::from_secs(20);

/// Has a turn in handshakes, and answers requests with what it knows of the client's certificates.
#[derive(Debug)]
struct Doorman {
    shows: Arc<KeyPair>,
    journal: Arc<Mutex<Vec<String>>>,
}

impl Handler for Doorman {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Certificate, Phase::Rewrite])
    }

    fn certificate(&self, handshake: &mut Handshake<'_>) -> Result<(), Failure> {
        let line = format!("{:?} {}", handshake.server_name, handshake.is_configured);
        self.journal.lock().expect("a lock").push(line);
        match handshake.server_name {
            Some("refused.test") => return Err(Failure::new("on purpose")),
            Some("panic.test") => panic!("on purpose"),
            Some("other.test") => handshake.certificate = Some(self.shows.clone()),
            Some("asked.test") => handshake.asks_client = true,
            Some("once.test") => handshake.is_resumable = false,
            _ => {}
        }
        Ok(())
    }

    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let shown = exchange
            .connection
            .tls
            .map(|tls| tls.client_certificates.len());
        Step::answer(Reply::message(418, &format!("{shown:?} shown")))
    }
}

#[derive(Debug)]
struct Doormen(Arc<Doorman>);

impl PluginTable for Doormen {
    fn priority(&self, _name: &str) -> Option<i64> {
        Some(1)
    }

    fn build(&self, _name: &str, _record: &Configured<'_>) -> Result<Arc<dyn Handler>, Failure> {
        Ok(self.0.clone())
    }
}

fn pair(name: &str) -> KeyPair {
    let made = generate_simple_self_signed([name.to_owned()]).expect("a certificate");
    KeyPair {
        certificates: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
    }
}

struct Setting {
    gateway: Gateway,
    journal: Arc<Mutex<Vec<String>>>,
}

/// A gateway with a plugin that applies to all requests, or only to those of a route.
fn gateway(of_route: bool) -> Setting {
    let plugin = match of_route {
        true => json!({"name": "doorman", "config": {}, "route": {"id": uuid::Uuid::from_u128(2)}}),
        false => json!({"name": "doorman", "config": {}}),
    };
    let known = pair("known.test");
    let changes: Vec<Change> = vec![
        record("plugins", 1, plugin),
        record("routes", 2, json!({"paths": ["/"], "protocols": ["https"]})),
        record(
            "certificates",
            3,
            json!({"cert": known.certificates, "key": known.key}),
        ),
        record(
            "snis",
            4,
            json!({"name": "known.test", "certificate": {"id": uuid::Uuid::from_u128(3)}}),
        ),
    ];
    let journal = Arc::new(Mutex::new(Vec::new()));
    let doorman = Doorman {
        shows: Arc::new(pair("other.test")),
        journal: journal.clone(),
    };
    let own = pair("own.test");
    let identity = ServerIdentity::from_pem(&own.certificates, &own.key, None);
    let settings = DataPlaneSettings {
        default_identity: Some(identity.expect("an identity")),
        ..DataPlaneSettings::default()
    };
    let table = Arc::new(Doormen(Arc::new(doorman)));
    let gateway = Gateway::of(snapshot(changes, table), settings, |spec| spec.ssl = true);
    let tls = ServerTls::new(&ServerTlsSettings::default()).expect("the default settings");
    gateway.shared.set_server_tls(Some(tls));
    Setting { gateway, journal }
}

fn client(identity: Option<ClientIdentity>) -> ClientTls {
    let settings = ClientTlsSettings {
        identity,
        ..ClientTlsSettings::default()
    };
    ClientTls::new(settings).expect("settings of a client")
}

async fn connect(to: SocketAddr, client: &ClientTls, name: &str) -> Result<Stream, ConnectFailure> {
    let target = Target {
        address: to,
        tls: Some(TargetTls {
            config: client.clone(),
            server_name: name.into(),
        }),
    };
    let connected = Connector.connect(&target, PATIENCE).await;
    connected.map_err(|error| error.kind)
}

/// The certificate that the gateway shows, and what the plugin answers.
async fn ask(to: SocketAddr, client: &ClientTls, name: &str) -> (Vec<u8>, bool, String) {
    let mut stream = connect(to, client, name).await.expect("a connection");
    let request = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .await
        .expect("a request");
    stream.flush().await.expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let tls = stream.tls().expect("a TLS connection");
    (tls.peer_certificates[0].clone(), tls.resumed, answer)
}

#[test]
fn a_plugin_chooses_the_certificate_by_name() {
    let Setting { gateway, journal } = gateway(false);
    let client = client(None);
    runtime().block_on(async {
        let (own, ..) = ask(gateway.address, &client, "unknown.test").await;
        let (known, ..) = ask(gateway.address, &client, "known.test").await;
        let (other, ..) = ask(gateway.address, &client, "OTHER.test").await;
        assert!(own != known && known != other && own != other);
    });
    let journal = journal.lock().expect("a lock").clone();
    let expected = [
        "Some(\"unknown.test\") false",
        "Some(\"known.test\") true",
        "Some(\"other.test\") false",
    ];
    assert_eq!(journal, expected);
}

#[test]
fn a_plugin_that_fails_or_panics_ends_the_connection_and_no_other() {
    let Setting { gateway, .. } = gateway(false);
    let client = client(None);
    runtime().block_on(async {
        for name in ["refused.test", "panic.test"] {
            let refused = connect(gateway.address, &client, name).await;
            assert_eq!(refused.err(), Some(ConnectFailure::Tls), "{name}");
        }
        let (_, _, answer) = ask(gateway.address, &client, "unknown.test").await;
        assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
    });
}

#[test]
fn a_client_is_asked_for_its_certificate_where_a_plugin_wants_it() {
    let Setting { gateway, .. } = gateway(false);
    let shown = pair("client");
    let identity = ClientIdentity::from_pem(&shown.certificates, &shown.key);
    let with = client(Some(identity.expect("an identity")));
    let without = client(None);
    runtime().block_on(async {
        for (client, name, count) in [
            (&with, "asked.test", 1),
            (&without, "asked.test", 0),
            (&with, "unknown.test", 0),
        ] {
            let (_, _, answer) = ask(gateway.address, client, name).await;
            assert!(
                answer.contains(&format!("Some({count}) shown")),
                "{name}: {answer}"
            );
        }
    });
}

#[test]
fn a_session_is_not_resumed_where_a_plugin_forbids_it() {
    let Setting { gateway, .. } = gateway(false);
    let client = client(None);
    runtime().block_on(async {
        for (name, expected) in [
            ("once.test", [false, false]),
            ("unknown.test", [false, true]),
        ] {
            for resumed in expected {
                let (_, is, _) = ask(gateway.address, &client, name).await;
                assert_eq!(is, resumed, "{name}");
            }
        }
    });
}

#[test]
fn a_plugin_of_a_route_has_no_turn_in_handshakes() {
    let Setting { gateway, journal } = gateway(true);
    let client = client(None);
    runtime().block_on(async {
        assert!(
            connect(gateway.address, &client, "refused.test")
                .await
                .is_ok()
        );
    });
    assert!(journal.lock().expect("a lock").is_empty());
}
