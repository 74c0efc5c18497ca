use std::sync::Arc;
use std::time::Duration;

use plugin_api::testing::{Outside, Sample, build, header, says};
use plugin_api::{Body, Failure, Flow, HttpResponse, NetworkError, Reply};
use serde_json::{Value, json};

use super::answer::Reading;
use super::handler;

fn config(more: Value) -> Value {
    let mut config = json!({
        "timeout": 60_000, "keepalive": 60_000, "aws_key": "K", "aws_secret": "S",
        "aws_role_session_name": "kong", "aws_region": "eu-west-1", "function_name": "f",
        "invocation_type": "RequestResponse", "log_type": "Tail", "port": 443, "disable_https": false,
        "forward_request_method": false, "forward_request_uri": false, "forward_request_headers": false,
        "forward_request_body": false, "is_proxy_integration": false, "awsgateway_compatible": false,
        "skip_large_bodies": true, "base64_encode_body": true, "aws_imds_protocol_version": "v1",
        "empty_arrays_mode": "legacy",
    });
    for (name, value) in more.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

async fn outcome(
    outside: &Arc<Outside>,
    more: Value,
    sample: &mut Sample,
) -> Result<Reply, Failure> {
    let handler = build(handler::build, &config(more), &outside.services())?;
    match handler.access(&mut sample.exchange()).outcome().await? {
        Flow::Answer(reply) => Ok(*reply),
        Flow::Next => panic!("no answer"),
    }
}

/// What a function is told of a request.
async fn told(more: Value, sample: &mut Sample) -> Value {
    let outside = Outside::new(|_| says(200, &[], ""));
    outcome(&outside, more, sample).await.expect("an answer");
    let asked = outside.take_asked().remove(0);
    serde_json::from_slice(&asked.body).expect("JSON")
}

fn with_body(method: &str, target: &str, headers: &[(&str, &str)], body: &'static str) -> Sample {
    let mut sample = Sample::new(method, target, headers);
    sample.work.body = Some(body.into());
    sample.work.body_length = body.len() as u64;
    sample
}

#[tokio::test]
async fn the_call_says_which_function_and_how() {
    let outside = Outside::new(|_| says(202, &[], ""));
    let more = json!({
        "function_name": "arn:aws:lambda:eu-west-1:1:function:f", "qualifier": "$LATEST",
        "invocation_type": "Event", "log_type": "None",
    });
    let mut sample = Sample::new("GET", "/", &[]);
    let reply = outcome(&outside, more, &mut sample)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 202);
    assert_eq!(sample.work.waited, Some(Duration::ZERO));
    let asked = outside.take_asked().remove(0);
    assert_eq!(
        (&*asked.method, &*asked.url),
        (
            "POST",
            "https://lambda.eu-west-1.amazonaws.com/2015-03-31/functions/\
             arn%3Aaws%3Alambda%3Aeu-west-1%3A1%3Afunction%3Af/invocations?Qualifier=%24LATEST"
        )
    );
    for (name, value) in [
        ("x-amz-invocation-type", "Event"),
        ("x-amz-log-type", "None"),
        ("host", "lambda.eu-west-1.amazonaws.com"),
        ("x-amz-date", "19700101T000000Z"),
    ] {
        assert_eq!(header(&asked.headers, name), Some(value));
    }
    let authorization = header(&asked.headers, "authorization").expect("a signature");
    assert!(authorization.contains("Credential=K/19700101/eu-west-1/lambda/aws4_request,"));
    assert!(asked.tls.verify);
}

#[tokio::test]
async fn the_server_may_be_another_one_behind_a_proxy() {
    let outside = Outside::new(|_| says(200, &[], ""));
    let mut sample = Sample::new("GET", "/", &[]);
    for (more, url) in [
        (
            json!({ "host": "here.test", "port": 8080, "disable_https": true }),
            "http://here.test:8080/",
        ),
        (
            json!({ "host": "here.test", "disable_https": true }),
            "http://here.test:443/",
        ),
        (
            json!({ "host": "here.test", "port": null }),
            "https://here.test/",
        ),
        (
            json!({ "aws_region": "cn-north-1" }),
            "https://lambda.cn-north-1.amazonaws.com.cn/",
        ),
    ] {
        outcome(&outside, more, &mut sample)
            .await
            .expect("an answer");
        let asked = outside.take_asked().remove(0);
        assert!(asked.url.starts_with(url), "{}", asked.url);
    }
    let more = json!({ "proxy_url": "http://u:p%40@proxy.test:3128" });
    outcome(&outside, more, &mut sample)
        .await
        .expect("an answer");
    let (proxy, _) = outside.take_asked_through().remove(0);
    let proxy = proxy.expect("a proxy");
    assert_eq!((&*proxy.at.host, proxy.at.port), ("proxy.test", 3128));
    assert_eq!(proxy.authorization.as_deref(), Some("Basic dTpwQA=="));
    assert!(!format!("{proxy:?}").contains("Basic"));
}

#[test]
fn what_cannot_be_called_is_refused_by_name() {
    let outside = Outside::new(|_| Err(NetworkError::Timeout));
    for (more, name) in [
        (json!({ "function_name": null }), "function_name"),
        (json!({ "aws_region": null }), "aws_region"),
        (json!({ "timeout": 0 }), "timeout"),
        (json!({ "keepalive": -1 }), "keepalive"),
        (json!({ "unhandled_status": 101 }), "unhandled_status"),
        (json!({ "aws_secret": "" }), "aws_key, aws_secret"),
        (json!({ "proxy_url": "https://proxy.test" }), "proxy_url"),
    ] {
        let refused = build(handler::build, &config(more), &outside.services());
        let text = refused.err().expect("a refusal").to_string();
        assert!(text.starts_with(name), "{text}");
    }
    outside.set_variable("AWS_DEFAULT_REGION", "eu-west-1");
    let more = config(json!({ "aws_region": null }));
    assert!(build(handler::build, &more, &outside.services()).is_ok());
}

#[tokio::test]
async fn without_more_the_function_is_told_the_arguments() {
    for (target, kind, body, event) in [
        ("/?a=1&b&a=2", "", "", json!({ "a": ["1", "2"], "b": true })),
        (
            "/?a=1",
            "application/x-www-form-urlencoded",
            "a=2&c=3",
            json!({ "a": "2", "c": "3" }),
        ),
        (
            "/",
            "application/json; charset=utf-8",
            "[{}, []]",
            json!([{}, []]),
        ),
        (
            "/?a=1",
            "application/json",
            "[7]",
            json!({ "a": "1", "1": 7 }),
        ),
        ("/?a=1", "application/json", "{", json!({ "a": "1" })),
        ("/", "text/plain", "x", json!({})),
        (
            "/",
            "multipart/form-data; boundary=b",
            "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nk1\r\n--b--\r\n",
            json!({ "key": "k1" }),
        ),
    ] {
        let mut sample = with_body("POST", target, &[("Content-Type", kind)], body);
        assert_eq!(told(json!({}), &mut sample).await, event, "{kind} {body}");
    }
}

#[tokio::test]
async fn parts_of_the_request_are_told_if_they_are_wanted() {
    let headers = [
        ("Content-Type", "application/json"),
        ("X-A", "1"),
        ("x-a", "2"),
    ];
    let mut sample = with_body("POST", "/post?a=%20b", &headers, r#"{"k":"v"}"#);
    let all = json!({
        "forward_request_method": true, "forward_request_uri": true,
        "forward_request_headers": true, "forward_request_body": true,
    });
    let expected = json!({
        "request_method": "POST",
        "request_uri": "/post?a=%20b",
        "request_uri_args": { "a": " b" },
        "request_headers": { "content-type": "application/json", "x-a": ["1", "2"] },
        "request_body": r#"{"k":"v"}"#,
        "request_body_args": { "k": "v" },
    });
    assert_eq!(told(all, &mut sample).await, expected);
    let method = json!({ "forward_request_method": true });
    assert_eq!(
        told(method, &mut sample).await,
        json!({ "request_method": "POST" })
    );
}

#[tokio::test]
async fn bodies_that_are_no_arguments_are_told_as_text_or_in_base64() {
    let text = |body: &str| json!({ "request_body": body, "request_body_args": {} });
    let base64 = |body: &str| json!({ "request_body": body, "request_body_base64": true, "request_body_args": {} });
    for (kind, body, encodes, event) in [
        ("text/plain", "some text", true, text("some text")),
        (
            "application/octet-stream",
            "01234",
            true,
            base64("MDEyMzQ="),
        ),
        ("application/octet-stream", "01234", false, text("01234")),
        ("text/plain; charset=utf-8", "a", true, base64("YQ==")),
        ("", "", true, base64("")),
        (
            "application/json",
            "{",
            true,
            json!({ "request_body": "{" }),
        ),
    ] {
        let mut sample = with_body("POST", "/", &[("Content-Type", kind)], body);
        let more = json!({ "forward_request_body": true, "base64_encode_body": encodes });
        assert_eq!(told(more, &mut sample).await, event, "{kind}");
    }
    let mut sample = Sample::new("POST", "/", &[("Content-Type", "text/plain")]);
    sample.work.body = Some(vec![0xff].into());
    let more = json!({ "forward_request_body": true });
    assert_eq!(told(more, &mut sample).await, base64("/w=="));
}

#[tokio::test]
async fn large_bodies_are_skipped_or_held_up_to_a_bound() {
    let mut sample = Sample::new("POST", "/", &[("Content-Type", "application/json")]);
    sample.work.body_length = 1 << 30;
    let more = json!({ "forward_request_body": true });
    assert_eq!(told(more, &mut sample).await, json!({}));
    let outside = Outside::new(|_| says(200, &[], ""));
    let more = json!({ "skip_large_bodies": false });
    let handler = build(handler::build, &config(more.clone()), &outside.services());
    assert_eq!(handler.expect("a handler").needs().held_body, 6 << 20);
    let reply = outcome(&outside, more, &mut sample)
        .await
        .expect("an answer");
    assert_eq!(reply.status, 413);
    assert!(outside.take_asked().is_empty());
}

#[tokio::test]
async fn the_event_of_an_api_gateway_is_whole() {
    let headers = [
        ("Host", "x.test"),
        ("User-Agent", "curl"),
        ("X-M", "1"),
        ("X-M", "2"),
    ];
    let mut sample = with_body("POST", "/in?a=1&a=2&b", &headers, "text");
    sample.target = b"/out?a=1&a=2&b".to_vec();
    let mut event = told(json!({ "awsgateway_compatible": true }), &mut sample).await;
    let time = event["requestContext"]["requestTimeEpoch"].take();
    assert!(time.is_i64(), "{time}");
    event["requestContext"]["requestTime"].take();
    assert_eq!(
        event,
        json!({
            "version": "1.0",
            "resource": "/path",
            "path": "/out",
            "httpMethod": "POST",
            "headers": { "host": "x.test", "user-agent": "curl", "x-m": "1" },
            "multiValueHeaders": { "host": ["x.test"], "user-agent": ["curl"], "x-m": ["1", "2"] },
            "pathParameters": {},
            "queryStringParameters": { "a": "1", "b": true },
            "multiValueQueryStringParameters": { "a": ["1", "2"], "b": [true] },
            "body": "dGV4dA==",
            "isBase64Encoded": true,
            "requestContext": {
                "path": "/out", "resourcePath": "/out", "protocol": "HTTP/1.1", "httpMethod": "POST",
                "domainName": "example.test", "domainPrefix": "example",
                "identity": { "sourceIp": "127.0.0.1", "userAgent": "curl" },
                "requestId": "0123456789abcdef0123456789abcdef",
                "requestTime": null, "requestTimeEpoch": null,
            },
        })
    );
    let mut sample = Sample::new("GET", "/", &[]);
    let plain = json!({ "awsgateway_compatible": true, "base64_encode_body": false });
    let event = told(plain, &mut sample).await;
    assert_eq!(
        (event.get("body"), &event["isBase64Encoded"]),
        (None, &json!(false))
    );
}

#[tokio::test]
async fn what_is_no_answer_of_the_function_is_a_failure() {
    for (said, words) in [
        (Err(NetworkError::Timeout), "timeout"),
        (
            says(429, &[], r#"{"Message":"Rate Exceeded."}"#),
            "429: \"Rate Exceeded.\"",
        ),
        (says(500, &[], "\0"), "500: \"\""),
    ] {
        let outside = Outside::new(move |_| said.clone());
        let mut sample = Sample::new("GET", "/", &[]);
        let failed = outcome(&outside, json!({}), &mut sample).await;
        let text = failed.expect_err("a failure").to_string();
        assert!(text.contains(words), "{text}");
        assert!(sample.work.waited.is_some());
    }
}

#[tokio::test]
async fn without_keys_the_machine_is_asked_for_credentials() {
    let outside = Outside::new(|_| Err(NetworkError::Timeout));
    let none = json!({ "aws_key": null, "aws_secret": null });
    let mut sample = Sample::new("GET", "/", &[]);
    let failed = outcome(&outside, none.clone(), &mut sample).await;
    let text = failed.expect_err("a failure").to_string();
    assert!(text.starts_with("credentials: the instance: "), "{text}");
    outside.take_asked();
    outside.set_variable("AWS_ACCESS_KEY_ID", "V");
    outside.set_variable("AWS_SECRET_ACCESS_KEY", "S");
    assert!(outcome(&outside, none, &mut sample).await.is_err());
    let asked = outside.take_asked().remove(0);
    let authorization = header(&asked.headers, "authorization").expect("a signature");
    assert!(authorization.contains("Credential=V/"), "{authorization}");
}

const JSON: (&str, &str) = ("content-type", "application/json");

fn read(reading: Reading, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let said: HttpResponse = says(200, headers, body).expect("an answer");
    let answer = reading.answer(said).expect("an answer");
    (
        answer.status,
        String::from_utf8_lossy(&answer.body).into_owned(),
    )
}

#[test]
fn answers_go_on_as_they_are_but_for_empty_arrays_of_old() {
    let legacy = Reading {
        empties_arrays: true,
        unhandled_status: Some(412),
        ..Reading::default()
    };
    let json = r#"{"a":[ ],"b":"[]\"[]","c":[[],[1]],"d":1.50}"#;
    let emptied = r#"{"a":{},"b":"[]\"[]","c":[{},[1]],"d":1.50}"#;
    assert_eq!(read(legacy, &[JSON], json).1, emptied);
    assert_eq!(read(Reading::default(), &[JSON], json).1, json);
    assert_eq!(read(legacy, &[], "[]").1, "[]");
    assert_eq!(read(legacy, &[JSON], "[] [").1, "[] [");
    assert_eq!(read(legacy, &[JSON], r#""a\nb""#).1, "a\nb");
    let failed = [("x-amz-function-error", "Unhandled")];
    assert_eq!(read(legacy, &failed, "").0, 412);
    assert_eq!(read(Reading::default(), &failed, "").0, 200);
    assert_eq!(
        read(legacy, &[("x-amz-function-error", "Handled")], "").0,
        200
    );
}

async fn integrated(body: &'static str) -> Reply {
    let outside = Outside::new(move |_| {
        let headers = [
            ("x-amzn-requestid", "foo"),
            ("Content-Type", "application/json"),
        ];
        says(200, &headers, body)
    });
    let mut sample = Sample::new("GET", "/", &[]);
    let more = json!({ "is_proxy_integration": true });
    outcome(&outside, more, &mut sample)
        .await
        .expect("an answer")
}

#[tokio::test]
async fn a_function_can_say_its_whole_answer() {
    let reply = integrated(
        r#"{ "statusCode": "201", "body": "dGVzdA", "isBase64Encoded": true,
             "headers": { "X-Amzn-RequestId": "bar", "Age": 3, "content-length": 99, "a": "1" },
             "multiValueHeaders": { "A": ["2", true] } }"#,
    )
    .await;
    assert_eq!(
        (reply.status, &reply.body),
        (201, &Body::Bytes("test".into()))
    );
    let mut headers: Vec<_> = reply
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value)))
        .collect();
    headers.sort();
    assert_eq!(
        headers,
        [
            "A: 2",
            "A: true",
            "Age: 3",
            "Content-Type: application/json",
            "Via: 1.1 silverback/test",
            "X-Amzn-RequestId: bar",
        ]
    );
    let text = integrated(r#""{\"statusCode\":200,\"body\":\"b\",\"multiValueHeaders\":null}""#);
    assert_eq!(text.await.body, Body::Bytes("b".into()));
    let empty = integrated(r#"{"statusCode":204,"body":"b"}"#).await;
    assert_eq!((empty.status, empty.body), (204, Body::Bytes("".into())));
}

#[tokio::test]
async fn an_answer_that_is_none_is_502_with_the_reason() {
    for (body, reason) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("7", "proxy response must be json format"),
        ("{}", "statusCode validation failed"),
        (r#"{"statusCode":"hello"}"#, "statusCode validation failed"),
        (r#"{"statusCode":101}"#, "statusCode validation failed"),
        (r#"{"statusCode":200.5}"#, "statusCode validation failed"),
        (r#"{"statusCode":1e99}"#, "statusCode validation failed"),
        (
            r#"{"statusCode":200,"headers":"x"}"#,
            "headers must be a table",
        ),
        (r#"{"statusCode":200,"body":7}"#, "body must be a string"),
        (
            r#"{"statusCode":200,"isBase64Encoded":"x"}"#,
            "isBase64Encoded must be a boolean",
        ),
        (
            r#"{"statusCode":200,"isBase64Encoded":true,"body":"*"}"#,
            "body must be base64",
        ),
        (
            r#"{"statusCode":200,"multiValueHeaders":7}"#,
            "multiValueHeaders must be a table",
        ),
        (r#"{"statusCode":200,"headers":{"a":null}}"#, "is no header"),
        (
            r#"{"statusCode":200,"headers":{"a":"b\r\nc: d"}}"#,
            "is no header",
        ),
        (
            r#"{"statusCode":200,"headers":{"a\r\nb: c":"d"}}"#,
            "is no header",
        ),
        (r#"{"statusCode":200,"headers":{"":"d"}}"#, "is no header"),
    ] {
        let reply = integrated(body).await;
        assert_eq!(reply.status, 502, "{body}");
        let Body::Json(said) = reply.body else {
            panic!("no JSON")
        };
        assert_eq!(said["message"], "Bad Gateway");
        let error = said["error"].as_str().expect("a reason");
        assert!(error.contains(reason), "{error}");
    }
}
