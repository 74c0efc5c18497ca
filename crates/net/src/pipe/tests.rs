use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A connection and its other end.
async fn connection() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = TcpStream::connect(listener.local_addr().unwrap());
    let (other, accepted) = tokio::join!(other, listener.accept());
    (
        Stream::from_tcp(accepted.unwrap().0).unwrap(),
        other.unwrap(),
    )
}

#[tokio::test]
async fn bytes_go_through_the_pipe_in_order_however_slow_the_reader_is() {
    const LENGTH: usize = 3 << 20;
    let (from, mut source) = connection().await;
    let (mut to, mut sink) = connection().await;
    let sent: Vec<u8> = (0..LENGTH).map(|at| (at % 251) as u8).collect();
    let expected = sent.clone();
    let writer = tokio::spawn(async move {
        source.write_all(&sent).await.unwrap();
        source
    });
    let reader = tokio::spawn(async move {
        let mut got = vec![0; LENGTH];
        sink.read_exact(&mut got).await.unwrap();
        got
    });
    let mut pipe = Pipe::new().unwrap();
    let mut left = LENGTH;
    while left > 0 {
        left -= poll_fn(|cx| pipe.poll_fill(&from, left, cx)).await.unwrap();
        while pipe.held() > 0 {
            poll_fn(|cx| pipe.poll_drain(&mut to, cx)).await.unwrap();
        }
    }
    assert!(reader.await.unwrap() == expected);
    drop(writer.await.unwrap());
    let end = poll_fn(|cx| pipe.poll_fill(&from, 1, cx)).await;
    assert_eq!(end.unwrap(), 0);
}

#[tokio::test]
async fn what_waits_in_the_pipe_can_be_taken_back() {
    let (from, mut source) = connection().await;
    source.write_all(b"0123456789").await.unwrap();
    let mut pipe = Pipe::new().unwrap();
    let filled = poll_fn(|cx| pipe.poll_fill(&from, 4, cx)).await;
    assert_eq!((filled.unwrap(), pipe.held()), (4, 4));
    assert_eq!(pipe.take().unwrap(), b"0123");
    let filled = poll_fn(|cx| pipe.poll_fill(&from, 100, cx)).await;
    assert_eq!(filled.unwrap(), 6);
    assert_eq!((pipe.take().unwrap(), pipe.held()), (b"456789".to_vec(), 0));
}

#[tokio::test]
async fn a_full_pipe_and_bytes_that_were_put_back_are_not_for_splicing() {
    let (mut from, mut source) = connection().await;
    assert!(from.is_spliceable());
    source.write_all(b"0123").await.unwrap();
    let mut pipe = Pipe::new().unwrap();
    poll_fn(|cx| pipe.poll_fill(&from, 2, cx)).await.unwrap();
    let again = poll_fn(|cx| pipe.poll_fill(&from, 2, cx)).await;
    assert_eq!(again.unwrap_err().kind(), io::ErrorKind::Unsupported);
    from.unread(b"x").unwrap();
    assert!(!from.is_spliceable());
}
