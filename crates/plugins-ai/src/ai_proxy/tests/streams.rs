use super::*;

/// The stream that the client gets of pieces.
fn streamed(handler: &dyn Handler, sample: &mut Sample, kind: &str, pieces: &[&[u8]]) -> String {
    let mut head = answer_head(200);
    head.headers.set("Content-Type", kind).expect("a header");
    let mut exchange = sample.exchange();
    handler
        .header_filter(&mut exchange, &mut head)
        .expect("no failure");
    assert_eq!(
        head.headers.get("content-type"),
        Some(&b"text/event-stream"[..])
    );
    assert_eq!(
        head.headers
            .get_str("X-Kong-LLM-Model")
            .map(|named| named.contains('/')),
        Some(true)
    );
    let mut all = Vec::new();
    for piece in pieces {
        let mut piece = Bytes::copy_from_slice(piece);
        handler
            .body_filter(&mut exchange, &mut piece, false)
            .expect("no failure");
        all.extend_from_slice(&piece);
    }
    let mut last = Bytes::new();
    handler
        .body_filter(&mut exchange, &mut last, true)
        .expect("no failure");
    all.extend_from_slice(&last);
    String::from_utf8(all).expect("text")
}

#[test]
fn a_stream_ends_as_in_kong() {
    let config = config(
        "openai",
        &json!({}),
        &json!({ "response_streaming": "always" }),
    );
    let handler = made(&config);
    let mut sample = sample("/", &[], &hello().to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    let body: Value = serde_json::from_slice(sample.exchange().body()).expect("JSON");
    assert_eq!(body["stream"], true);
    let got = streamed(
        &*handler,
        &mut sample,
        "text/event-stream",
        &[
            b"data: {\"a\"",
            b":1}\r\n\r\n: a comment\n\ndata: {\"b\":2}\n\nda",
            b"ta: [DONE]\n\n",
        ],
    );
    assert_eq!(got, "data: {\"a\":1}\n\ndata: {\"b\":2}\n\ndata: [DONE]");
}

#[test]
fn streams_of_other_providers_become_chunks() {
    let mut asked = hello();
    asked["stream"] = json!(true);
    let anthropic: &[u8] = b"event: message_start\ndata: {\"message\":{\"id\":\"i\",\"role\":\"assistant\",\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n\
        event: ping\ndata: {}\n\n\
        event: content_block_delta\ndata: {\"delta\":{\"text\":\"hi\"}}\n\n\
        event: message_delta\ndata: {\"usage\":{\"output_tokens\":7},\"delta\":{}}\n\n\
        event: message_stop\ndata: {}\n\n";
    let logging = json!({ "logging": { "log_statistics": true, "log_payloads": true } });
    let handler = made(&config("anthropic", &json!({}), &logging));
    let mut sample = sample("/", &[], &asked.to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    let got = streamed(
        &*handler,
        &mut sample,
        "text/event-stream; charset=utf-8",
        &[anthropic],
    );
    let events: Vec<&str> = got.split("\n\n").collect();
    assert_eq!(events.len(), 3, "{got}");
    let second: Value = serde_json::from_str(&events[1]["data: ".len()..]).expect("JSON");
    assert_eq!(second["choices"][0]["delta"]["content"], "hi");
    assert_eq!(
        (&second["id"], &second["model"]),
        (&json!("i"), &json!("m-1"))
    );
    assert_eq!(events[2], "data: [DONE]");
    let entry = logged(&*handler, &mut sample);
    let usage = &entry["ai"]["proxy"]["usage"];
    assert_eq!(
        (&usage["prompt_tokens"], &usage["completion_tokens"]),
        (&json!(5), &json!(7))
    );
    let payload = entry["ai"]["proxy"]["payload"]["response"]
        .as_str()
        .expect("a payload");
    assert!(payload.contains("\"response\":\"hi\""), "{payload}");
}

#[test]
fn a_stream_that_is_none_ends_with_an_error() {
    let mut asked = hello();
    asked["stream"] = json!(true);
    let error = r#"data: {"error":true,"message":"empty or unsupported transformer response"}"#;
    for (kind, pieces, expected) in [
        ("text/html", [&b"<html>"[..], b"</html>"], error),
        ("text/event-stream", [b"nonsense", b"\n\n\n"], ""),
    ] {
        let handler = made(&config("openai", &json!({}), &json!({})));
        let mut sample = sample("/", &[], &asked.to_string());
        outcome(&*handler, &mut sample).expect("it is let through");
        assert_eq!(streamed(&*handler, &mut sample, kind, &pieces), expected);
    }
    let handler = made(&config("openai", &json!({}), &json!({})));
    let mut sample = sample("/", &[], &asked.to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    let long = vec![b'x'; 2 << 20];
    let got = streamed(
        &*handler,
        &mut sample,
        "text/event-stream",
        &[&long, b"data: {}\n\n"],
    );
    assert_eq!(
        got,
        r#"data: {"error":true,"message":"an event is too long"}"#
    );
}

#[test]
fn streams_can_be_forbidden() {
    let config = config(
        "openai",
        &json!({}),
        &json!({ "response_streaming": "deny" }),
    );
    let mut asked = hello();
    asked["stream"] = json!(true);
    assert_eq!(
        refused(&config, &asked),
        "response streaming is not enabled for this LLM"
    );
    let raw = json!({ "options": { "llama2_format": "raw", "upstream_url": "http://x" } });
    for config in [
        self::config("llama2", &raw, &json!({})),
        self::config("llama2", &raw, &json!({ "response_streaming": "always" })),
    ] {
        assert_eq!(
            refused(&config, &asked),
            "response streaming is not enabled for this LLM"
        );
    }
    asked["stream"] = json!(null);
    let mut sample = sample("/", &[], &asked.to_string());
    assert_eq!(sent(&config, &mut sample)["stream"], false);
}

#[test]
fn an_answer_of_the_gateway_is_left_alone() {
    let handler = made(&config(
        "openai",
        &json!({}),
        &json!({ "response_streaming": "always" }),
    ));
    let mut sample = sample("/", &[], &hello().to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    sample.from_upstream = false;
    let mut head = answer_head(200);
    handler
        .header_filter(&mut sample.exchange(), &mut head)
        .expect("no failure");
    assert_eq!(head.headers.get("content-type"), None);
    let mut piece = Bytes::from_static(b"x");
    handler
        .body_filter(&mut sample.exchange(), &mut piece, true)
        .expect("no failure");
    assert_eq!(&piece[..], b"x");
}

#[test]
fn a_packed_stream_is_unpacked_on_its_way() {
    let mut asked = hello();
    asked["stream"] = json!(true);
    let handler = made(&config("openai", &json!({}), &json!({})));
    for (stream, expected) in [
        (
            &b"data: {\"a\":1}\n\ndata: [DONE]\n\n"[..],
            "data: {\"a\":1}\n\ndata: [DONE]",
        ),
        (
            &[b'x'; 4 << 20],
            r#"data: {"error":true,"message":"an event is too long"}"#,
        ),
    ] {
        let mut sample = sample("/", &[], &asked.to_string());
        outcome(&*handler, &mut sample).expect("it is let through");
        let mut head = answer_head(200);
        head.headers
            .set("Content-Encoding", "gzip")
            .expect("a header");
        let mut exchange = sample.exchange();
        handler
            .header_filter(&mut exchange, &mut head)
            .expect("no failure");
        assert_eq!(head.headers.get("content-encoding"), None);
        let packed = crate::coding::pack(stream).expect("packed");
        let mut all = Vec::new();
        for piece in packed.chunks(7).chain([&b""[..]]) {
            let mut out = Bytes::copy_from_slice(piece);
            handler
                .body_filter(&mut exchange, &mut out, piece.is_empty())
                .expect("no failure");
            all.extend_from_slice(&out);
        }
        assert_eq!(String::from_utf8(all).expect("text"), expected);
    }
}
