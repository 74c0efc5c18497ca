//! What the plugins for gRPC share: frames, definitions of services, and messages as JSON.

mod definitions;
mod http_rules;

use bytes::{Buf as _, BytesMut};
use plugin_api::{Body, Exchange, Failure, Reply, ResponseHead};
use prost_reflect::prost::Message as _;
use prost_reflect::{DeserializeOptions, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

pub use definitions::Definitions;
pub use http_rules::{HttpRule, rules};

/// The longest message that is translated.
const MOST_MESSAGE: usize = 16 << 20;
/// The flag of a frame with a compressed message.
const COMPRESSED: u8 = 1;
/// The length of what stands before a message.
const HEAD: usize = 5;

/// A message in its frame.
pub fn frame(flags: u8, message: &[u8]) -> Vec<u8> {
    // The longest body of a request and of an answer are far below what four bytes can say.
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[flags][..], &length.to_be_bytes(), message].concat()
}

/// Messages out of pieces of a stream. Perf: a message is cut off without moving what is behind it.
#[derive(Debug, Default)]
pub struct Frames(BytesMut);

impl Frames {
    /// Adds what has come.
    pub fn push(&mut self, piece: &[u8]) {
        self.0.extend_from_slice(piece);
    }

    /// The next message, if it has come as a whole.
    ///
    /// # Errors
    /// When it is too long to be held, or compressed.
    pub fn take(&mut self) -> Result<Option<BytesMut>, Failure> {
        let Some((&[flags, a, b, c, d], rest)) = self.0.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        if flags == COMPRESSED {
            return Err(Failure::new(
                "a compressed message, which was not asked for",
            ));
        }
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > MOST_MESSAGE {
            return Err(Failure::new(format!("a message of {length} bytes")));
        }
        if rest.len() < length {
            return Ok(None);
        }
        self.0.advance(HEAD);
        Ok(Some(self.0.split_to(length)))
    }
}

/// A message as JSON: names as in its definition, members that have their default values too, whole numbers as numbers.
///
/// # Errors
/// When the bytes are no such message.
pub fn to_json(kind: &MessageDescriptor, message: &[u8]) -> Result<Value, Failure> {
    let options = SerializeOptions::new()
        .use_proto_field_name(true)
        .skip_default_fields(false)
        .stringify_64_bit_integers(false);
    let message = DynamicMessage::decode(kind.clone(), message)
        .map_err(|error| Failure::new(format!("no {}: {error}", kind.full_name())))?;
    message
        .serialize_with_options(serde_json::value::Serializer, &options)
        .map_err(|error| Failure::new(format!("no JSON: {error}")))
}

/// The message that JSON stands for, or why it stands for none. Members that the message has not are left out.
pub fn from_json(kind: &MessageDescriptor, json: Value) -> Result<Vec<u8>, String> {
    let options = DeserializeOptions::new().deny_unknown_fields(false);
    DynamicMessage::deserialize_with_options(kind.clone(), json, &options)
        .map(|message| message.encode_to_vec())
        .map_err(|error| error.to_string())
}

/// Whether the client sent a body that is too long to be held.
pub fn is_too_long(exchange: &Exchange<'_>) -> bool {
    exchange.body().is_empty() && exchange.work.body_length > 0
}

/// Makes the request one of gRPC, with this body.
///
/// # Errors
/// When its head has no room.
pub fn ask(exchange: &mut Exchange<'_>, body: Vec<u8>) -> Result<(), Failure> {
    let headers = &mut exchange.head.headers;
    headers.set("Content-Type", "application/grpc")?;
    headers.set("TE", "trailers")?;
    exchange.set_body(body);
    Ok(())
}

/// A refusal. Compat: the reason is the body, as it is.
pub fn refusal(status: u16, reason: &str) -> Reply {
    Reply::new(status)
        .with_header("Content-Type", "text/plain; charset=utf-8")
        .with_body(Body::Bytes(reason.to_owned().into()))
}

/// Whether a head is that of a gRPC answer.
pub fn is_grpc(head: &ResponseHead) -> bool {
    let kind = head.headers.get("Content-Type");
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

#[cfg(test)]
pub mod tests;
