//! The messages of LDAP that a login needs (RFC 4511): the requests to bind and to begin with TLS, and what a server says
//! to them.
//!
//! Everything a server sends is read with bounds: one element at a time, no nesting, no indefinite lengths (which LDAP
//! does not have), and no message longer than [`LONGEST`].

use asn1_rs::{
    Any, Class, Enumerated, FromBer as _, Header, Length, OctetString, SerializeError, Tag,
    ToDer as _,
};
use plugin_api::Failure;

/// The longest answer that is read.
pub(super) const LONGEST: usize = 1 << 16;

/// The operation of an answer to [`bind`].
pub(super) const BIND_RESPONSE: u32 = 1;
/// The operation of an answer to [`start_tls`].
pub(super) const EXTENDED_RESPONSE: u32 = 24;

const BIND_REQUEST: u32 = 0;
const EXTENDED_REQUEST: u32 = 23;
/// The name of the operation StartTLS (section 4.14.1).
const START_TLS: &[u8] = b"1.3.6.1.4.1.1466.20037";
const VERSION: u32 = 3;
/// The code of success.
const SUCCESS: u32 = 0;

/// What a server says to a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The number of the request; 0 for what nobody asked for.
    pub id: u32,
    pub operation: u32,
    pub code: u32,
    /// What the server says about it, for people.
    pub text: String,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        self.code == SUCCESS
    }
}

/// A request to bind as an entry with its password.
///
/// # Errors
/// When the password is empty: a server takes that for a client who does not want to say who it is, and lets it in
/// (section 5.1.2 of RFC 4513).
pub(super) fn bind(id: u32, entry: &str, password: &[u8]) -> Result<Vec<u8>, Failure> {
    if password.is_empty() {
        return Err(Failure::new("nobody logs in without a password"));
    }
    let written = || {
        let mut content = VERSION.to_der_vec()?;
        content.extend(element(
            Class::Universal,
            Tag::OctetString.0,
            entry.as_bytes(),
        )?);
        content.extend(element(Class::ContextSpecific, 0, password)?);
        message(id, BIND_REQUEST, &content)
    };
    written().map_err(unwritten)
}

/// A request to begin with TLS.
pub(super) fn start_tls(id: u32) -> Result<Vec<u8>, Failure> {
    let written = || {
        let content = element(Class::ContextSpecific, 0, START_TLS)?;
        message(id, EXTENDED_REQUEST, &content)
    };
    written().map_err(unwritten)
}

fn unwritten(error: SerializeError) -> Failure {
    Failure::new(format!("a request that cannot be written: {error}"))
}

fn message(id: u32, operation: u32, content: &[u8]) -> Result<Vec<u8>, SerializeError> {
    let mut parts = id.to_der_vec()?;
    parts.extend(constructed(Class::Application, operation, content)?);
    constructed(Class::Universal, Tag::Sequence.0, &parts)
}

fn element(class: Class, tag: u32, content: &[u8]) -> Result<Vec<u8>, SerializeError> {
    let length = Length::Definite(content.len());
    Any::new(Header::new(class, false, Tag(tag), length), content).to_der_vec()
}

fn constructed(class: Class, tag: u32, content: &[u8]) -> Result<Vec<u8>, SerializeError> {
    let length = Length::Definite(content.len());
    Any::new(Header::new(class, true, Tag(tag), length), content).to_der_vec()
}

/// The answer at the start of what was read, and how long it is; `None` if more has to be read.
///
/// # Errors
/// When this is no answer, or too long for one.
pub(super) fn parse_answer(bytes: &[u8]) -> Result<Option<(Answer, usize)>, Failure> {
    let header = match Header::from_ber(bytes) {
        Ok((_, header)) => header,
        Err(asn1_rs::Err::Incomplete(_)) if bytes.len() < LONGEST => return Ok(None),
        Err(_) => return Err(no_answer()),
    };
    let is_message = is_constructed(&header, Class::Universal, Tag::Sequence.0);
    if !is_message || header.length().definite().is_ok_and(|long| long > LONGEST) {
        return Err(no_answer());
    }
    let (rest, message) = match Any::from_ber(bytes) {
        Ok(parsed) => parsed,
        Err(asn1_rs::Err::Incomplete(_)) if bytes.len() < LONGEST => return Ok(None),
        Err(_) => return Err(no_answer()),
    };
    let answer = parse_parts(message.data).ok_or_else(no_answer)?;
    Ok(Some((answer, bytes.len() - rest.len())))
}

fn is_constructed(header: &Header<'_>, class: Class, tag: u32) -> bool {
    let is_definite = header.length().definite().is_ok();
    header.class() == class && header.tag().0 == tag && header.is_constructed() && is_definite
}

fn parse_parts(message: &[u8]) -> Option<Answer> {
    let (rest, id) = u32::from_ber(message).ok()?;
    let (_, operation) = Any::from_ber(rest).ok()?;
    let number = operation.tag().0;
    if !is_constructed(&operation.header, Class::Application, number) {
        return None;
    }
    let (rest, code) = Enumerated::from_ber(operation.data).ok()?;
    let (rest, _entry) = OctetString::from_ber(rest).ok()?;
    let (_, text) = OctetString::from_ber(rest).ok()?;
    Some(Answer {
        id,
        operation: number,
        code: code.0,
        text: String::from_utf8_lossy(text.as_ref()).into_owned(),
    })
}

fn no_answer() -> Failure {
    Failure::new("what the server says is no answer of LDAP")
}
