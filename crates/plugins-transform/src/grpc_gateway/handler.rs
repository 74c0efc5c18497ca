//! Translates requests to calls, and answers of these to JSON.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{
    Body, Configured, Exchange, Failure, Flow, Handler, Method, Needs, Outcome, Phase, Reply,
    ResponseHead, Services, Step,
};
use serde::Deserialize;

use super::bindings::{Binding, bindings};
use crate::grpc::{
    Definitions, Frames, ask, frame, from_json, is_grpc, is_too_long, refusal, to_json,
};

#[derive(Deserialize)]
struct Config {
    proto: Option<String>,
}

struct GrpcGateway {
    bindings: Option<Arc<[Binding]>>,
}

/// A call on its way.
struct Call {
    bindings: Arc<[Binding]>,
    /// Which of the bindings it goes by.
    by: usize,
    frames: Frames,
    /// Whether the answer is one of gRPC.
    is_answered: bool,
}

#[derive(Default)]
struct State(Option<Call>);

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let definitions = config.proto.as_deref().map(Definitions::load).transpose()?;
    let bindings = definitions.as_ref().map(bindings).transpose()?;
    Ok(Arc::new(GrpcGateway {
        bindings: bindings.map(Arc::from),
    }))
}

impl Handler for GrpcGateway {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            changes_length: true,
            ..Needs::phases(&[Phase::Access, Phase::HeaderFilter, Phase::BodyFilter])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Now(self.translate(exchange))
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        let Some(call) = &mut exchange.state::<State>().0 else {
            return Ok(());
        };
        if !is_grpc(head) {
            return Ok(());
        }
        call.is_answered = true;
        // What is no 200 is an answer of the gateway, whose status says more.
        if let (200, Some(status)) = (head.status(), head.headers.get("grpc-status")) {
            head.set_status(http_status(status));
        }
        head.headers.set("Content-Type", "application/json")?;
        Ok(())
    }

    fn body_filter(
        &self,
        exchange: &mut Exchange<'_>,
        piece: &mut Bytes,
        last: bool,
    ) -> Result<(), Failure> {
        if last {
            exchange.work.trailers = None;
        }
        let Some(call) = &mut exchange.state::<State>().0 else {
            return Ok(());
        };
        if !call.is_answered {
            return Ok(());
        }
        call.frames.push(piece);
        let binding = &call.bindings[call.by];
        let mut translated = Vec::new();
        while let Some(message) = call.frames.take()? {
            let json = binding.answer(to_json(&binding.method.output(), &message)?);
            translated.extend_from_slice(json.to_string().as_bytes());
        }
        *piece = translated.into();
        Ok(())
    }
}

impl GrpcGateway {
    fn translate(&self, exchange: &mut Exchange<'_>) -> Outcome {
        exchange.set_answer_header("Access-Control-Allow-Origin", "*");
        if *exchange.head.method() == Method::Options {
            return Ok(preflight().into());
        }
        let Some(bindings) = &self.bindings else {
            let reason = "transcoding requests require a .proto file defining the service";
            return Ok(refusal(400, reason).into());
        };
        let path = String::from_utf8_lossy(exchange.head.path()).into_owned();
        let method = exchange.head.method().as_str();
        let found = bindings
            .iter()
            .enumerate()
            .find_map(|(by, binding)| Some((by, binding.matches(method, &path)?)));
        let Some((by, values)) = found else {
            let reason = match bindings.iter().any(|binding| binding.is_by(method)) {
                true => format!("failed to transcode .proto file Unknown path {path:?}"),
                false => {
                    let method = method.to_ascii_lowercase();
                    format!("failed to transcode .proto file Unknown method {method:?}")
                }
            };
            return Ok(refusal(400, &reason).into());
        };
        if is_too_long(exchange) {
            return Ok(refusal(413, "the body is too long to be translated").into());
        }
        let binding = &bindings[by];
        let message = binding
            .message(values, exchange.query(), exchange.body())
            .and_then(|message| from_json(&binding.method.input(), message));
        let message = match message {
            Ok(message) => message,
            Err(reason) => return Ok(refusal(400, &reason).into()),
        };
        let called = binding.method.parent_service().full_name().to_owned();
        *exchange.target = format!("/{called}/{}", binding.method.name()).into_bytes();
        exchange.head.set_method(Method::Post);
        ask(exchange, frame(0, &message))?;
        exchange.state::<State>().0 = Some(Call {
            bindings: bindings.clone(),
            by,
            frames: Frames::default(),
            is_answered: false,
        });
        Ok(Flow::Next)
    }
}

/// The status of HTTP that says what one of gRPC says.
fn http_status(of_grpc: &[u8]) -> u16 {
    match of_grpc {
        b"0" => 200,
        b"1" => 499,
        b"3" | b"9" | b"11" => 400,
        b"4" => 504,
        b"5" => 404,
        b"6" | b"10" => 409,
        b"7" => 403,
        b"8" => 429,
        b"14" => 503,
        b"16" => 401,
        _ => 500,
    }
}

/// The answer to a browser that asks whether it may call.
fn preflight() -> Reply {
    Reply::new(200)
        .with_header("Content-Type", "application/json")
        .with_header("Access-Control-Allow-Methods", "GET,POST,PATCH,DELETE")
        .with_header("Access-Control-Allow-Headers", "content-type")
        .with_body(Body::Bytes(Bytes::from_static(b"OK")))
}
