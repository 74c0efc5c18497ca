use plugin_api::testing::Outside;

use super::*;

/// What becomes of a request to a model at Bedrock.
async fn proved(outside: &Arc<Outside>, config: &Value, sample: &mut Sample) -> Result<(), Reply> {
    let handler = build(handler::build, config, &outside.services()).expect("a handler");
    let step = handler.access(&mut sample.exchange()).outcome().await;
    match step.expect("no failure") {
        Flow::Next => Ok(()),
        Flow::Answer(reply) => Err(*reply),
    }
}

fn in_region(region: &str, more: &Value) -> Value {
    let mut model = json!({ "options": { "bedrock": { "aws_region": region } } });
    merge(&mut model, more);
    let auth = json!({ "auth": {
        "aws_access_key_id": "AKIDEXAMPLE",
        "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    } });
    config("bedrock", &model, &auth)
}

fn authorization(sample: &Sample) -> &str {
    let headers = &sample.head.headers;
    headers.get_str("authorization").expect("a signature")
}

/// The signature is botocore's for the same request.
#[tokio::test]
async fn a_request_is_signed() {
    let outside = Outside::empty();
    let name = json!({ "name": "arn:aws:bedrock:us-east-1:1:inference-profile/us.claude-v1:0" });
    let mut config = in_region("us-east-1", &name);
    config["llm_format"] = json!("bedrock");
    let body = r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#;
    let headers = [
        ("Authorization", "Bearer mine"),
        ("X-Amz-Security-Token", "mine"),
        ("X-Amz-Content-Sha256", "mine"),
        ("X-Amzn-Trace", "mine"),
    ];
    let mut sample = sample("/chat?b&a=%20+", &headers, body);
    proved(&outside, &config, &mut sample)
        .await
        .expect("it is let through");
    assert_eq!(
        String::from_utf8_lossy(&sample.target),
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Fus.claude-v1%3A0/converse\
         ?a=%20%20&b="
    );
    assert_eq!(
        sample.work.upstream.host_header.as_deref(),
        Some("bedrock-runtime.us-east-1.amazonaws.com")
    );
    let headers = &sample.head.headers;
    assert_eq!(headers.get_str("x-amz-date"), Some("19700101T000000Z"));
    assert_eq!(headers.get("x-amz-security-token"), None);
    assert_eq!(headers.get("x-amz-content-sha256"), None);
    assert_eq!(headers.get_str("x-amzn-trace"), Some("mine"));
    assert_eq!(sample.exchange().body(), body.as_bytes());
    assert_eq!(
        authorization(&sample),
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/19700101/us-east-1/bedrock/aws4_request, \
         SignedHeaders=host;x-amz-date, \
         Signature=f1c3c8beb678902323e81e7e6b6c3256a1b212f75593eab3740ee029cccfd347"
    );
}

#[tokio::test]
async fn a_stream_has_an_operation_of_its_own() {
    let outside = Outside::empty();
    let mut body = hello();
    body["stream"] = json!(true);
    let mut sample = sample("/chat", &[], &body.to_string());
    let config = in_region("cn-north-1", &json!({}));
    proved(&outside, &config, &mut sample)
        .await
        .expect("it is let through");
    assert_eq!(sample.target, b"/model/m-1/converse-stream");
    assert_eq!(
        sample.work.upstream.host.as_deref(),
        Some("bedrock-runtime.cn-north-1.amazonaws.com.cn")
    );
    assert!(authorization(&sample).contains("/cn-north-1/bedrock/aws4_request"));
}

#[tokio::test]
async fn region_and_keys_may_be_those_of_the_machine() {
    let outside = Outside::empty();
    for (name, value) in [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "OURS"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_SESSION_TOKEN", "t"),
    ] {
        outside.set_variable(name, value);
    }
    let config = config("bedrock", &json!({}), &json!({}));
    let mut sample = sample("/chat", &[], &hello().to_string());
    proved(&outside, &config, &mut sample)
        .await
        .expect("it is let through");
    assert!(authorization(&sample).contains("Credential=OURS/19700101/eu-west-1/bedrock/"));
    let token = sample.head.headers.get_str("x-amz-security-token");
    assert_eq!(token, Some("t"));
}

#[tokio::test]
async fn a_region_that_the_request_chooses_stays_at_amazon() {
    let outside = Outside::empty();
    let config = in_region("$(headers.x-region)", &json!({}));
    let body = hello().to_string();
    let mut chosen = sample("/chat", &[("X-Region", "us-west-2")], &body);
    proved(&outside, &config, &mut chosen)
        .await
        .expect("it is let through");
    assert!(authorization(&chosen).contains("/us-west-2/bedrock/aws4_request"));
    let mut hostile = sample("/chat", &[("X-Region", "evil.test/?")], &body);
    let reply = proved(&outside, &config, &mut hostile)
        .await
        .expect_err("a refusal");
    assert_eq!(reply.status, 400);
    assert_eq!(hostile.work.upstream.host, None);
}

#[test]
fn half_a_pair_of_keys_is_refused_by_name_unless_the_machine_has_the_other() {
    let mut config = in_region("eu-west-1", &json!({}));
    config["auth"]["aws_secret_access_key"] = json!(null);
    let outside = Outside::empty();
    let failure = build(handler::build, &config, &outside.services());
    let failure = failure.err().expect("a failure").to_string();
    assert!(failure.starts_with("auth.aws_access_key_id"), "{failure}");
    outside.set_variable("AWS_SECRET_ACCESS_KEY", "s");
    assert!(build(handler::build, &config, &outside.services()).is_ok());
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let outside = Outside::empty();
    let mut config = in_region("eu-west-1", &json!({}));
    config["auth"] = json!(null);
    let mut sample = sample("/chat", &[], &hello().to_string());
    let reply = proved(&outside, &config, &mut sample)
        .await
        .expect_err("an error");
    assert_eq!(reply.status, 500);
    let said = json!({ "error": { "message": "LLM request failed before proxying" } });
    assert_eq!(reply.body, Body::Json(said));
}

#[tokio::test]
async fn what_is_preserved_is_signed_if_it_is_held() {
    let outside = Outside::empty();
    let mut config = in_region("eu-west-1", &json!({}));
    config["route_type"] = json!("preserve");
    let mut whole = sample("/model/m/invoke", &[], "anything");
    proved(&outside, &config, &mut whole)
        .await
        .expect("it is let through");
    assert_eq!(whole.target, b"/model/m/invoke");
    assert!(authorization(&whole).contains("/eu-west-1/bedrock/aws4_request"));
    let mut long = Sample::new("POST", "/model/m/invoke", &[]);
    long.work.body_length = 1 << 30;
    let reply = proved(&outside, &config, &mut long)
        .await
        .expect_err("a refusal");
    assert_eq!(reply.status, 400);
}

#[test]
fn a_stream_is_packed_only_for_those_who_take_it() {
    let auth = json!({ "llm_format": "bedrock", "auth": {
        "aws_access_key_id": "k", "aws_secret_access_key": "s",
    } });
    let model = json!({ "options": { "bedrock": { "aws_region": "eu-west-1" } } });
    let handler = made(&config("bedrock", &model, &auth));
    let body = r#"{"messages":[{"role":"user","content":[{"text":"hello"}]}]}"#;
    for (accepts, asked) in [(None, "identity"), (Some("gzip"), "gzip, identity")] {
        let accepts: Vec<_> = accepts
            .map(|accepts| ("Accept-Encoding", accepts))
            .into_iter()
            .collect();
        let mut sample = sample("/model/m-1/converse-stream", &accepts, body);
        drop(handler.access(&mut sample.exchange()));
        assert_eq!(sample.target, b"/model/m-1/converse-stream");
        let headers = &sample.head.headers;
        assert_eq!(headers.get_str("accept-encoding"), Some(asked));
    }
}
