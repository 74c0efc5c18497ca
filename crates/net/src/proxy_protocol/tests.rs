use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::test_support::connected;

fn proxied(source: &str, destination: &str) -> Header {
    Header::Proxied {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        authority: None,
        ssl: false,
    }
}

/// A version 2 header from its command, its family and what follows.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [
        b"\r\n\r\n\0\r\nQUIT\n".as_slice(),
        &[command, family],
        &length,
        rest,
    ]
    .concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x1f, 0x90, 0, 80];

#[test]
fn reads_version_1_lines() {
    let check = |line: &str, expected: Header| {
        assert_eq!(
            parse(line.as_bytes()),
            Ok(Some((expected, line.find("\r\n").unwrap() + 2))),
            "{line:?}"
        );
    };
    check(
        "PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\nGET /",
        proxied("192.0.2.1:8080", "192.0.2.2:80"),
    );
    check(
        "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n",
        proxied("[2001:db8::1]:1", "[::1]:65535"),
    );
    check("PROXY UNKNOWN\r\n", Header::Local);
    check("PROXY UNKNOWN whatever stands here 1 2\r\n", Header::Local);
}

#[test]
fn refuses_broken_version_1_lines() {
    for line in [
        "GET / HTTP/1.1\r\n",
        "PROXY \r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2  2\r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\nGET",
    ] {
        let result = parse(line.as_bytes());
        assert!(!matches!(result, Ok(Some(_))), "{line:?} gave {result:?}");
    }
    assert!(parse(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 107]].concat()).is_err());
}

#[test]
fn reads_version_2_headers() {
    let header = v2(0x21, 0x11, &V4);
    assert_eq!(
        parse(&header),
        Ok(Some((
            proxied("192.0.2.1:8080", "192.0.2.2:80"),
            header.len()
        )))
    );

    let mut v6 = [0_u8; 36];
    (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
    assert_eq!(
        parse(&v2(0x21, 0x21, &v6)),
        Ok(Some((proxied("[::1]:3", "[::2]:4"), 52)))
    );

    for (command, family, rest) in [
        (0x20, 0x00, &b""[..]),
        (0x20, 0x11, &V4),
        (0x21, 0x00, b"ignored"),
        (0x21, 0x31, &[0; 216]),
        (0x21, 0x12, &V4),
    ] {
        let header = v2(command, family, rest);
        assert_eq!(
            parse(&header),
            Ok(Some((Header::Local, header.len()))),
            "{command:#x} {family:#x}"
        );
    }
}

#[test]
fn reads_the_authority_and_ssl_values_and_passes_over_others() {
    let tlvs = [
        V4.as_slice(),
        &[0x01, 0, 2, b'h', b'2'],
        &[0x02, 0, 11],
        b"example.com",
        &[0x20, 0, 5, 0x01, 0, 0, 0, 0],
        &[0xe0, 0, 0],
    ]
    .concat();
    let Ok(Some((Header::Proxied { authority, ssl, .. }, _))) = parse(&v2(0x21, 0x11, &tlvs))
    else {
        panic!("not parsed");
    };
    assert_eq!(authority.as_deref(), Some("example.com"));
    assert!(ssl);
}

#[test]
fn refuses_broken_version_2_headers() {
    let cut_tlv = [V4.as_slice(), &[0x02, 0, 9, b'x']].concat();
    let cut_tlv_head = [V4.as_slice(), &[0x02, 0]].concat();
    for header in [
        v2(0x11, 0x11, &V4),
        v2(0x22, 0x11, &V4),
        v2(0x21, 0x41, &V4),
        v2(0x21, 0x13, &V4),
        v2(0x21, 0x11, &V4[..11]),
        v2(0x21, 0x21, &V4),
        v2(0x21, 0x11, &cut_tlv),
        v2(0x21, 0x11, &cut_tlv_head),
        v2(0x21, 0x11, &[0; 4097]),
    ] {
        assert!(parse(&header).is_err(), "{header:?}");
    }
}

#[test]
fn every_prefix_of_a_header_asks_for_more() {
    for header in [
        b"PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n".to_vec(),
        v2(0x21, 0x11, &V4),
    ] {
        for end in 0..header.len() {
            assert_eq!(parse(&header[..end]), Ok(None), "{end} bytes");
        }
    }
}

proptest! {
    #[test]
    fn any_input_gets_an_answer_and_a_full_buffer_never_asks_for_more(
        signature in prop_oneof![Just(&b""[..]), Just(v1::SIGNATURE), Just(v2::SIGNATURE)],
        tail in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut input = [signature, &tail].concat();
        if let Ok(Some((_, length))) = parse(&input) {
            prop_assert!(length <= input.len());
        }
        input.resize(MAX_HEADER, 0);
        prop_assert_ne!(parse(&input), Ok(None));
    }
}

#[tokio::test]
async fn bytes_after_the_header_stay_to_be_read() {
    let (mut client, mut server) = connected().await;
    client
        .write_all(b"PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\nGET / HTTP/1.1")
        .await
        .unwrap();
    let header = read(&mut server, Duration::from_secs(30)).await.unwrap();
    assert_eq!(header, proxied("192.0.2.1:8080", "192.0.2.2:80"));
    let mut rest = [0; 14];
    server.read_exact(&mut rest).await.unwrap();
    assert_eq!(&rest, b"GET / HTTP/1.1");
}

#[tokio::test]
async fn a_header_that_never_ends_times_out_or_ends_with_the_connection() {
    let (mut client, mut server) = connected().await;
    client.write_all(b"PROXY TCP4 ").await.unwrap();
    assert!(matches!(
        read(&mut server, Duration::ZERO).await,
        Err(ReadError::TimedOut)
    ));

    let (client, mut server) = connected().await;
    drop(client);
    assert!(matches!(
        read(&mut server, Duration::from_secs(30)).await,
        Err(ReadError::Closed)
    ));
}
