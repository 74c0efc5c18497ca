//! What the client gets of the upstream's answer.

use proxy::DataPlaneSettings;
use proxy::settings::ResponseHeaders;
use serde_json::json;

use crate::support::{Gateway, Upstream, body, header, service_and_route, status};

const GET: &str = "GET /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";

fn answered(upstream: Upstream, request: &str) -> String {
    Gateway::to(&upstream).exchange(request)
}

#[test]
fn reason_order_and_duplicates_pass_through_and_ours_are_added() {
    let answer = answered(
        Upstream::answering(
            "HTTP/1.1 299 Fine By Me\r\nX-B: 1\r\nx-a: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nServer: up \r\nContent-Length: 2\r\n\r\nok",
        ),
        GET,
    );
    assert!(
        answer.starts_with(
            "HTTP/1.1 299 Fine By Me\r\nX-B: 1\r\nx-a: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n"
        ),
        "{answer}"
    );
    assert_eq!(
        (
            header(&answer, "Server").map(str::trim_end),
            header(&answer, "Connection"),
            body(&answer)
        ),
        (Some("up"), Some("close"), "ok")
    );
    for name in [
        "Via",
        "Date",
        "X-Kong-Proxy-Latency",
        "X-Kong-Upstream-Latency",
        "X-Kong-Request-Id",
    ] {
        assert!(header(&answer, name).is_some(), "{name}: {answer}");
    }
    assert_eq!(
        (
            header(&answer, "X-Kong-Response-Latency"),
            header(&answer, "X-Kong-Upstream-Status")
        ),
        (None, None)
    );
}

#[test]
fn our_headers_follow_the_setting() {
    let upstream = Upstream::answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let headers = ResponseHeaders {
        upstream_status: true,
        ..ResponseHeaders::OFF
    };
    let gateway = Gateway::with(
        service_and_route(upstream.address, json!({}), json!({})),
        DataPlaneSettings {
            headers,
            ..DataPlaneSettings::default()
        },
        |_| {},
    );
    let answer = gateway.exchange(GET);
    assert_eq!(header(&answer, "X-Kong-Upstream-Status"), Some("200"));
    for name in [
        "Via",
        "Server",
        "X-Kong-Proxy-Latency",
        "X-Kong-Upstream-Latency",
        "X-Kong-Request-Id",
    ] {
        assert_eq!(header(&answer, name), None, "{name}");
    }
}

#[test]
fn chunks_are_made_anew_for_1_1_and_taken_away_for_1_0() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 1\r\n\r\n";
    let answer = answered(Upstream::answering(chunked), GET);
    assert_eq!(
        (header(&answer, "Transfer-Encoding"), body(&answer)),
        (Some("chunked"), "5\r\nabcde\r\n0\r\nX-Sum: 1\r\n\r\n")
    );
    let answer = answered(
        Upstream::answering(chunked),
        "GET /x HTTP/1.0\r\nHost: h\r\n\r\n",
    );
    assert_eq!(
        (
            header(&answer, "Transfer-Encoding"),
            header(&answer, "Connection"),
            body(&answer)
        ),
        (None, Some("close"), "abcde")
    );
}

#[test]
fn an_answer_that_ends_with_its_connection_gets_a_framing() {
    let answer = answered(
        Upstream::closing("HTTP/1.1 200 OK\r\n\r\nuntil the end"),
        GET,
    );
    assert_eq!(
        (header(&answer, "Transfer-Encoding"), body(&answer)),
        (Some("chunked"), "d\r\nuntil the end\r\n0\r\n\r\n")
    );
}

#[test]
fn answers_without_a_body_have_none() {
    for (request, upstream, length) in [
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n",
            Some("100"),
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n",
            Some("100"),
        ),
    ] {
        let answer = answered(
            Upstream::answering(upstream),
            &format!("{request} /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"),
        );
        assert_eq!(
            (header(&answer, "Content-Length"), body(&answer)),
            (length, ""),
            "{answer}"
        );
    }
}

#[test]
fn interim_answers_pass_but_for_100() {
    let answer = answered(
        Upstream::answering(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        ),
        GET,
    );
    assert!(
        answer.starts_with("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"),
        "{answer}"
    );
}

#[test]
fn an_answer_that_cannot_be_understood_is_a_502() {
    for (name, upstream) in [
        (
            "length and chunked",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (
            "two lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        ),
        (
            "no number",
            "HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nok",
        ),
        (
            "a blank before the colon",
            "HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length: 2\r\n\r\nok",
        ),
        (
            "a folded line",
            "HTTP/1.1 200 OK\r\nX-A: 1\r\n 2\r\nContent-Length: 2\r\n\r\nok",
        ),
        ("no HTTP", "SSH-2.0-OpenSSH\r\n\r\n"),
        (
            "a protocol change that nobody asked for",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        ),
    ] {
        let answer = answered(Upstream::closing(upstream), GET);
        assert_eq!(status(&answer), 502, "{name}: {answer}");
        assert!(
            answer.contains("An invalid response was received from the upstream server"),
            "{name}"
        );
        assert!(
            header(&answer, "X-Kong-Upstream-Latency").is_some(),
            "{name}"
        );
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_passed_as_whole() {
    let answer = answered(
        Upstream::closing("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
        GET,
    );
    assert_eq!(
        (header(&answer, "Content-Length"), body(&answer)),
        (Some("100"), "short")
    );
    let answer = answered(
        Upstream::closing("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"),
        GET,
    );
    assert!(!answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[test]
fn a_large_answer_arrives_whole_with_and_without_buffering() {
    let large = "0123456789abcdef".repeat(200_000);
    for route in [json!({}), json!({"response_buffering": false})] {
        let upstream = Upstream::answering(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}",
            large.len()
        ));
        let gateway = Gateway::serving(service_and_route(upstream.address, json!({}), route));
        assert!(body(&gateway.exchange(GET)) == large);
    }
}

#[test]
fn text_gets_a_charset_unless_it_has_one() {
    for (sent, expected) in [
        ("text/plain", "text/plain; charset=UTF-8"),
        ("text/html; charset=x", "text/html; charset=x"),
        ("application/json", "application/json"),
    ] {
        let answer = answered(
            Upstream::answering(format!(
                "HTTP/1.1 200 OK\r\nContent-Type: {sent}\r\nContent-Length: 0\r\n\r\n"
            )),
            GET,
        );
        assert_eq!(header(&answer, "Content-Type"), Some(expected));
    }
}

#[test]
fn headers_that_speak_to_nginx_stay_here() {
    let answer = answered(
        Upstream::answering(
            "HTTP/1.1 200 OK\r\nX-Accel-Redirect: /etc\r\nX-Pad: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n",
        ),
        GET,
    );
    for name in ["X-Accel-Redirect", "X-Pad", "X-Hop"] {
        assert_eq!(header(&answer, name), None, "{name}");
    }
}

#[test]
fn of_what_has_one_value_the_first_line_counts() {
    let upstream = "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nServer: a\r\nETag: \"b\"\r\nLast-Modified: a\r\nLast-Modified: b\r\n\
                    Server: b\r\nLink: a\r\nLink: b\r\nContent-Length: 2\r\n\r\nok";
    let answer = answered(Upstream::closing(upstream), GET);
    let lines = |name: &str| {
        answer
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (lines("ETag"), lines("Server"), lines("Last-Modified")),
        (vec!["\"a\""], vec!["a"], vec!["a"])
    );
    assert_eq!(lines("Link"), ["a", "b"]);
}
