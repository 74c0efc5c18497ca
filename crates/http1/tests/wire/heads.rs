//! Editing heads.

use bytes::BytesMut;
use http1::{
    BODY_BUFFER, BufferPool, Connection, Error, Framing, HEAD_BUFFER, Headers, Known, Limits,
    Method, Name, OwnLines, RequestHead, ResponseParser,
};

use crate::support::request;

fn written(head: &RequestHead) -> String {
    let mut out = BytesMut::new();
    head.write(b"/", head.framing(), Connection::Unsaid, &mut out)
        .unwrap();
    String::from_utf8_lossy(&out).into_owned()
}

fn head() -> RequestHead {
    request(b"GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nCookie: a\r\nx-a:  2 \r\nCookie: b\r\nX-C: 3\r\n\r\n").unwrap().0
}

#[test]
fn every_known_name_is_recognised_in_every_case() {
    for known in Known::ALL {
        assert_eq!(
            Known::of(known.name().as_bytes()),
            *known,
            "for {}",
            known.name()
        );
        assert_eq!(
            Known::of(known.name().to_ascii_uppercase().as_bytes()),
            *known
        );
        assert_eq!(known.name().to_ascii_lowercase().as_str().known(), *known);
        for other in [
            format!("{}x", known.name()),
            known.name()[1..].to_owned(),
            known.name().replace(['o', 'e', 'r', 'i'], "*"),
        ] {
            if other != known.name() {
                assert_eq!(Known::of(other.as_bytes()), Known::Other, "for {other}");
            }
        }
    }
}

#[test]
fn reads_first_and_all_values_in_any_case() {
    let head = head();
    assert_eq!(head.headers.get("X-a"), Some(&b"1"[..]));
    assert_eq!(head.headers.get_str(Known::Cookie), Some("a"));
    assert_eq!(
        head.headers.get_all("x-A").collect::<Vec<_>>(),
        [b"1", b"2"]
    );
    assert_eq!(
        head.headers.get_all(&Known::Cookie).collect::<Vec<_>>(),
        [b"a", b"b"]
    );
    assert_eq!(head.headers.get(Known::Via), None);
    assert!(!head.headers.contains("x-b"));
    assert_eq!(head.headers.len(), 6);
}

#[test]
fn set_replaces_the_first_line_in_its_place_and_drops_the_others() {
    let mut head = head();
    head.headers.set("X-A", "new").unwrap();
    head.headers.set(Known::Cookie, "c").unwrap();
    head.headers.set("X-New", "4").unwrap();
    assert_eq!(
        written(&head),
        "GET / HTTP/1.1\r\nHost: h\r\nX-A: new\r\nCookie: c\r\nX-C: 3\r\nX-New: 4\r\n\r\n"
    );
    assert_eq!(head.headers.get_all(&Known::Cookie).count(), 1);
}

#[test]
fn append_and_remove() {
    let mut head = head();
    head.headers.append(Known::Cookie, "c").unwrap();
    head.headers.remove("x-a");
    assert_eq!(
        written(&head),
        "GET / HTTP/1.1\r\nHost: h\r\nCookie: a\r\nCookie: b\r\nX-C: 3\r\nCookie: c\r\n\r\n"
    );
    head.headers.remove(Known::Cookie);
    assert_eq!(head.headers.get(Known::Cookie), None);
    head.headers.append(Known::Cookie, "d").unwrap();
    assert_eq!(
        head.headers.get_all(&Known::Cookie).collect::<Vec<_>>(),
        [b"d"]
    );
    assert_eq!(
        written(&head),
        "GET / HTTP/1.1\r\nHost: h\r\nX-C: 3\r\nCookie: d\r\n\r\n"
    );
}

#[test]
fn retain_forgets_the_lines_that_it_drops() {
    let mut head = head();
    head.headers
        .retain(|field| field.value != b"a" && field.value != b"1");
    assert_eq!(head.headers.get(Known::Cookie), Some(&b"b"[..]));
    assert_eq!(head.headers.get("x-a"), Some(&b"2"[..]));
    head.headers.retain(|field| field.known != Known::Cookie);
    assert_eq!(head.headers.get(Known::Cookie), None);
}

#[test]
fn refuses_names_and_values_that_would_break_the_head() {
    let mut headers = Headers::new();
    for name in ["", "X A", "X:", "X\r\nY", "é"] {
        assert_eq!(
            headers.append(name, "1"),
            Err(Error::InvalidName),
            "for {name:?}"
        );
    }
    for value in ["a\r\nX: 1", "a\nb", "\u{0}", "\u{7f}"] {
        assert_eq!(
            headers.append("X", value),
            Err(Error::InvalidValue),
            "for {value:?}"
        );
        assert_eq!(headers.set(Known::Host, value), Err(Error::InvalidValue));
    }
    assert_eq!(headers.append(Known::Other, "1"), Err(Error::InvalidName));
    assert!(headers.is_empty());
}

#[test]
fn refuses_to_write_a_target_or_protocol_that_would_break_the_head() {
    let head = head();
    let mut out = BytesMut::new();
    for target in ["", "/ HTTP/1.1\r\nX: 1", "/a b"] {
        assert_eq!(
            head.write(
                target.as_bytes(),
                Framing::None,
                Connection::Unsaid,
                &mut out
            ),
            Err(Error::Target)
        );
    }
    let upgrade = Connection::Upgrade(b"a\r\nX: 1");
    assert_eq!(
        head.write(b"/", Framing::None, upgrade, &mut out),
        Err(Error::InvalidValue)
    );
}

#[test]
fn framing_headers_are_made_anew() {
    let (head, _) = request(b"POST / HTTP/1.1\r\nContent-Length: 5\r\nHost: h\r\nConnection: keep-alive, upgrade\r\nUpgrade: x\r\n\r\n").unwrap();
    let mut out = BytesMut::new();
    head.write(
        b"/",
        Framing::Chunked,
        Connection::KeepAliveUpgrade(b"websocket"),
        &mut out,
    )
    .unwrap();
    assert_eq!(
        &out[..],
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
}

#[test]
fn a_head_can_be_made() {
    let mut head = RequestHead::new(Method::Post, b"/a?b", Framing::Length(1)).unwrap();
    head.headers.append(Known::Host, "h").unwrap();
    assert_eq!(
        (head.path(), head.query(), head.host()),
        (&b"/a"[..], Some(&b"b"[..]), Some(&b"h"[..]))
    );
    let head = RequestHead::new(Method::Get, b"http://h:1", Framing::None).unwrap();
    assert_eq!((head.path(), head.host()), (&b"/"[..], Some(&b"h:1"[..])));
    assert_eq!(
        RequestHead::new(Method::Get, b"a", Framing::None).err(),
        Some(Error::Target)
    );
    assert_eq!(
        RequestHead::new(Method::Get, b"", Framing::None).err(),
        Some(Error::Target)
    );
}

#[test]
fn a_debug_print_shows_no_values() {
    let (head, _) =
        request(b"GET /?key=s3cret HTTP/1.1\r\nHost: h\r\nAuthorization: s3cret\r\n\r\n").unwrap();
    let print = format!("{head:?}");
    assert!(
        print.contains("Authorization") && !print.contains("s3cret"),
        "{print}"
    );
}

#[test]
fn a_head_that_was_detached_leaves_the_buffer_it_was_read_into() {
    let pool = BufferPool::new(1);
    for detaches in [true, false] {
        let mut buffer = pool.take_head();
        let start = buffer.as_ptr();
        buffer.extend_from_slice(b"HTTP/1.1 200 OK\r\nServer: mock\r\nContent-Length: 0\r\n\r\n");
        let mut parser = ResponseParser::new(Limits::for_upstream());
        let mut head = parser.parse(&mut buffer, &pool).unwrap().unwrap();
        if detaches {
            head.detach();
        }
        pool.give(buffer);
        assert_eq!(pool.take_head().as_ptr() == start, detaches);
        assert_eq!(head.headers.get_str(Known::Server), Some("mock"));
    }
}

#[test]
fn the_pool_takes_back_whole_buffers_only() {
    let pool = BufferPool::new(1);
    let mut buffer = pool.take_head();
    assert_eq!(buffer.capacity(), HEAD_BUFFER);
    buffer.extend_from_slice(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let start = buffer.as_ptr();
    let alive = buffer.split_to(10);
    pool.give(buffer);
    assert_ne!(
        pool.take_head().as_ptr(),
        start,
        "a part of it was still in use"
    );
    drop(alive);

    for (mut buffer, size) in [
        (pool.take_head(), HEAD_BUFFER),
        (pool.take_body(), BODY_BUFFER),
    ] {
        let start = buffer.as_ptr();
        for used in [50, size - 100] {
            buffer.extend_from_slice(&vec![b'x'; used + 50]);
            drop(buffer.split_to(used).freeze());
            pool.give(buffer);
            buffer = if size == HEAD_BUFFER {
                pool.take_head()
            } else {
                pool.take_body()
            };
            let state = (buffer.as_ptr(), buffer.len(), buffer.capacity());
            assert_eq!(state, (start, 0, size));
        }
    }
}

#[test]
fn own_lines_stand_in_for_received_ones() {
    let mut prepared = OwnLines::new();
    prepared.add(Known::Via, b"1.1 us").unwrap();
    let mut own = OwnLines::new();
    own.add_joined(Known::Host, &[b"inner", b":81"]).unwrap();
    own.add_all(&prepared);
    own.leave_out(Known::XForwardedPrefix);
    own.add_number(Known::XKongProxyLatency, 7).unwrap();
    own.add_number(Known::XKongUpstreamLatency, 10).unwrap();
    own.add_number(Known::XKongResponseLatency, u64::MAX)
        .unwrap();
    let head = request(
        b"GET / HTTP/1.1\r\nHost: outer\r\nVia: a\r\nX-A: 1\r\nvia: b\r\nX-Forwarded-Prefix: /p\r\n\r\n",
    );
    let mut head = head.unwrap().0;
    let mut out = BytesMut::new();
    head.write_with(&own, b"/", Framing::None, Connection::Unsaid, &mut out)
        .unwrap();
    assert_eq!(
        &out[..],
        b"GET / HTTP/1.1\r\nHost: inner:81\r\nVia: 1.1 us\r\nX-Kong-Proxy-Latency: 7\r\n\
          X-Kong-Upstream-Latency: 10\r\nX-Kong-Response-Latency: 18446744073709551615\r\nX-A: 1\r\n\r\n"
    );
    own.apply(&mut head.headers).unwrap();
    let edited: Vec<_> = head
        .headers
        .iter()
        .map(|field| (field.name, field.value))
        .collect();
    let expected: [(&[u8], &[u8]); 6] = [
        (b"X-A", b"1"),
        (b"Host", b"inner:81"),
        (b"Via", b"1.1 us"),
        (b"X-Kong-Proxy-Latency", b"7"),
        (b"X-Kong-Upstream-Latency", b"10"),
        (b"X-Kong-Response-Latency", b"18446744073709551615"),
    ];
    assert_eq!(edited, expected);
    assert_eq!(head.headers.get(Known::Host), Some(&b"inner:81"[..]));
    assert!(!head.headers.contains(Known::XForwardedPrefix));
    assert!(!head.headers.is_repeated(Known::Via));
}

#[test]
fn names_that_cannot_be_there_are_told_without_a_search() {
    let mut head = request(b"GET / HTTP/1.1\r\nHost: a\r\nVia: b\r\n\r\n")
        .unwrap()
        .0;
    let headers = &mut head.headers;
    assert!(headers.may_contain(&[Known::Cookie, Known::Via]));
    assert!(!headers.may_contain(&[Known::Cookie, Known::Other]));
    assert!(!headers.contains("x-a"));
    headers.remove(Known::Via);
    assert!(!headers.may_contain(&[Known::Via]));
    headers.append("X-A", "1").unwrap();
    assert!(headers.may_contain(&[Known::Other]) && headers.contains("x-a"));
    headers.set(Known::Via, "c").unwrap();
    assert!(headers.may_contain(&[Known::Via]));
}

#[test]
fn own_lines_take_no_value_that_could_end_a_line() {
    let mut own = OwnLines::new();
    for value in [&b"a\r\nX: 1"[..], b"a\nb", b"\0"] {
        assert_eq!(own.add(Known::Via, value), Err(Error::InvalidValue));
        assert_eq!(
            own.add_joined(Known::Via, &[b"a", value]),
            Err(Error::InvalidValue)
        );
    }
    assert_eq!(own.add(Known::Other, b"a"), Err(Error::InvalidName));
    assert_eq!(own, OwnLines::new());
}

#[test]
fn own_lines_that_are_applied_take_the_place_of_all_that_have_their_names() {
    for [own_written, more_written] in [[false, false], [false, true], [true, false]] {
        let mut own = lines(own_written);
        own.add(Known::XConsumerId, b"1").unwrap();
        own.add(Known::Cookie, b"").unwrap();
        own.leave_out(Known::XAnonymousConsumer);
        let mut more = lines(more_written);
        more.add_number(Known::XRealIp, 42).unwrap();
        more.add_all(&own);
        check_applied(&more);
    }
}

fn lines(only_written: bool) -> OwnLines {
    let mut own = OwnLines::new();
    if only_written {
        own.clear_for_writing();
    }
    own
}

fn check_applied(own: &OwnLines) {
    let mut head = head();
    head.headers.set(Known::XConsumerId, "mallory").unwrap();
    head.headers.append("x-anonymous-consumer", "true").unwrap();
    head.headers.append("X-anonymous-Consumer", "yes").unwrap();
    for _ in 0..2 {
        own.apply(&mut head.headers).unwrap();
        assert_eq!(
            written(&head),
            "GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nX-C: 3\r\n\
             X-Real-IP: 42\r\nX-Consumer-ID: 1\r\nCookie: \r\n\r\n"
        );
    }
    assert_eq!(head.headers.get("x-consumer-id"), Some(&b"1"[..]));
    assert_eq!(head.headers.get(Known::XRealIp), Some(&b"42"[..]));
    assert_eq!(head.headers.get(Known::Cookie), Some(&b""[..]));
    assert!(!head.headers.contains(Known::XAnonymousConsumer));
    head.headers.set(Known::XConsumerId, "2").unwrap();
    head.headers.remove(Known::Cookie);
    assert!(written(&head).ends_with("X-Real-IP: 42\r\nX-Consumer-ID: 2\r\n\r\n"));
}

#[test]
fn own_lines_are_refused_when_there_is_no_room() {
    let mut own = OwnLines::new();
    own.add(Known::XConsumerId, b"1").unwrap();
    let mut headers = Headers::new();
    while headers.append("a", "").is_ok() {}
    assert_eq!(own.apply(&mut headers), Err(Error::TooManyHeaders));
}
