use super::*;

fn all(kind: Option<&str>, pieces: &[&[u8]]) -> Vec<Event> {
    let mut events = Events::of(kind.map(str::as_bytes)).expect("a stream");
    let mut found = Vec::new();
    for piece in pieces {
        found.extend(events.push(piece).expect("events"));
    }
    found.extend(events.finish());
    found
}

/// Split at every place, a stream has the same events.
fn check(kind: Option<&str>, stream: &[u8], expected: &[(Option<&str>, &str)]) {
    let expected: Vec<Event> = expected
        .iter()
        .map(|(name, data)| Event {
            name: name.map(str::to_owned),
            data: (*data).to_owned(),
        })
        .collect();
    for at in 0..=stream.len() {
        let (one, other) = stream.split_at(at);
        assert_eq!(all(kind, &[one, other]), expected, "split at {at}");
    }
    let bytes: Vec<&[u8]> = stream.chunks(1).collect();
    assert_eq!(all(kind, &bytes), expected);
}

#[test]
fn server_sent_events_end_with_an_empty_line_or_the_stream() {
    check(
        Some("text/event-stream"),
        b": hello\n\nevent: a\ndata: 1\nid: 7\n\r\ndata:2\r\ndata: 3\r\n\r\n\n\nretry\ndata: [DONE]",
        &[(Some("a"), "1"), (None, "2\n3"), (None, "[DONE]")],
    );
}

#[test]
fn json_comes_line_by_line() {
    let events = [(None, "{\"a\":1}"), (None, "{\"b\":\"\u{e9}\"}")];
    let stream = " {\"a\":1}\n\n{\"b\":\"\u{e9}\"}\r\n".as_bytes();
    check(Some("application/x-ndjson"), stream, &events);
    check(None, stream, &events);
}

#[test]
fn the_elements_of_an_array_are_events() {
    check(
        Some("application/json; charset=UTF-8"),
        b"[{\"a\": [1, {\"b\": \"]},\\\"\"}]}\n,\r\n {\"c\": 2}]\n",
        &[
            (None, "{\"a\": [1, {\"b\": \"]},\\\"\"}]}"),
            (None, "{\"c\": 2}"),
            (None, "[DONE]"),
        ],
    );
    check(Some("application/json"), b"[]", &[(None, "[DONE]")]);
}

fn message(kind: &str, payload: &str) -> Vec<u8> {
    let mut headers = vec![3, b':', b'x', b'y', 0];
    headers.push(11);
    headers.extend_from_slice(b":event-type");
    headers.push(7);
    headers.extend_from_slice(&(u16::try_from(kind.len()).expect("short")).to_be_bytes());
    headers.extend_from_slice(kind.as_bytes());
    let length = |length: usize| u32::try_from(length).expect("short").to_be_bytes();
    let mut message = Vec::new();
    message.extend_from_slice(&length(16 + headers.len() + payload.len()));
    message.extend_from_slice(&length(headers.len()));
    message.extend_from_slice(&[0; 4]);
    message.extend_from_slice(&headers);
    message.extend_from_slice(payload.as_bytes());
    let mut crc = flate2::Crc::new();
    crc.update(&message);
    message.extend_from_slice(&crc.sum().to_be_bytes());
    message
}

#[test]
fn messages_of_amazon_are_events() {
    let stream = [
        message("messageStart", "{}"),
        message("metadata", "{\"a\":1}"),
    ]
    .concat();
    check(
        Some("application/vnd.amazon.eventstream"),
        &stream,
        &[
            (Some("messageStart"), "{}"),
            (Some("metadata"), "{\"a\":1}"),
        ],
    );
}

#[test]
fn what_cannot_be_taken_apart_is_refused() {
    assert!(Events::of(Some(b"text/html")).is_none());
    let amazon = || Events::of(Some(b"application/vnd.amazon.eventstream")).expect("a stream");
    assert_eq!(amazon().push(&[0xff; 12]), Err(Error::TooLong));
    assert_eq!(amazon().push(&[0; 12]), Err(Error::Damaged));
    let mut damaged = message("a", "b");
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    assert_eq!(amazon().push(&damaged), Err(Error::Damaged));
    let mut lines = Events::of(None).expect("a stream");
    assert_eq!(lines.push(&vec![b' '; MOST + 1]), Err(Error::TooLong));
    let mut lines = Events::of(None).expect("a stream");
    let piece = [b"data: ", &vec![b'x'; MOST / 2 - 8][..], b"\n"].concat();
    assert!(lines.push(&piece).is_ok());
    assert!(lines.push(&piece).is_ok_and(|events| events.is_empty()));
    assert_eq!(lines.push(&piece), Err(Error::TooLong));
}
