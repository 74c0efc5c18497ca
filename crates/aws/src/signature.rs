//! Signatures, version 4: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use stdx::Moment;

use super::Credentials;

/// What is not encoded in paths and queries: unreserved characters of RFC 3986.
pub const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same in a path, whose parts stay apart.
const ENCODED_IN_PATH: &AsciiSet = &ENCODED.remove(b'/');

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// What of a request is signed.
pub struct Signable<'a> {
    pub service: &'a str,
    pub region: &'a str,
    pub method: &'a str,
    pub host: &'a str,
    /// As it is sent, encoded once.
    pub path: &'a str,
    /// As it is sent, which is as [`query`] writes it.
    pub query: &'a str,
    /// Headers beside `Host` that are signed and sent; none comes twice.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: &'a [u8],
}

/// The headers of a signed request, `Host` included.
pub fn sign(
    request: Signable<'_>,
    credentials: &Credentials,
    now: Moment,
) -> Vec<(String, Vec<u8>)> {
    let (date, time) = stamps(now);
    let mut headers = request.headers;
    headers.push(("host".to_owned(), request.host.into()));
    headers.push(("x-amz-date".to_owned(), time.clone().into()));
    if let Some(token) = &credentials.session_token {
        let token = token.expose().as_bytes().to_vec();
        headers.push(("x-amz-security-token".to_owned(), token));
    }
    for (name, _) in &mut headers {
        name.make_ascii_lowercase();
    }
    headers.sort();
    let names: Vec<&str> = headers.iter().map(|(name, _)| &**name).collect();
    let names = names.join(";");

    let path = percent_encode(request.path.as_bytes(), ENCODED_IN_PATH);
    let (method, query) = (request.method, request.query);
    let mut canonical = format!("{method}\n{path}\n{query}\n").into_bytes();
    for (name, value) in &headers {
        canonical.extend_from_slice(name.as_bytes());
        canonical.push(b':');
        canonical.extend_from_slice(&trimmed(value));
        canonical.push(b'\n');
    }
    canonical.extend_from_slice(format!("\n{names}\n{}", hash(request.body)).as_bytes());

    let (region, service) = (request.region, request.service);
    let scope = format!("{date}/{region}/{service}/aws4_request");
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hash(&canonical));
    let mut key = format!("AWS4{}", credentials.secret.expose()).into_bytes();
    for part in [&*date, region, service, "aws4_request"] {
        key = mac(&key, part.as_bytes());
    }
    let signature = hex(&mac(&key, to_sign.as_bytes()));
    let key_id = &credentials.key_id;
    let authorization = format!(
        "{ALGORITHM} Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    );
    headers.push(("authorization".to_owned(), authorization.into_bytes()));
    headers
}

/// A query as it is signed, and sent.
pub fn query<T: AsRef<[u8]>>(arguments: &[(T, T)]) -> String {
    let encoded = |text: &T| percent_encode(text.as_ref(), ENCODED).to_string();
    let mut pairs: Vec<(String, String)> = arguments
        .iter()
        .map(|(name, value)| (encoded(name), encoded(value)))
        .collect();
    // By name, and not by what is written: `a-b=` stands behind `a=`.
    pairs.sort();
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    pairs.join("&")
}

/// The day and the second.
fn stamps(now: Moment) -> (String, String) {
    let ((year, month, day), (hour, minute, second)) = (now.date(), now.time());
    let date = format!("{year:04}{month:02}{day:02}");
    let time = format!("{date}T{hour:02}{minute:02}{second:02}Z");
    (date, time)
}

/// A header's value without spaces at its ends and rows of spaces within.
fn trimmed(value: &[u8]) -> Vec<u8> {
    let words = value.split(|byte| *byte == b' ');
    let words: Vec<&[u8]> = words.filter(|word| !word.is_empty()).collect();
    words.join(&b' ')
}

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(HMAC_SHA256, key);
    hmac::sign(&key, text).as_ref().to_vec()
}

/// The SHA-256 digest in hexadecimal.
pub fn hash(text: &[u8]) -> String {
    hex(digest(&SHA256, text).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
