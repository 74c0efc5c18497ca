use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::connect::{Connector, Target, TargetTls};
use crate::test_support::{
    Authority, PATIENCE, Pair, connected, eventually, leaf_params, listener, rsa_key,
};
use crate::{ConnectError, ConnectFailure, Error, HandshakeError, Stream};

mod settings;
mod upstream;

impl Pair {
    fn server(&self) -> ServerIdentity {
        ServerIdentity::from_pem(&self.cert, &self.key, None).unwrap()
    }

    fn client(&self) -> ClientIdentity {
        ClientIdentity::from_pem(&self.cert, &self.key).unwrap()
    }
}

fn always(identity: ServerIdentity) -> Arc<dyn CertificateLookup> {
    Arc::new(move |_: Option<&str>| Some(ServerChoice::from(identity.clone())))
}

fn trusting(authority: &Authority) -> ClientTlsSettings {
    ClientTlsSettings {
        trust: Some(TrustStore::from_pem([authority.pem.as_str()]).unwrap()),
        ..Default::default()
    }
}

/// A handshake between a client and a server with the given settings; both ends, or what the client saw fail.
async fn handshake(
    server: &Arc<ServerTls>,
    lookup: &Arc<dyn CertificateLookup>,
    client: &ClientTls,
    name: &str,
) -> Result<(Stream, Stream), ConnectError> {
    let (listener, address) = listener();
    let target = Target {
        address,
        tls: Some(TargetTls {
            config: client.clone(),
            server_name: name.into(),
        }),
    };
    let accept = async {
        let stream = listener.accept().await.unwrap();
        Arc::clone(server)
            .accept(stream, true, Arc::clone(lookup), PATIENCE)
            .await
    };
    let (client, server) = tokio::join!(Connector.connect(&target, PATIENCE), accept);
    Ok((client?, server.unwrap()))
}

/// What the client sees of a handshake with a default server that shows `shown`.
async fn verdict(
    shown: &Pair,
    client: ClientTlsSettings,
    name: &str,
) -> Result<(), ConnectFailure> {
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let (listener, address) = listener();
    let tls = TargetTls {
        config: ClientTls::new(client).unwrap(),
        server_name: name.into(),
    };
    let accept = async {
        let stream = listener.accept().await.unwrap();
        server
            .accept(stream, false, always(shown.server()), PATIENCE)
            .await
    };
    let target = Target {
        address,
        tls: Some(tls),
    };
    let (client, _) = tokio::join!(Connector.connect(&target, PATIENCE), accept);
    client.map(|_| ()).map_err(|error| error.kind)
}

/// Sends a message one way and an answer back.
async fn echo(client: &mut Stream, server: &mut Stream) {
    client.write_all(b"ping").await.unwrap();
    client.flush().await.unwrap();
    let mut buffer = [0; 4];
    server.read_exact(&mut buffer).await.unwrap();
    server.write_all(&buffer).await.unwrap();
    server.flush().await.unwrap();
    client.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"ping");
}

/// The common name that the server showed.
fn shown_name(stream: &Stream) -> String {
    let der = &stream.tls().unwrap().peer_certificates[0];
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    names.value.general_names[0].to_string()
}

#[tokio::test]
async fn a_handshake_settles_name_protocol_version_and_cipher() {
    let authority = Authority::new("Test");
    let lookup = always(authority.leaf(&["api.example.com"]).server());
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let client = ClientTls::new(ClientTlsSettings {
        alpn: Some(Alpn::Http2),
        ..trusting(&authority)
    })
    .unwrap();
    let (mut at_client, mut at_server) = handshake(&server, &lookup, &client, "api.example.com")
        .await
        .unwrap();
    echo(&mut at_client, &mut at_server).await;
    let info = at_server.tls().unwrap();
    assert_eq!(info.sni.as_deref(), Some("api.example.com"));
    assert_eq!(info.alpn, Some(Alpn::Http2));
    assert_eq!(info.version.name(), "TLSv1.3");
    assert_eq!(info.cipher, "TLS_AES_256_GCM_SHA384");
    assert!(info.peer_certificates.is_empty());
    assert!(!info.resumed);
    assert_eq!(at_client.tls().unwrap().peer_certificates.len(), 1);
}

#[tokio::test]
async fn the_certificate_follows_the_server_name() {
    let authority = Authority::new("Test");
    let mut table = SniTable::default();
    for (name, shown) in [
        ("api.example.com", "exact"),
        ("*.example.com", "leading"),
        ("api.*", "trailing"),
        ("*", "default"),
    ] {
        table.insert(name, authority.leaf(&[shown]).server());
    }
    let lookup: Arc<dyn CertificateLookup> =
        Arc::new(move |name: Option<&str>| table.find(name).cloned().map(ServerChoice::from));
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let client = ClientTls::new(ClientTlsSettings::default()).unwrap();
    for (name, expected) in [
        ("api.example.com", "exact"),
        ("API.example.COM", "exact"),
        ("www.example.com", "leading"),
        ("api.test", "trailing"),
        ("a.b.example.com", "default"),
        ("127.0.0.1", "default"),
    ] {
        let (at_client, _) = handshake(&server, &lookup, &client, name).await.unwrap();
        assert!(
            shown_name(&at_client).contains(expected),
            "{name}: {}",
            shown_name(&at_client)
        );
    }
}

#[test]
fn server_names_are_found_in_order_of_precision() {
    let mut table = SniTable::default();
    table.insert("*.Example.com", 1);
    table.insert("example.*", 2);
    assert_eq!(table.find(Some("www.example.com")), Some(&1));
    assert_eq!(table.find(Some("example.org")), Some(&2));
    assert_eq!(table.find(Some("example.com")), Some(&2));
    assert_eq!(table.find(Some("com")), None);
    assert_eq!(table.find(None), None);
    table.insert("*", 3);
    assert_eq!(table.find(Some("com")), Some(&3));
    assert_eq!(table.find(None), Some(&3));
}

proptest! {
    #[test]
    fn any_server_name_gets_an_answer(name in ".{0,40}") {
        let mut table = SniTable::default();
        table.insert("*.example.com", 1);
        table.insert(&name, 2);
        prop_assert!(table.find(Some(&name.to_ascii_lowercase())).is_some() || name.contains('*'));
    }
}

#[tokio::test]
async fn a_session_resumes_on_another_worker_with_and_without_tickets() {
    let authority = Authority::new("Test");
    for session_tickets in [true, false] {
        for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
            let settings = ServerTlsSettings {
                session_tickets,
                ..ServerTlsSettings::default()
            };
            let server = ServerTls::new(&settings).unwrap();
            let client = ClientTls::new(ClientTlsSettings {
                versions: vec![version],
                ..trusting(&authority)
            })
            .unwrap();
            // A new certificate for the name, as after a change of the configuration, does not end the sessions.
            for (round, resumed) in [(1, false), (2, true), (3, true)] {
                let lookup = always(authority.leaf(&["api.example.com"]).server());
                let (mut at_client, mut at_server) =
                    handshake(&server, &lookup, &client, "api.example.com")
                        .await
                        .unwrap();
                echo(&mut at_client, &mut at_server).await;
                let both = (
                    at_client.tls().unwrap().resumed,
                    at_server.tls().unwrap().resumed,
                );
                assert_eq!(
                    both,
                    (resumed, resumed),
                    "{version:?}, tickets {session_tickets}, connection {round}"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_session_resumes_where_neither_tickets_nor_a_cache_are_on() {
    let authority = Authority::new("Test");
    let settings = ServerTlsSettings {
        session_tickets: false,
        session_cache_bytes: 0,
        ..ServerTlsSettings::default()
    };
    let server = ServerTls::new(&settings).unwrap();
    let client = ClientTls::new(trusting(&authority)).unwrap();
    let lookup = always(authority.leaf(&["a.test"]).server());
    for _ in 0..2 {
        let (mut at_client, mut at_server) = handshake(&server, &lookup, &client, "a.test")
            .await
            .unwrap();
        echo(&mut at_client, &mut at_server).await;
        assert!(!at_client.tls().unwrap().resumed);
    }
}

#[tokio::test]
async fn no_session_resumes_where_the_choice_forbids_it() {
    let authority = Authority::new("Test");
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let identity = authority.leaf(&["a.test"]).server();
    let lookup: Arc<dyn CertificateLookup> = Arc::new(move |_: Option<&str>| {
        Some(ServerChoice {
            is_resumable: false,
            ..ServerChoice::from(identity.clone())
        })
    });
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let client = ClientTls::new(ClientTlsSettings {
            versions: vec![version],
            ..trusting(&authority)
        })
        .unwrap();
        for _ in 0..2 {
            let (mut at_client, mut at_server) = handshake(&server, &lookup, &client, "a.test")
                .await
                .unwrap();
            echo(&mut at_client, &mut at_server).await;
            assert!(!at_client.tls().unwrap().resumed);
        }
    }
}

#[tokio::test]
async fn each_cipher_suite_setting_offers_its_versions() {
    let authority = Authority::new("Test");
    let lookup = always(authority.leaf(&["a.test"]).server());
    let check = async |suite: CipherSuite, version, expected: Option<&str>| {
        let server = ServerTls::new(&ServerTlsSettings {
            cipher_suite: suite.clone(),
            ..ServerTlsSettings::default()
        })
        .unwrap();
        let client = ClientTls::new(ClientTlsSettings {
            versions: vec![version],
            ..Default::default()
        })
        .unwrap();
        let (listener, address) = listener();
        let target = Target {
            address,
            tls: Some(TargetTls {
                config: client,
                server_name: "a.test".into(),
            }),
        };
        let accept = async {
            let stream = listener.accept().await.unwrap();
            server
                .accept(stream, true, Arc::clone(&lookup), PATIENCE)
                .await
        };
        let (client, _) = tokio::join!(Connector.connect(&target, PATIENCE), accept);
        let cipher = client
            .as_ref()
            .ok()
            .map(|stream| stream.tls().unwrap().cipher);
        assert_eq!(cipher, expected, "{suite:?} {version:?}");
    };
    use TlsVersion::{Tls12, Tls13};
    check(CipherSuite::Modern, Tls13, Some("TLS_AES_256_GCM_SHA384")).await;
    check(CipherSuite::Modern, Tls12, None).await;
    check(
        CipherSuite::Intermediate,
        Tls12,
        Some("ECDHE-ECDSA-AES128-GCM-SHA256"),
    )
    .await;
    check(
        CipherSuite::Old,
        Tls12,
        Some("ECDHE-ECDSA-AES128-GCM-SHA256"),
    )
    .await;
    check(CipherSuite::Fips, Tls13, Some("TLS_AES_256_GCM_SHA384")).await;
    let custom =
        || CipherSuite::Custom("ECDHE-ECDSA-CHACHA20-POLY1305:DHE-RSA-AES128-SHA".to_owned());
    check(custom(), Tls12, Some("ECDHE-ECDSA-CHACHA20-POLY1305")).await;
    check(custom(), Tls13, Some("TLS_AES_256_GCM_SHA384")).await;
}

#[tokio::test]
async fn the_pair_that_fits_the_suites_is_shown() {
    let authority = Authority::new("Test");
    let rsa = authority.sign(leaf_params(&["rsa"]), &rsa_key());
    let ecdsa = authority.leaf(&["ecdsa"]);
    let both =
        ServerIdentity::from_pem(&rsa.cert, &rsa.key, Some((&ecdsa.cert, &ecdsa.key))).unwrap();
    let client = ClientTls::new(ClientTlsSettings {
        versions: vec![TlsVersion::Tls12],
        ..Default::default()
    })
    .unwrap();
    for (suites, expected) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", "ecdsa"),
        ("ECDHE-RSA-AES128-GCM-SHA256", "rsa"),
    ] {
        let server = ServerTls::new(&ServerTlsSettings {
            cipher_suite: CipherSuite::Custom(suites.to_owned()),
            ..ServerTlsSettings::default()
        })
        .unwrap();
        let lookup = if expected == "rsa" {
            always(rsa.server())
        } else {
            always(both.clone())
        };
        let (at_client, _) = handshake(&server, &lookup, &client, "a.test")
            .await
            .unwrap();
        assert!(shown_name(&at_client).contains(expected), "{suites}");
    }
}

#[tokio::test]
async fn a_plain_request_on_a_tls_port_comes_back_unread() {
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let lookup = always(Authority::new("Test").leaf(&["a.test"]).server());
    let (mut client, accepted) = connected().await;
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let Err(HandshakeError::NotTls(mut plain)) =
        server.accept(accepted, true, lookup, PATIENCE).await
    else {
        panic!("accepted");
    };
    let mut request = [0; 18];
    plain.read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"GET / HTTP/1.1\r\n\r\n");
}

#[tokio::test]
async fn handshakes_that_go_nowhere_end() {
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let lookup = always(Authority::new("Test").leaf(&["a.test"]).server());
    let (_client, accepted) = connected().await;
    let result = Arc::clone(&server)
        .accept(
            accepted,
            true,
            Arc::clone(&lookup),
            Duration::from_millis(1),
        )
        .await;
    assert!(matches!(result, Err(HandshakeError::TimedOut)));

    let (client, accepted) = connected().await;
    drop(client);
    let result = Arc::clone(&server)
        .accept(accepted, true, Arc::clone(&lookup), PATIENCE)
        .await;
    assert!(matches!(result, Err(HandshakeError::Closed)));

    let (mut client, accepted) = connected().await;
    client
        .write_all(&[22, 3, 1, 0, 5, 9, 9, 9, 9, 9])
        .await
        .unwrap();
    let result = Arc::clone(&server)
        .accept(accepted, true, lookup, PATIENCE)
        .await;
    assert!(matches!(result, Err(HandshakeError::Failed(_))));
}

#[tokio::test]
async fn a_name_without_a_certificate_is_refused() {
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let nobody: Arc<dyn CertificateLookup> = Arc::new(|_: Option<&str>| None);
    let (listener, address) = listener();
    let config = ClientTls::new(ClientTlsSettings::default()).unwrap();
    let target = Target {
        address,
        tls: Some(TargetTls {
            config,
            server_name: "a.test".into(),
        }),
    };
    let accept = async {
        server
            .accept(listener.accept().await.unwrap(), true, nobody, PATIENCE)
            .await
    };
    let (client, accepted) = tokio::join!(Connector.connect(&target, PATIENCE), accept);
    assert_eq!(client.unwrap_err().kind, ConnectFailure::Tls);
    assert!(matches!(accepted, Err(HandshakeError::NoCertificate(name)) if name == "a.test"));
}

#[tokio::test]
async fn a_client_without_a_common_application_protocol_is_refused() {
    let authority = Authority::new("Test");
    let settings = ClientTlsSettings {
        alpn: Some(Alpn::Http2),
        ..trusting(&authority)
    };
    // The server of this check does not speak HTTP/2.
    assert_eq!(
        verdict(&authority.leaf(&["a.test"]), settings, "a.test").await,
        Err(ConnectFailure::Tls)
    );
}

#[tokio::test]
async fn a_requested_client_certificate_is_seen_and_may_be_declined() {
    let authority = Authority::new("Test");
    let identity = authority.leaf(&["server"]).server();
    let hint = TrustStore::from_pem([authority.pem.as_str()]).unwrap();
    let lookup: Arc<dyn CertificateLookup> = Arc::new(move |_: Option<&str>| {
        let client_certificates = ClientCertificates::Request(Some(hint.clone()));
        Some(ServerChoice {
            is_resumable: true,
            identity: identity.clone(),
            client_certificates,
        })
    });
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    for (identity, expected) in [(Some(authority.leaf(&["client"]).client()), 1), (None, 0)] {
        let client = ClientTls::new(ClientTlsSettings {
            identity,
            ..Default::default()
        })
        .unwrap();
        let (mut at_client, mut at_server) = handshake(&server, &lookup, &client, "a.test")
            .await
            .unwrap();
        echo(&mut at_client, &mut at_server).await;
        assert_eq!(at_server.tls().unwrap().peer_certificates.len(), expected);
    }
}

#[tokio::test]
async fn an_idle_tls_connection_is_reusable_until_the_peer_closes_it() {
    let authority = Authority::new("Test");
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let lookup = always(authority.leaf(&["a.test"]).server());
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let client = ClientTls::new(ClientTlsSettings {
            versions: vec![version],
            ..trusting(&authority)
        })
        .unwrap();
        let (mut at_client, mut at_server) = handshake(&server, &lookup, &client, "a.test")
            .await
            .unwrap();
        // Session tickets may be on their way, and are no data.
        for _ in 0..50 {
            assert!(at_client.is_idle_and_open());
            tokio::task::yield_now().await;
        }
        echo(&mut at_client, &mut at_server).await;
        assert!(at_client.is_idle_and_open());
        at_server.shutdown().await.unwrap();
        eventually(|| !at_client.is_idle_and_open()).await;
    }
}

#[tokio::test]
async fn a_connection_that_ends_without_close_notify_has_ended() {
    let authority = Authority::new("Test");
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let lookup = always(authority.leaf(&["a.test"]).server());
    let client = ClientTls::new(trusting(&authority)).unwrap();
    let (mut at_client, mut at_server) = handshake(&server, &lookup, &client, "a.test")
        .await
        .unwrap();
    at_server.write_all(b"all there is").await.unwrap();
    at_server.flush().await.unwrap();
    drop(at_server);
    let mut received = Vec::new();
    at_client.read_to_end(&mut received).await.unwrap();
    assert_eq!(received, b"all there is");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_panic_the_acceptor(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
            let nobody: Arc<dyn CertificateLookup> = Arc::new(|_: Option<&str>| None);
            let (mut client, accepted) = connected().await;
            client.write_all(&[&[22, 3, 1, 1, 0, 1], tail.as_slice()].concat()).await.unwrap();
            drop(client);
            assert!(server.accept(accepted, true, nobody, PATIENCE).await.is_err());
        });
    }
}

#[tokio::test]
async fn bytes_cannot_be_put_back_under_tls() {
    let authority = Authority::new("Test");
    let server = ServerTls::new(&ServerTlsSettings::default()).unwrap();
    let client = ClientTls::new(trusting(&authority)).unwrap();
    let lookup = always(authority.leaf(&["a.test"]).server());
    let (mut at_client, _) = handshake(&server, &lookup, &client, "a.test")
        .await
        .unwrap();
    assert!(at_client.unread(b"x").is_err());
}
