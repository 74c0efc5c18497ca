//! Probes against real servers.

use std::net::SocketAddr;

use net::Alpn;
use net::tls::{ClientIdentity, ClientTls, ClientTlsSettings, TrustStore};
use serde_json::{Value, json};

use super::support::{
    Authority, Grpc, PATIENCE, backend, grpc_server, refusing, says_ok, serves_grpc, tls_server,
};
use crate::probe::status_of;
use crate::{Checks, Observation, Probe};

/// A probe with the settings of an upstream's active checks.
fn probe(active: Value, tls: Option<ClientTls>) -> Probe {
    Probe {
        active: Checks::read(&json!({ "active": active })).active,
        host_header: None,
        tls,
    }
}

async fn ask(kind: &str, address: SocketAddr) -> Observation {
    let probe = probe(json!({"type": kind, "timeout": PATIENCE.as_secs()}), None);
    probe.ask(address, "a.test").await
}

async fn ask_briefly(kind: &str, address: SocketAddr) -> Observation {
    let probe = probe(json!({"type": kind, "timeout": 0.2}), None);
    probe.ask(address, "a.test").await
}

fn client_tls(
    trust: Option<TrustStore>,
    identity: Option<ClientIdentity>,
    alpn: Option<Alpn>,
) -> Option<ClientTls> {
    let settings = ClientTlsSettings {
        trust,
        verify_depth: None,
        identity,
        alpn,
        versions: Vec::new(),
    };
    Some(ClientTls::new(settings).unwrap())
}

#[tokio::test]
async fn a_probe_tells_what_it_saw() {
    let answers = backend(b"HTTP/1.0 204 No Content\r\n\r\n").await;
    assert_eq!(ask("http", answers).await, Observation::Status(204));
    let garbage = backend(b"hello\n").await;
    assert_eq!(ask("http", garbage).await, Observation::Garbage);
    let silent = backend(b"").await;
    assert_eq!(ask_briefly("http", silent).await, Observation::TimedOut);
    let refused = refusing().await;
    assert_eq!(ask("http", refused).await, Observation::ConnectionFailed);
    assert_eq!(ask("tcp", answers).await, Observation::Connected);
    assert_eq!(ask("tcp", refused).await, Observation::ConnectionFailed);
    assert_eq!(ask("grpc", refused).await, Observation::ConnectionFailed);
    assert_eq!(ask("grpc", garbage).await, Observation::ConnectionFailed);
}

#[tokio::test]
async fn the_health_service_of_grpc_is_asked() {
    for (server, observation) in [
        (Grpc::Serving, Observation::Connected),
        (Grpc::NotServing, Observation::Garbage),
        (Grpc::NoSuchMethod, Observation::Connected),
        (Grpc::Failing, Observation::Garbage),
    ] {
        let address = grpc_server(server).await;
        assert_eq!(ask("grpc", address).await, observation, "{server:?}");
    }
    let silent = grpc_server(Grpc::Silent).await;
    assert_eq!(ask_briefly("grpc", silent).await, Observation::TimedOut);
}

#[tokio::test]
async fn https_probes_verify_unless_told_not_to() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let (server, _) = tls_server(&ours, "a.test", false, says_ok).await;
    let https = |tls| probe(json!({"type": "https", "timeout": PATIENCE.as_secs()}), tls);
    let trusting = https(client_tls(Some(ours.trust()), None, None));
    assert_eq!(
        trusting.ask(server, "a.test").await,
        Observation::Status(200)
    );
    assert_eq!(
        trusting.ask(server, "b.test").await,
        Observation::ConnectionFailed,
        "the certificate is for another name"
    );
    let wary = https(client_tls(Some(theirs.trust()), None, None));
    assert_eq!(
        wary.ask(server, "a.test").await,
        Observation::ConnectionFailed
    );
    let blind = https(client_tls(None, None, None));
    assert_eq!(blind.ask(server, "b.test").await, Observation::Status(200));
    let plain = backend(b"HTTP/1.0 200 OK\r\n\r\n").await;
    assert_eq!(
        blind.ask(plain, "a.test").await,
        Observation::ConnectionFailed
    );
}

#[tokio::test]
async fn probes_ask_for_the_name_that_is_set_and_show_the_certificate_of_the_upstream() {
    let authority = Authority::new();
    let (server, seen) = tls_server(&authority, "sni.test", false, says_ok).await;
    let (certificate, key) = authority.leaf("a client");
    let identity = ClientIdentity::from_pem(&certificate, &key).unwrap();
    let tls = client_tls(Some(authority.trust()), Some(identity), None);
    let active = json!({"type": "https", "https_sni": "sni.test", "timeout": PATIENCE.as_secs()});
    assert_eq!(
        probe(active.clone(), tls).ask(server, "127.0.0.1").await,
        Observation::Status(200)
    );
    let without = client_tls(Some(authority.trust()), None, None);
    assert_eq!(
        probe(active, without).ask(server, "127.0.0.1").await,
        Observation::Status(200)
    );
    let named = Some("sni.test".to_owned());
    assert_eq!(*seen.lock(), [(named.clone(), true), (named, false)]);
}

#[tokio::test]
async fn grpcs_probes_speak_http2_over_tls() {
    let authority = Authority::new();
    let (server, seen) = tls_server(&authority, "a.test", true, serves_grpc).await;
    let tls = client_tls(Some(authority.trust()), None, Some(Alpn::Http2));
    let active = json!({"type": "grpcs", "timeout": PATIENCE.as_secs()});
    assert_eq!(
        probe(active, tls).ask(server, "a.test").await,
        Observation::Connected
    );
    assert_eq!(*seen.lock(), [(Some("a.test".to_owned()), false)]);
}

#[test]
fn status_lines_are_read_with_care() {
    assert_eq!(status_of(b"HTTP/1.1 200 OK\r\n"), Some(200));
    assert_eq!(status_of(b"HTTP/1.0  503\r\n"), Some(503));
    for line in [
        &b"HTTP/ 200"[..],
        b"HTTP/1.1 20",
        b"HTTP/1.1 OK",
        b"SSH-2.0",
        b"",
    ] {
        assert_eq!(status_of(line), None);
    }
}
