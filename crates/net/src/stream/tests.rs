use std::io::IoSlice;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Address;
use crate::test_support::{connected, eventually};

#[tokio::test]
async fn a_silent_connection_stays_reusable_after_traffic() {
    let (mut client, mut server) = connected().await;
    assert!(client.is_idle_and_open());
    server.write_all(b"answer").await.unwrap();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).await.unwrap();
    for _ in 0..100 {
        assert!(client.is_idle_and_open());
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_connection_that_the_peer_closed_is_not_reusable() {
    let (mut client, server) = connected().await;
    drop(server);
    eventually(|| !client.is_idle_and_open()).await;
}

#[tokio::test]
async fn a_connection_that_the_peer_half_closed_is_not_reusable() {
    let (mut client, mut server) = connected().await;
    server.shutdown().await.unwrap();
    eventually(|| !client.is_idle_and_open()).await;
}

#[tokio::test]
async fn a_connection_with_unasked_bytes_is_not_reusable() {
    let (mut client, mut server) = connected().await;
    server.write_all(b"HTTP/1.1 408").await.unwrap();
    eventually(|| !client.is_idle_and_open()).await;
}

#[tokio::test]
async fn bytes_that_are_put_back_are_read_first_in_order() {
    let (mut client, mut server) = connected().await;
    client.write_all(b"three").await.unwrap();
    server.unread(b"two").unwrap();
    server.unread(b"one").unwrap();
    assert!(!server.is_idle_and_open());
    let mut all = [0; 11];
    server.read_exact(&mut all).await.unwrap();
    assert_eq!(&all, b"onetwothree");
}

#[tokio::test]
async fn half_close_leaves_the_other_direction_open() {
    let (mut client, mut server) = connected().await;
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut request = Vec::new();
    server.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"request");
    server.write_all(b"answer").await.unwrap();
    drop(server);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"answer");
}

#[tokio::test]
async fn vectored_writes_reach_the_socket_whole() {
    let (mut client, mut server) = connected().await;
    let written = client
        .write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")])
        .await
        .unwrap();
    assert_eq!(written, 8);
    let mut both = [0; 8];
    server.read_exact(&mut both).await.unwrap();
    assert_eq!(&both, b"headbody");
}

#[tokio::test]
async fn both_ends_agree_on_addresses() {
    let (client, server) = connected().await;
    assert_eq!(client.local_addr().unwrap(), server.peer_addr());
    assert_eq!(server.local_addr().unwrap(), client.peer_addr());
    assert!(matches!(server.peer_addr(), Address::Ip(_)));
    assert!(!server.is_tls());
}

#[test]
fn a_connection_is_small_at_rest() {
    assert!(
        size_of::<crate::Stream>() <= 192,
        "{}",
        size_of::<crate::Stream>()
    );
}
