use bytes::Bytes;
use plugin_api::testing::{FakeRecords, Sample, answer_head, build, services};
use plugin_api::{Body, Flow, Handler, Reply, ResponseHead, Step, Summary};
use serde_json::{Value, json};
use std::sync::Arc;

use super::handler;

mod bedrock;
mod native;
mod streams;

fn config(provider: &str, model: &Value, more: &Value) -> Value {
    let mut config = json!({
        "route_type": "llm/v1/chat",
        "auth": null,
        "model": { "provider": provider, "name": "m-1", "options": null },
        "logging": { "log_statistics": false, "log_payloads": false },
        "response_streaming": "allow",
        "max_request_body_size": 8192,
        "model_name_header": true,
        "llm_format": "openai",
    });
    merge(&mut config["model"], model);
    merge(&mut config, more);
    config
}

fn merge(into: &mut Value, from: &Value) {
    for (name, value) in from.as_object().expect("an object") {
        into[name] = value.clone();
    }
}

fn made(config: &Value) -> Arc<dyn Handler> {
    build(handler::build, config, &services(FakeRecords::default())).expect("a handler")
}

fn sample(target: &str, headers: &[(&str, &str)], body: &str) -> Sample {
    let mut sample = Sample::new("POST", target, headers);
    sample.work.body = Some(Bytes::copy_from_slice(body.as_bytes()));
    sample
}

/// The outcome of `access`.
fn outcome(handler: &dyn Handler, sample: &mut Sample) -> Result<(), Reply> {
    let Step::Now(outcome) = handler.access(&mut sample.exchange()) else {
        panic!("there is nothing to wait for");
    };
    match outcome.expect("no failure") {
        Flow::Next => Ok(()),
        Flow::Answer(reply) => Err(*reply),
    }
}

/// The message of a refusal.
fn refused(config: &Value, body: &Value) -> String {
    let mut sample = sample("/chat", &[], &body.to_string());
    let reply = outcome(&*made(config), &mut sample).expect_err("a refusal");
    assert_eq!(reply.status, 400);
    let Body::Json(said) = reply.body else {
        panic!("a refusal is JSON")
    };
    said["error"]["message"]
        .as_str()
        .expect("a message")
        .to_owned()
}

fn hello() -> Value {
    json!({ "messages": [{ "role": "user", "content": "hello" }] })
}

/// What the upstream gets of a request.
fn sent(config: &Value, sample: &mut Sample) -> Value {
    outcome(&*made(config), sample).expect("it is let through");
    serde_json::from_slice(sample.exchange().body()).expect("JSON")
}

/// An answer of the upstream on its way through the plugin, held as a whole.
fn held(handler: &dyn Handler, sample: &mut Sample, head: &mut ResponseHead, body: &str) -> Bytes {
    let mut body = Bytes::copy_from_slice(body.as_bytes());
    let mut exchange = sample.exchange();
    assert!(matches!(
        handler.response(&mut exchange, head, &mut body),
        Step::Now(Ok(Flow::Next))
    ));
    handler
        .header_filter(&mut exchange, head)
        .expect("no failure");
    handler
        .body_filter(&mut exchange, &mut body, true)
        .expect("no failure");
    body
}

fn logged(handler: &dyn Handler, sample: &mut Sample) -> Value {
    let summary = Summary {
        status: 200,
        head: None,
        source: plugin_api::Source::Service,
        request_size: 0,
        response_size: 0,
        upstream_status: Some(200),
        uri: "/",
        started_at: std::time::SystemTime::UNIX_EPOCH,
        latencies: plugin_api::Latencies::default(),
        tries: &[],
    };
    handler.log(&mut sample.exchange(), &summary);
    let mut entry = serde_json::Map::new();
    for edit in &sample.work.log_edits {
        edit.apply(&mut entry);
    }
    Value::Object(entry)
}

#[test]
fn a_chat_goes_to_the_provider_with_model_options_and_credentials() {
    let model = json!({ "options": { "max_tokens": 9, "temperature": 0.5, "top_k": 3 } });
    let auth = json!({ "auth": {
        "header_name": "Authorization", "header_value": "Bearer key",
        "param_name": "k-1", "param_value": "a&b/-", "param_location": "query",
    } });
    let mut sample = sample(
        "/chat?x=1&k-1=mine&b",
        &[("Authorization", "Bearer mine")],
        &hello().to_string(),
    );
    let body = sent(&config("openai", &model, &auth), &mut sample);
    assert_eq!(
        body,
        json!({
            "messages": [{ "role": "user", "content": "hello" }],
            "model": "m-1", "max_tokens": 9, "temperature": 0.5, "stream": false,
        })
    );
    let headers = &sample.head.headers;
    assert_eq!(headers.get_str("authorization"), Some("Bearer key"));
    assert_eq!(headers.get_str("accept-encoding"), Some("gzip, identity"));
    assert_eq!(headers.get_str("content-type"), Some("application/json"));
    assert_eq!(sample.target, b"/v1/chat/completions?b&k-1=a%26b%2F-&x=1");
    let upstream = &sample.work.upstream;
    assert_eq!(upstream.scheme.as_deref(), Some("https"));
    assert_eq!(upstream.host.as_deref(), Some("api.openai.com"));
    assert_eq!(upstream.host_header.as_deref(), Some("api.openai.com"));
    assert_eq!(upstream.port, Some(443));
}

#[test]
fn credentials_of_the_client_win_only_if_they_may() {
    for (may, expected) in [(false, "Bearer key"), (true, "Bearer mine")] {
        let auth = json!({ "auth": {
            "header_name": "Authorization", "header_value": "Bearer key", "allow_override": may,
        } });
        let mut sample = sample(
            "/",
            &[("Authorization", "Bearer mine")],
            &hello().to_string(),
        );
        sent(&config("openai", &json!({}), &auth), &mut sample);
        assert_eq!(sample.head.headers.get_str("authorization"), Some(expected));
        let auth = json!({ "auth": {
            "param_name": "key", "param_value": "ours", "param_location": "body",
            "allow_override": may,
        } });
        let mut body = hello();
        body["key"] = json!("mine");
        let mut sample = self::sample("/", &[], &body.to_string());
        let body = sent(&config("anthropic", &json!({}), &auth), &mut sample);
        assert_eq!(body["key"], if may { "mine" } else { "ours" });
    }
}

#[test]
fn each_provider_is_asked_at_its_place() {
    let azure = json!({ "options": {
        "azure_instance": "i", "azure_deployment_id": "d", "azure_api_version": "v",
    } });
    let own = json!({ "options": { "upstream_url": "http://[::1]:81/x?y=1" } });
    let hosted = json!({ "options": {
        "upstream_url": "http://llama/x", "llama2_format": "ollama",
    } });
    let vertex = json!({ "options": { "gemini": {
        "api_endpoint": "e.test", "project_id": "p", "location_id": "l",
    } } });
    let path = json!({ "options": { "upstream_path": "own/path" } });
    for (provider, model, host, port, target) in [
        (
            "anthropic",
            json!({}),
            "api.anthropic.com",
            443,
            "/v1/messages",
        ),
        ("cohere", json!({}), "api.cohere.com", 443, "/v1/chat"),
        (
            "azure",
            azure,
            "i.openai.azure.com",
            443,
            "/openai/deployments/d/chat/completions?api-version=v",
        ),
        (
            "gemini",
            json!({}),
            "generativelanguage.googleapis.com",
            443,
            "/v1beta/models/m-1:generateContent",
        ),
        (
            "gemini",
            vertex,
            "e.test",
            443,
            "/v1/projects/p/locations/l/publishers/google/models/m-1:generateContent",
        ),
        (
            "huggingface",
            json!({}),
            "api-inference.huggingface.co",
            443,
            "/models/m-1/v1/chat/completions",
        ),
        ("llama2", hosted, "llama", 80, "/x"),
        ("openai", own, "::1", 81, "/x?y=1"),
        ("openai", path, "api.openai.com", 443, "/own/path"),
    ] {
        let mut sample = sample("/chat", &[], &hello().to_string());
        sent(&config(provider, &model, &json!({})), &mut sample);
        let upstream = &sample.work.upstream;
        assert_eq!(upstream.host.as_deref(), Some(host), "{provider}");
        assert_eq!(upstream.port, Some(port), "{provider}");
        assert_eq!(
            String::from_utf8_lossy(&sample.target),
            target,
            "{provider}"
        );
    }
}

#[test]
fn requests_that_are_no_chat_are_refused() {
    let config = config("openai", &json!({}), &json!({}));
    let no_prompts = "request body doesn't contain valid prompts";
    for body in [
        json!({ "other": 1 }),
        json!({ "messages": [] }),
        json!({ "messages": {} }),
        json!([]),
        json!({ "prompt": 1 }),
        json!({ "messages": [{ "role": "user", "content": "a".repeat(9000) }] }),
    ] {
        assert_eq!(refused(&config, &body), no_prompts, "{body}");
    }
    assert_eq!(
        refused(&config, &json!({ "prompt": "x" })),
        "[llm/v1/completions] message format is not compatible with [llm/v1/chat] route type"
    );
    let mut both = hello();
    both["prompt"] = json!("x");
    assert_eq!(
        refused(&config, &both),
        "request matches multiple LLM request formats"
    );
    let mut other = hello();
    other["model"] = json!("mine");
    assert_eq!(
        refused(&config, &other),
        "cannot use own model - must be: m-1"
    );
}

#[test]
fn the_client_names_the_model_where_the_configuration_does_not() {
    let config = config("openai", &json!({ "name": null }), &json!({}));
    assert_eq!(
        refused(&config, &hello()),
        "model parameter not found in request, nor in gateway configuration"
    );
    let mut body = hello();
    body["model"] = json!("mine");
    let mut sample = sample("/", &[], &body.to_string());
    assert_eq!(sent(&config, &mut sample)["model"], "mine");
}

#[test]
fn a_model_may_be_chosen_by_the_request() {
    let model = json!({ "name": "m-$(headers.x-model)", "options": { "upstream_path": "/$(query_params.where)" } });
    let config = config("openai", &model, &json!({}));
    assert_eq!(
        refused(&config, &hello()),
        "headers key x-model was not provided"
    );
    let mut sample = sample("/?where=here", &[("X-Model", "7")], &hello().to_string());
    assert_eq!(sent(&config, &mut sample)["model"], "m-7");
    assert_eq!(sample.target, b"/here?where=here");
    for (name, message) in [
        ("$(cookies.x)", "source 'cookies' is not supported"),
        (
            "$(headers)",
            "cannot parse expression for field '$(headers)'",
        ),
    ] {
        let config = self::config("openai", &json!({ "name": name }), &json!({}));
        assert_eq!(refused(&config, &hello()), message);
    }
}

#[test]
fn an_answer_is_translated_and_the_model_named() {
    let config = config("anthropic", &json!({}), &json!({}));
    let handler = made(&config);
    let mut sample = sample("/", &[], &hello().to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    let mut head = answer_head(200);
    let answer = json!({
        "content": [{ "type": "text", "text": "hi" }], "model": "m-1", "stop_reason": "end_turn",
        "usage": { "input_tokens": 3, "output_tokens": 1 },
    });
    let body = held(&*handler, &mut sample, &mut head, &answer.to_string());
    assert_eq!(
        head.headers.get_str("X-Kong-LLM-Model"),
        Some("anthropic/m-1")
    );
    let body: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(
        body,
        json!({
            "choices": [{
                "index": 0, "finish_reason": "end_turn",
                "message": { "role": "assistant", "content": "hi" },
            }],
            "usage": { "prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4 },
            "model": "m-1", "object": "chat.completion",
        })
    );
}

#[test]
fn an_answer_that_is_none_becomes_500_and_an_error_goes_on_as_it_is() {
    let handler = made(&config("openai", &json!({}), &json!({})));
    for garbage in ["", "{}", "null", "5", "<html>", "{\"choices\""] {
        let mut sample = sample("/", &[], &hello().to_string());
        outcome(&*handler, &mut sample).expect("it is let through");
        let mut head = answer_head(200);
        let body = held(&*handler, &mut sample, &mut head, garbage);
        assert_eq!(head.status(), 500, "{garbage}");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let said = body["error"]["message"].as_str().expect("a message");
        assert!(
            said.starts_with("transformation failed from type openai://llm/v1/chat: "),
            "{said}"
        );
    }
    let mut sample = sample("/", &[], &hello().to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    let mut head = answer_head(429);
    let body = held(&*handler, &mut sample, &mut head, "slow down");
    assert_eq!((head.status(), &body[..]), (429, &b"slow down"[..]));
    assert_eq!(head.headers.get("X-Kong-LLM-Model"), None);
}

#[test]
fn packed_answers_are_read_and_packed_for_those_who_take_it() {
    let handler = made(&config("openai", &json!({}), &json!({})));
    let answer = json!({ "choices": [] }).to_string();
    for takes in [false, true] {
        let accepts = [(
            "Accept-Encoding",
            if takes { "br, gzip" } else { "gzip;q=0" },
        )];
        let mut sample = sample("/", &accepts, &hello().to_string());
        outcome(&*handler, &mut sample).expect("it is let through");
        let mut head = answer_head(200);
        head.headers
            .set("Content-Encoding", "gzip")
            .expect("a header");
        let mut body = Bytes::from(crate::coding::pack(answer.as_bytes()).expect("packed"));
        let mut exchange = sample.exchange();
        assert!(matches!(
            handler.response(&mut exchange, &mut head, &mut body),
            Step::Now(Ok(Flow::Next))
        ));
        let plain = match takes {
            true => crate::coding::unpack(&body).expect("packed"),
            false => body.to_vec(),
        };
        assert_eq!(plain, answer.as_bytes());
        assert_eq!(head.headers.contains("content-encoding"), takes);
    }
}

#[test]
fn what_is_preserved_goes_on_as_it_came() {
    let config = config(
        "openai",
        &json!({ "name": null }),
        &json!({ "route_type": "preserve" }),
    );
    let handler = made(&config);
    let mut sample = sample(
        "/v1/files?x=1",
        &[("Content-Type", "text/plain")],
        "anything",
    );
    outcome(&*handler, &mut sample).expect("it is let through");
    assert_eq!(sample.exchange().body(), b"anything");
    assert!(!sample.work.body_changed);
    assert_eq!(sample.target, b"/v1/files?x=1");
    assert_eq!(sample.work.upstream.host.as_deref(), Some("api.openai.com"));
    let mut head = answer_head(200);
    handler
        .header_filter(&mut sample.exchange(), &mut head)
        .expect("no failure");
    let mut piece = Bytes::from_static(b"whatever");
    handler
        .body_filter(&mut sample.exchange(), &mut piece, false)
        .expect("no failure");
    assert_eq!(&piece[..], b"whatever");
}

#[test]
fn the_log_says_what_was_used_and_what_it_cost() {
    let model = json!({ "options": { "input_cost": 2.0, "output_cost": 10.0 } });
    let logging = json!({ "logging": { "log_statistics": true, "log_payloads": false } });
    let handler = made(&config("openai", &model, &logging));
    let mut sample = sample("/", &[], &hello().to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    let answer = json!({
        "choices": [], "model": "m-1-2024",
        "usage": { "prompt_tokens": 100, "completion_tokens": 10 },
    });
    held(
        &*handler,
        &mut sample,
        &mut answer_head(200),
        &answer.to_string(),
    );
    let entry = logged(&*handler, &mut sample);
    assert_eq!(
        entry["ai"]["proxy"],
        json!({
            "meta": {
                "plugin_id": "00000000-0000-0000-0000-000000000009",
                "provider_name": "openai", "request_model": "m-1", "response_model": "m-1-2024",
                "llm_latency": 0,
            },
            "usage": {
                "prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110,
                "time_per_token": 0.0, "cost": 0.0003,
            },
        })
    );
}

#[test]
fn a_model_that_the_client_names_stays_at_its_place() {
    let any = json!({ "name": null });
    for (provider, wanted, target) in [
        (
            "gemini",
            "a b?c#d",
            Some("/v1beta/models/a%20b%3Fc%23d:generateContent"),
        ),
        (
            "huggingface",
            "org/m",
            Some("/models/org/m/v1/chat/completions"),
        ),
        ("gemini", "../../evil", None),
        ("huggingface", "a/./b", None),
        ("huggingface", "", None),
    ] {
        let mut body = hello();
        body["model"] = json!(wanted);
        let config = config(provider, &any, &json!({}));
        let Some(target) = target else {
            assert_eq!(
                refused(&config, &body),
                "the name of the model cannot stand in a path"
            );
            continue;
        };
        let mut sample = sample("/chat", &[], &body.to_string());
        sent(&config, &mut sample);
        assert_eq!(String::from_utf8_lossy(&sample.target), target);
    }
}

#[test]
fn a_name_that_cannot_stand_in_a_header_is_not_shown() {
    let handler = made(&config("openai", &json!({ "name": "a\r\nb" }), &json!({})));
    let mut sample = sample("/", &[], &hello().to_string());
    outcome(&*handler, &mut sample).expect("it is let through");
    let mut head = answer_head(200);
    held(&*handler, &mut sample, &mut head, r#"{"choices":[]}"#);
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers.get("X-Kong-LLM-Model"), None);
}
