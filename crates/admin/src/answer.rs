//! The answers of the Admin API: JSON bodies, empty ones, and nginx's error pages where Kong shows those.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

/// `Content-Type` of every JSON answer.
const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");

/// An answer with a JSON body.
pub fn json_body(status: StatusCode, body: &Value) -> Response {
    json_text(status, body.to_string())
}

/// An answer whose body is JSON already.
pub fn json_text(status: StatusCode, body: String) -> Response {
    build(status, JSON, body)
}

/// An answer whose body is `{"message": …}`.
pub fn message(status: StatusCode, text: &str) -> Response {
    json_body(status, &json!({ "message": text }))
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A body of any other media type, without a length in advance.
pub fn streamed(status: StatusCode, media_type: &'static str, body: String) -> Response {
    let body = futures_util::stream::once(async { Ok::<_, std::convert::Infallible>(body) });
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = status;
    let media_type = HeaderValue::from_static(media_type);
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}

/// Compat: the page that nginx makes of a bare status (pinned by admin/general "content types that are not supported").
pub fn error_page(status: StatusCode) -> Response {
    let title = format!("{} {}", status.as_u16(), reason(status));
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    );
    build(
        status,
        HeaderValue::from_static("text/html; charset=UTF-8"),
        body,
    )
}

/// Compat: nginx's page for a client that speaks plain HTTP to a port for TLS (pinned by a test of the connections).
pub fn needs_tls() -> Response {
    const TITLE: &str = "The plain HTTP request was sent to HTTPS port";
    let body = format!(
        "<html>\r\n<head><title>400 {TITLE}</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n\
         <center>{TITLE}</center>\r\n</body>\r\n</html>\r\n"
    );
    let mut response = build(
        StatusCode::BAD_REQUEST,
        HeaderValue::from_static("text/html; charset=UTF-8"),
        body,
    );
    let headers = response.headers_mut();
    headers.insert(http::header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// nginx's words for a status, which differ from the registered ones in two cases.
fn reason(status: StatusCode) -> &'static str {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => "Request Entity Too Large",
        StatusCode::REQUEST_TIMEOUT => "Request Time-out",
        other => other.canonical_reason().unwrap_or("Error"),
    }
}

/// The headers with which an `OPTIONS` request is answered.
pub fn options(allow: &str, allow_headers: Option<&HeaderValue>) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers: &mut HeaderMap = response.headers_mut();
    if let Ok(allow) = HeaderValue::from_str(allow) {
        headers.insert(http::header::ALLOW, allow.clone());
        headers.insert(http::header::ACCESS_CONTROL_ALLOW_METHODS, allow);
    }
    let allow_headers = allow_headers
        .cloned()
        .unwrap_or(HeaderValue::from_static("Content-Type"));
    headers.insert(http::header::ACCESS_CONTROL_ALLOW_HEADERS, allow_headers);
    response
}

fn build(status: StatusCode, media_type: HeaderValue, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, media_type);
    response
}
