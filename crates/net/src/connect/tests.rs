use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::pool::{Pool, PoolSettings, Pooled};
use crate::test_support::{PATIENCE, eventually, listener};
use crate::tls::{ClientTls, ClientTlsSettings};

fn tls(address: SocketAddr) -> Target {
    let config = ClientTls::new(ClientTlsSettings::default()).unwrap();
    Target {
        address,
        tls: Some(TargetTls {
            config,
            server_name: Arc::from("a.test"),
        }),
    }
}

#[tokio::test]
async fn a_port_without_a_listener_refuses() {
    let (listener, address) = listener();
    drop(listener);
    let error = Connector
        .connect(&Target::plain(address), PATIENCE)
        .await
        .unwrap_err();
    assert_eq!(error.kind, ConnectFailure::Refused);
    assert!(
        error.to_string().starts_with("connection refused"),
        "{error}"
    );
}

#[tokio::test]
async fn a_tls_handshake_without_an_answer_times_out() {
    let (listener, address) = listener();
    let target = tls(address);
    let connect = Connector.connect(&target, Duration::from_millis(10));
    let (result, _silent) = tokio::join!(connect, listener.accept());
    assert_eq!(result.unwrap_err().kind, ConnectFailure::TimedOut);
}

#[tokio::test]
async fn an_upstream_that_does_not_speak_tls_fails_the_handshake() {
    let (listener, address) = listener();
    let target = tls(address);
    let serve = async {
        let mut stream = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            .await
            .unwrap();
        stream
    };
    let (result, _plain) = tokio::join!(Connector.connect(&target, PATIENCE), serve);
    assert_eq!(result.unwrap_err().kind, ConnectFailure::Tls);
}

#[test]
fn shortages_and_missing_routes_have_kinds_of_their_own() {
    for (code, kind) in [
        (libc::EMFILE, ConnectFailure::Local),
        (libc::EADDRNOTAVAIL, ConnectFailure::Local),
        (libc::EHOSTUNREACH, ConnectFailure::Unreachable),
        (libc::ENETUNREACH, ConnectFailure::Unreachable),
        (libc::ETIMEDOUT, ConnectFailure::TimedOut),
        (libc::ECONNRESET, ConnectFailure::Other),
    ] {
        assert_eq!(
            classify(io::Error::from_raw_os_error(code)).kind,
            kind,
            "{code}"
        );
    }
}

#[tokio::test]
async fn a_kept_connection_is_reused_until_the_upstream_closes_it() {
    let (listener, address) = listener();
    let target = Target::plain(address);
    let pool = Pool::new(PoolSettings {
        size: 4,
        max_requests: None,
        idle_timeout: None,
    });
    let (connected, accepted) =
        tokio::join!(Connector.connect(&target, PATIENCE), listener.accept());
    let mut upstream = accepted.unwrap();
    pool.put(
        &target,
        Pooled::new(connected.unwrap()),
        std::time::Instant::now(),
    );

    let mut taken = pool.take(&target, std::time::Instant::now()).unwrap();
    taken.connection.write_all(b"again").await.unwrap();
    let mut request = [0; 5];
    upstream.read_exact(&mut request).await.unwrap();
    assert_eq!(&request, b"again");

    pool.put(&target, taken, std::time::Instant::now());
    drop(upstream);
    eventually(|| {
        pool.sweep(std::time::Instant::now());
        pool.is_empty()
    })
    .await;
}

#[tokio::test]
async fn targets_are_equal_if_address_tls_settings_and_name_are() {
    let address = SocketAddr::from(([127, 0, 0, 1], 443));
    assert_eq!(tls(address), tls(address));
    assert_ne!(tls(address), Target::plain(address));
    let mut other_name = tls(address);
    other_name.tls.as_mut().unwrap().server_name = Arc::from("b.test");
    assert_ne!(tls(address), other_name);
}
