use std::future::poll_fn;
use std::task::Waker;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;

async fn send(out: &Gathered<DuplexStream>) {
    poll_fn(|cx| out.0.lock().send(cx)).await.unwrap();
}

/// Writes a piece as a frame goes out: in two parts, the first one short.
async fn write(io: &mut Gathered<DuplexStream>, mut piece: &[u8]) {
    while !piece.is_empty() {
        let (head, rest) = piece.split_at(piece.len().min(9));
        let parts = [IoSlice::new(head), IoSlice::new(rest)];
        let written = io.write_vectored(&parts).await.unwrap();
        assert!(written > 0);
        piece = &piece[written..];
    }
}

#[tokio::test]
async fn small_writes_leave_together_when_they_are_sent() {
    let (near, mut far) = duplex(1024);
    let (mut io, out) = Gathered::new(near);
    io.write_all(b"head").await.unwrap();
    io.flush().await.unwrap();
    io.write_all(b" and body").await.unwrap();
    io.flush().await.unwrap();
    let mut bytes = [0; 64];
    let mut context = Context::from_waker(Waker::noop());
    let early = Pin::new(&mut far).poll_read(&mut context, &mut ReadBuf::new(&mut bytes));
    assert!(early.is_pending());
    send(&out).await;
    let read = far.read(&mut bytes).await.unwrap();
    assert_eq!(&bytes[..read], b"head and body");
    assert_eq!(out.0.lock().waiting.capacity(), 0);
}

#[tokio::test]
async fn a_shutdown_sends_what_waits() {
    let (near, mut far) = duplex(1024);
    let (mut io, _out) = Gathered::new(near);
    io.write_all(b"goodbye").await.unwrap();
    io.shutdown().await.unwrap();
    let mut bytes = Vec::new();
    far.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"goodbye");
}

#[tokio::test]
async fn a_peer_that_reads_nothing_stops_the_writer() {
    let (near, _far) = duplex(1024);
    let (mut io, _out) = Gathered::new(near);
    let mut taken = 0;
    let mut context = Context::from_waker(Waker::noop());
    while let Poll::Ready(written) = Pin::new(&mut io).poll_write(&mut context, &[0; 1000]) {
        taken += written.unwrap();
        assert!(taken <= MOST + 1024);
    }
}

proptest! {
    #[test]
    fn bytes_arrive_whole_and_in_order(
        sizes in proptest::collection::vec((0_usize..40_000, any::<bool>()), 0..12),
        room in 1_usize..20_000,
    ) {
        let pieces: Vec<Vec<u8>> = sizes
            .iter()
            .zip(0_u8..)
            .map(|((size, _), number)| (0..*size).map(|at| number ^ at as u8).collect())
            .collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let arrived = runtime.block_on(async {
            let (near, mut far) = duplex(room);
            let (mut io, out) = Gathered::new(near);
            let writing = async {
                for (piece, (_, sends)) in pieces.iter().zip(&sizes) {
                    write(&mut io, piece).await;
                    if *sends {
                        send(&out).await;
                    }
                }
                io.shutdown().await.unwrap();
            };
            let mut bytes = Vec::new();
            let (_, read) = tokio::join!(writing, far.read_to_end(&mut bytes));
            read.unwrap();
            bytes
        });
        prop_assert_eq!(arrived, pieces.concat());
    }
}
