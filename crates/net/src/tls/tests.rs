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

#[test]
fn settings_that_cannot_be_honoured_are_named() {
    let with = |cipher_suite, protocols: &[&str]| {
        let protocols = protocols.iter().map(ToString::to_string).collect();
        ServerTls::new(&ServerTlsSettings {
            cipher_suite,
            protocols,
            ..ServerTlsSettings::default()
        })
    };
    let custom = |list: &str| CipherSuite::Custom(list.to_owned());
    let good = "ECDHE-RSA-AES128-GCM-SHA256";
    assert_eq!(
        with(custom(good), &["TLSv1.2"]).unwrap().versions(),
        [TlsVersion::Tls12]
    );
    assert_eq!(
        with(custom(good), &["TLSv1.2 TLSv1.3"])
            .unwrap()
            .versions()
            .len(),
        2
    );

    let error =
        |result: Result<_, Error>| result.map(|_: Arc<ServerTls>| ()).unwrap_err().to_string();
    assert_eq!(
        error(with(custom(good), &["TLSv1.1", "TLSv1.2"])),
        "ssl_protocols: TLSv1.1 is broken and not available; allowed are TLSv1.2 and TLSv1.3"
    );
    assert_eq!(
        error(with(custom(good), &["TLSv9"])),
        "ssl_protocols: unknown protocol \"TLSv9\"; allowed are TLSv1.2 and TLSv1.3"
    );
    assert!(
        error(with(custom("AES128-SHA"), &["TLSv1.2"]))
            .starts_with("ssl_ciphers: none of \"AES128-SHA\"")
    );

    let warnings = with(custom(&format!("{good}:AES128-SHA:DES-CBC3-SHA")), &[])
        .unwrap()
        .warnings()
        .to_vec();
    assert_eq!(
        warnings,
        ["ssl_ciphers: not available and left out: AES128-SHA DES-CBC3-SHA"]
    );
    assert_eq!(with(CipherSuite::Old, &[]).unwrap().warnings().len(), 1);
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
async fn an_upstream_has_to_show_a_trusted_certificate_with_its_name() {
    let (authority, other) = (Authority::new("Test"), Authority::new("Other"));
    let leaf = authority.leaf(&["a.test", "127.0.0.1"]);
    let refused = Err(ConnectFailure::Certificate);
    assert_eq!(verdict(&leaf, trusting(&authority), "a.test").await, Ok(()));
    assert_eq!(
        verdict(&leaf, trusting(&authority), "127.0.0.1").await,
        Ok(())
    );
    assert_eq!(
        verdict(&leaf, trusting(&authority), "b.test").await,
        refused
    );
    assert_eq!(
        verdict(&leaf, trusting(&authority), "not a name").await,
        refused
    );
    assert_eq!(verdict(&leaf, trusting(&other), "a.test").await, refused);
    assert_eq!(
        verdict(&leaf, ClientTlsSettings::default(), "b.test").await,
        Ok(())
    );
    assert_eq!(
        verdict(&leaf, ClientTlsSettings::default(), "not a name").await,
        Ok(())
    );

    let store = trusting(&authority)
        .trust
        .unwrap()
        .union(&trusting(&other).trust.unwrap());
    let both = ClientTlsSettings {
        trust: Some(store),
        ..Default::default()
    };
    assert_eq!(
        verdict(&other.leaf(&["a.test"]), both, "a.test").await,
        Ok(())
    );
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new("Test");
    let mut params = leaf_params(&["a.test"]);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let old = authority.sign(params.clone(), &key);
    assert_eq!(
        verdict(&old, trusting(&authority), "a.test").await,
        Err(ConnectFailure::Certificate)
    );
    let cert = params.self_signed(&key).unwrap().pem();
    let trust = TrustStore::from_pem([cert.as_str()]).unwrap();
    let own = ClientTlsSettings {
        trust: Some(trust),
        ..Default::default()
    };
    let pair = Pair {
        cert,
        key: key.serialize_pem(),
    };
    assert_eq!(
        verdict(&pair, own, "a.test").await,
        Err(ConnectFailure::Certificate)
    );
}

#[tokio::test]
async fn the_verify_depth_counts_intermediate_certificates() {
    let root = Authority::new("Root");
    let (first, second) = (root.subordinate("First"), root.subordinate("Second"));
    let third = second.subordinate("Third");
    let chained = |leaf: Pair, chain: &[&Authority]| Pair {
        cert: chain
            .iter()
            .fold(leaf.cert, |all, authority| all + &authority.pem),
        key: leaf.key,
    };
    let one = chained(first.leaf(&["a.test"]), &[&first]);
    let two = chained(third.leaf(&["a.test"]), &[&third, &second]);
    for (pair, depth, expected) in [
        (root.leaf(&["a.test"]), Some(0), Ok(())),
        (one.clone(), Some(0), Err(ConnectFailure::Certificate)),
        (one.clone(), Some(1), Ok(())),
        (two.clone(), Some(1), Err(ConnectFailure::Certificate)),
        (two.clone(), Some(2), Ok(())),
        (two, None, Ok(())),
    ] {
        let settings = ClientTlsSettings {
            verify_depth: depth,
            ..trusting(&root)
        };
        assert_eq!(
            verdict(&pair, settings, "a.test").await,
            expected,
            "depth {depth:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_is_itself_trusted_is_accepted_even_if_it_is_an_authority() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = crate::test_support::authority_params("a.test");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("a.test".try_into().unwrap())];
    let cert = params.self_signed(&key).unwrap().pem();
    let trust = Some(TrustStore::from_pem([cert.as_str()]).unwrap());
    let pair = Pair {
        cert,
        key: key.serialize_pem(),
    };
    let settings = || ClientTlsSettings {
        trust: trust.clone(),
        ..Default::default()
    };
    assert_eq!(verdict(&pair, settings(), "a.test").await, Ok(()));
    assert_eq!(
        verdict(&pair, settings(), "b.test").await,
        Err(ConnectFailure::Certificate)
    );
}

#[tokio::test]
async fn the_common_name_counts_where_there_are_no_alternative_names() {
    let authority = Authority::new("Test");
    let with_name = |name: &str, alternatives: &[&str]| {
        let mut params = leaf_params(alternatives);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        authority.sign(params, &rcgen::KeyPair::generate().unwrap())
    };
    let refused = Err(ConnectFailure::Certificate);
    assert_eq!(
        verdict(&with_name("a.test", &[]), trusting(&authority), "a.test").await,
        Ok(())
    );
    assert_eq!(
        verdict(
            &with_name("*.b.test", &[]),
            trusting(&authority),
            "a.b.test"
        )
        .await,
        Ok(())
    );
    assert_eq!(
        verdict(&with_name("*.test", &[]), trusting(&authority), "a.test").await,
        refused
    );
    assert_eq!(
        verdict(
            &with_name("a.test", &["b.test"]),
            trusting(&authority),
            "a.test"
        )
        .await,
        refused
    );
}

#[tokio::test]
async fn certificates_of_version_1_are_shown_and_verified() {
    let pair = Pair {
        cert: include_str!("fixtures/v1.crt").to_owned(),
        key: include_str!("fixtures/v1.key").to_owned(),
    };
    let trusting_pem = |pem: &str, version| ClientTlsSettings {
        trust: Some(TrustStore::from_pem([pem]).unwrap()),
        versions: vec![version],
        ..Default::default()
    };
    let refused = Err(ConnectFailure::Certificate);
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let issuer = || trusting_pem(include_str!("fixtures/v1-ca.crt"), version);
        assert_eq!(verdict(&pair, issuer(), "v1.test").await, Ok(()));
        assert_eq!(verdict(&pair, issuer(), "v2.test").await, refused);
        assert_eq!(
            verdict(&pair, trusting_pem(&pair.cert, version), "v1.test").await,
            Ok(())
        );
        assert_eq!(
            verdict(&pair, trusting_pem(&pair.cert, version), "v2.test").await,
            refused
        );
        let other = Authority::new("Fixture CA");
        assert_eq!(
            verdict(&pair, trusting_pem(&other.pem, version), "v1.test").await,
            refused
        );
        let anybody = ClientTlsSettings {
            versions: vec![version],
            ..Default::default()
        };
        assert_eq!(verdict(&pair, anybody, "v2.test").await, Ok(()));
    }
    let other_key = include_str!("fixtures/ec-sec1.key");
    assert!(matches!(
        ServerIdentity::from_pem(&pair.cert, other_key, None),
        Err(Error::KeyMismatch)
    ));
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

#[test]
fn keys_of_every_encoding_are_read() {
    let identity = |cert: &str, key: &str| ServerIdentity::from_pem(cert, key, None).map(|_| ());
    for (cert, key) in [
        (
            include_str!("fixtures/rsa.crt"),
            include_str!("fixtures/rsa-pkcs1.key"),
        ),
        (
            include_str!("fixtures/rsa.crt"),
            include_str!("fixtures/rsa-pkcs8.key"),
        ),
        (
            include_str!("fixtures/ec.crt"),
            include_str!("fixtures/ec-sec1.key"),
        ),
    ] {
        identity(cert, key).unwrap();
    }
}

#[test]
fn unusable_certificates_and_keys_are_refused_in_words() {
    let authority = Authority::new("Test");
    let (pair, other) = (authority.leaf(&["a.test"]), authority.leaf(&["b.test"]));
    let check = |cert: &str, key: &str, expected: &str| {
        let error = ServerIdentity::from_pem(cert, key, None)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(
        &pair.cert,
        &other.key,
        "the private key does not belong to the certificate",
    );
    check(
        "",
        &pair.key,
        "invalid certificate: no PEM certificate found",
    );
    check(
        &pair.key,
        &pair.key,
        "invalid certificate: no PEM certificate found",
    );
    check(
        &pair.cert,
        "",
        "invalid private key: no PEM private key found",
    );
    check(
        &pair.cert,
        &pair.cert,
        "invalid private key: no PEM private key found",
    );
    check(
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        &pair.key,
        "invalid certificate: ",
    );
    check(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &pair.key,
        "invalid certificate: not an X.509",
    );
    check(
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
        &pair.key,
        "invalid certificate: the PEM text has no END line",
    );
    check(
        &pair.cert,
        include_str!("fixtures/encrypted-pkcs8.key"),
        "the private key is encrypted",
    );
    check(
        &pair.cert,
        include_str!("fixtures/encrypted-pkcs1.key"),
        "the private key is encrypted",
    );
    assert!(TrustStore::from_pem([pair.key.as_str()]).is_err());
    assert!(
        ServerIdentity::from_pem(&pair.cert, &pair.key, Some((&pair.cert, &other.key))).is_err()
    );
}

#[test]
fn equal_client_settings_share_one_compiled_form_while_it_is_used() {
    let authority = Authority::new("Test");
    let (pair, other) = (authority.leaf(&["a"]), authority.leaf(&["b"]));
    let settings = |pair: &Pair| ClientTlsSettings {
        identity: Some(pair.client()),
        ..trusting(&authority)
    };
    let cache = ClientTlsCache::default();
    let first = cache.get(settings(&pair)).unwrap();
    assert!(first.is_same(&cache.get(settings(&pair)).unwrap()));
    let different = cache.get(settings(&other)).unwrap();
    assert_ne!(first, different);
    assert_eq!(first, ClientTls::new(settings(&pair)).unwrap());
    drop((first, different));
    cache.get(ClientTlsSettings::default()).unwrap();
    assert_eq!(cache.len(), 1);
}
