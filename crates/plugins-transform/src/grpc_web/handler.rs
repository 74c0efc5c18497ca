//! Unpacks what browsers send, and packs what the upstream answers.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use bytes::Bytes;
use plugin_api::{
    Body, Configured, Exchange, Failure, Flow, Handler, Headers, Method, Needs, Outcome, Phase,
    Reply, ResponseHead, Services, Step,
};
use prost_reflect::MethodDescriptor;
use serde::Deserialize;

use crate::grpc::{
    Definitions, Frames, ask, frame, from_json, is_grpc, is_too_long, refusal, to_json,
};

/// The flag of a frame with trailers.
const TRAILERS: u8 = 0x80;
/// Browsers leave the padding out when they send a text in pieces.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[derive(Deserialize)]
struct Config {
    proto: Option<String>,
    pass_stripped_path: Option<bool>,
    allow_origin_header: Option<String>,
}

struct GrpcWeb {
    definitions: Option<Definitions>,
    strips: bool,
    origin: Option<String>,
}

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Dialect {
    /// Whether bodies are in base64.
    is_text: bool,
    /// Whether messages are JSON.
    is_json: bool,
    /// Whether messages stand in frames.
    is_framed: bool,
}

impl Dialect {
    /// That of a media type; `None` if it is none of this plugin's.
    fn of(kind: &[u8]) -> Option<Self> {
        let (is_text, is_json, is_framed) = match kind {
            b"application/grpc-web" | b"application/grpc-web+proto" => (false, false, true),
            b"application/grpc-web-text" | b"application/grpc-web-text+proto" => {
                (true, false, true)
            }
            b"application/grpc-web+json" => (false, true, true),
            b"application/grpc-web-text+json" => (true, true, true),
            b"application/json" => (false, true, false),
            _ => return None,
        };
        Some(Self {
            is_text,
            is_json,
            is_framed,
        })
    }
}

/// A call on its way.
struct Call {
    dialect: Dialect,
    /// The media type, as the client wrote it.
    kind: Vec<u8>,
    /// Of a call in JSON.
    method: Option<MethodDescriptor>,
    frames: Frames,
    /// Whether the answer is one of gRPC.
    is_answered: bool,
    /// How the call went, as lines: what the answer's head says of it, until there are trailers.
    end: Vec<u8>,
}

#[derive(Default)]
struct State(Option<Call>);

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(GrpcWeb {
        definitions: config.proto.as_deref().map(Definitions::load).transpose()?,
        strips: config.pass_stripped_path == Some(true),
        origin: config.allow_origin_header,
    }))
}

impl Handler for GrpcWeb {
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
        call.end = trailer_lines(&head.headers, false);
        head.headers.set("Content-Type", &call.kind)?;
        Ok(())
    }

    fn body_filter(
        &self,
        exchange: &mut Exchange<'_>,
        piece: &mut Bytes,
        last: bool,
    ) -> Result<(), Failure> {
        let trailers = match last {
            true => exchange.work.trailers.take(),
            false => None,
        };
        let Some(call) = &mut exchange.state::<State>().0 else {
            exchange.work.trailers = trailers;
            return Ok(());
        };
        if !call.is_answered {
            return Ok(());
        }
        let mut translated = call.translate(piece)?;
        if last && call.dialect.is_framed {
            if let Some(trailers) = &trailers {
                call.end = trailer_lines(trailers, true);
            }
            let end = frame(TRAILERS, &call.end);
            translated.to_mut().extend_from_slice(&call.encoded(&end));
        }
        if let Cow::Owned(translated) = translated {
            *piece = translated.into();
        }
        Ok(())
    }
}

impl GrpcWeb {
    fn translate(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let origin = self.origin.as_deref().unwrap_or("*");
        exchange.set_answer_header("Access-Control-Allow-Origin", origin);
        if *exchange.head.method() == Method::Options {
            return Ok(preflight().into());
        }
        if self.strips {
            strip(exchange);
        }
        let kind = exchange
            .head
            .headers
            .get("Content-Type")
            .unwrap_or_default();
        let end = kind.iter().position(|byte| *byte == b';');
        let kind = kind[..end.unwrap_or(kind.len())].trim_ascii().to_vec();
        let Some(dialect) = Dialect::of(&kind) else {
            return Ok(refusal(400, "this is no media type of gRPC-Web").into());
        };
        let method = match dialect.is_json {
            true => match self.method(exchange) {
                Ok(method) => Some(method),
                Err(reason) => return Ok(refusal(400, &reason).into()),
            },
            false => None,
        };
        // A body that goes through as it is need not be held.
        if is_too_long(exchange) && (dialect.is_text || dialect.is_json) {
            return Ok(refusal(413, "the body is too long to be translated").into());
        }
        let call = Call {
            dialect,
            kind,
            method,
            frames: Frames::default(),
            is_answered: false,
            end: Vec::new(),
        };
        match call.request(exchange.body()) {
            Ok(Some(body)) => ask(exchange, body)?,
            Ok(None) => {
                let headers = &mut exchange.head.headers;
                headers.set("Content-Type", "application/grpc")?;
                headers.set("TE", "trailers")?;
            }
            Err(reason) => return Ok(refusal(400, &reason).into()),
        }
        exchange.state::<State>().0 = Some(call);
        Ok(Flow::Next)
    }

    /// The method that the path names.
    fn method(&self, exchange: &Exchange<'_>) -> Result<MethodDescriptor, String> {
        let Some(definitions) = &self.definitions else {
            return Err(
                "transcoding requests require a .proto file defining the service".to_owned(),
            );
        };
        let path = exchange.target.split(|byte| *byte == b'?').next();
        let path = String::from_utf8_lossy(path.unwrap_or_default());
        let method = definitions.method(&path);
        method.ok_or_else(|| format!("Unknown path {:?}", &*path))
    }
}

impl Call {
    /// The body for the upstream; `None` if it gets what the client sent.
    fn request(&self, body: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let body = match self.dialect.is_text {
            true => decoded(body).ok_or("the body is not in base64")?,
            false => body.to_vec(),
        };
        let Some(method) = &self.method else {
            return Ok(self.dialect.is_text.then_some(body));
        };
        let mut messages = Vec::new();
        if self.dialect.is_framed {
            let mut frames = Frames::default();
            frames.push(&body);
            while let Some(message) = frames.take().map_err(|failure| failure.to_string())? {
                messages.push(message);
            }
        } else {
            messages.push(body.as_slice().into());
        }
        let mut framed = Vec::new();
        for message in messages {
            let json = serde_json::from_slice(&message)
                .map_err(|error| format!("the body is no JSON: {error}"))?;
            framed.extend(frame(0, &from_json(&method.input(), json)?));
        }
        Ok(Some(framed))
    }

    /// A piece of the answer for the client.
    fn translate<'a>(&mut self, piece: &'a [u8]) -> Result<Cow<'a, [u8]>, Failure> {
        let Some(method) = &self.method else {
            return Ok(match self.dialect.is_text {
                true => Cow::Owned(self.encoded(piece).into_owned()),
                false => Cow::Borrowed(piece),
            });
        };
        self.frames.push(piece);
        let mut translated = Vec::new();
        while let Some(message) = self.frames.take()? {
            let json = to_json(&method.output(), &message)?.to_string();
            match self.dialect.is_framed {
                true => translated.extend(frame(0, json.as_bytes())),
                false => translated.extend(json.as_bytes()),
            }
        }
        Ok(Cow::Owned(self.encoded(&translated).into_owned()))
    }

    /// Bytes as the client reads them.
    fn encoded<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        match self.dialect.is_text {
            true => Cow::Owned(STANDARD.encode(bytes).into_bytes()),
            false => Cow::Borrowed(bytes),
        }
    }
}

/// The answer to a browser that asks whether it may call.
fn preflight() -> Reply {
    Reply::new(200)
        .with_header("Content-Type", "application/grpc-web-text+proto")
        .with_header("Access-Control-Allow-Methods", "POST")
        .with_header(
            "Access-Control-Allow-Headers",
            "content-type,x-grpc-web,x-user-agent",
        )
        .with_body(Body::Bytes(Bytes::from_static(b"OK")))
}

/// Takes what the route matched out of the upstream's path.
fn strip(exchange: &mut Exchange<'_>) {
    let Some(prefix) = exchange.matched.prefix else {
        return;
    };
    if let Some(rest) = exchange.target.strip_prefix(prefix) {
        let slash: &[u8] = if rest.starts_with(b"/") { b"" } else { b"/" };
        let stripped = [slash, rest].concat();
        *exchange.target = stripped;
    }
}

/// Base64 that may be several texts one behind the other, each with its own padding.
fn decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for part in text.split_inclusive(|byte| *byte == b'=') {
        let part = part.trim_ascii();
        // The second sign of a padding of two.
        if part != b"=" {
            bytes.extend(LENIENT.decode(part).ok()?);
        }
    }
    Some(bytes)
}

/// How the call went, as lines; with `all` whatever else is said there.
fn trailer_lines(said: &Headers, all: bool) -> Vec<u8> {
    let value = |name: &str| said.get(name).unwrap_or_default();
    let status = match value("grpc-status") {
        b"" => b"0",
        status => status,
    };
    let mut lines = [b"grpc-status:", status, b"\r\ngrpc-message:"].concat();
    lines.extend_from_slice(value("grpc-message"));
    lines.extend_from_slice(b"\r\n");
    for field in said.iter().filter(|_| all) {
        let name = field.name.to_ascii_lowercase();
        if name != b"grpc-status" && name != b"grpc-message" {
            lines.extend_from_slice(&name);
            lines.push(b':');
            lines.extend_from_slice(field.value);
            lines.extend_from_slice(b"\r\n");
        }
    }
    lines
}
