//! Answers of the gateway itself: the one place where errors become what a client reads.
//!
//! Two families, as in Kong: pages of the error handler, for faults that the HTTP engine finds (their form follows
//! `Accept`, then `Content-Type`, then `error_default_type`), and refusals by the gateway (their form follows `Accept`,
//! else JSON).

use std::borrow::Cow;

use crate::error::Error;
use crate::media::Media;
use crate::request_id::RequestId;
use crate::settings::DataPlaneSettings;

/// What of a request shapes an answer to it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    pub accept: Option<&'a str>,
    pub content_type: Option<&'a str>,
    /// Whether it came over HTTP/2, without which nothing is gRPC.
    pub http2: bool,
    /// Host and target, for redirects.
    pub host: &'a str,
    pub target: &'a str,
}

/// An answer that is complete but for the headers that every answer gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(Cow<'static, str>, Cow<'static, [u8]>)>,
    pub body: Vec<u8>,
}

impl Reply {
    /// Whether there is a header with this name.
    pub fn says(&self, name: &str) -> bool {
        self.headers
            .iter()
            .any(|(said, _)| said.eq_ignore_ascii_case(name))
    }

    /// The length that is announced. Without a body it is what a `Content-Length` says, if there is one.
    pub fn length(&self, with_body: bool) -> u64 {
        let said = || {
            let mut headers = self.headers.iter();
            let (_, value) =
                headers.find(|(name, _)| name.eq_ignore_ascii_case("Content-Length"))?;
            std::str::from_utf8(value).ok()?.parse().ok()
        };
        let own = self.body.len() as u64;
        if with_body && self.status != 304 {
            return own;
        }
        said().unwrap_or(own)
    }

    /// The answer that tells a client about an error.
    pub fn to_error(
        error: &Error,
        asked: &Asked<'_>,
        settings: &DataPlaneSettings,
        id: &RequestId,
    ) -> Self {
        match error {
            Error::NoRoute => Self::refusal(
                404,
                "no Route matched with those values",
                asked,
                settings,
                id,
            ),
            Error::NoService => Self::refusal(
                503,
                "no Service found with those values",
                asked,
                settings,
                id,
            ),
            Error::Resolve(_) => Self::refusal(503, "name resolution failed", asked, settings, id),
            Error::NoPeer => Self::refusal(
                503,
                "failure to get a peer from the ring-balancer",
                asked,
                settings,
                id,
            ),
            Error::Busy => Self::refusal(
                503,
                "all targets of the upstream are busy",
                asked,
                settings,
                id,
            ),
            Error::TooMuchHeld => Self::refusal(
                503,
                "too many bodies are held at the moment",
                asked,
                settings,
                id,
            ),
            Error::NotGrpc => Self::refusal(
                415,
                "Non-gRPC request matched gRPC route",
                asked,
                settings,
                id,
            ),
            Error::Http2Required => {
                Self::refusal(426, "Please use HTTP2 protocol", asked, settings, id)
                    .upgrade("HTTP/2")
            }
            Error::HttpsRequired(426) => {
                Self::refusal(426, "Please use HTTPS protocol", asked, settings, id)
                    .upgrade("TLS/1.2, HTTP/1.1")
            }
            Error::HttpsRequired(status) => Self::redirect(*status, asked),
            Error::GrpcsRequired => Self::grpc(200, 1, "gRPC request matched gRPCs route"),
            // Compat: 494 is nginx's name for this fault; the client sees 400 with the words of 494.
            Error::Request(http1::Error::HeadTooLarge | http1::Error::TooManyHeaders) => Self {
                status: 400,
                ..Self::page(494, asked, settings, id)
            },
            // Compat: nginx's 497, for which Kong has no page of its own.
            Error::PlainHttp => {
                Self::bare_titled(400, "The plain HTTP request was sent to HTTPS port")
            }
            error => Self::page(error.status(), asked, settings, id),
        }
    }

    /// The answer of a plugin.
    pub fn of_plugin(
        reply: plugin_api::Reply,
        asked: &Asked<'_>,
        settings: &DataPlaneSettings,
        id: &RequestId,
    ) -> Self {
        let status = reply.status;
        let own = match reply.body {
            plugin_api::Body::Error(message) => {
                Self::refusal(status, &message, asked, settings, id)
            }
            plugin_api::Body::Json(value) => match value.get("message").and_then(|m| m.as_str()) {
                Some(message) if asked.is_grpc() => {
                    Self::grpc(status, grpc_status(status), message)
                }
                _ => Self::json(status, value.to_string()),
            },
            plugin_api::Body::Bytes(body) => Self {
                status,
                headers: Vec::new(),
                body: body.into(),
            },
            // Compat: nginx has pages of its own for errors that nobody says anything about.
            plugin_api::Body::Empty if has_page(status) => Self::bare(status),
            plugin_api::Body::Empty => Self {
                status,
                headers: Vec::new(),
                body: Vec::new(),
            },
        };
        // What the plugin says stands before what its kind of body implies.
        let said = reply.headers.into_iter();
        let mut headers: Vec<_> = said
            .map(|(name, value)| (name, Cow::Owned(value)))
            .collect();
        let implied = own.headers.into_iter();
        let implied = implied.filter(|(name, _)| {
            !headers
                .iter()
                .any(|(said, _)| said.eq_ignore_ascii_case(name))
        });
        let implied: Vec<_> = implied.collect();
        headers.extend(implied);
        Self { headers, ..own }
    }

    /// A refusal in the gateway's own words.
    fn refusal(
        status: u16,
        message: &str,
        asked: &Asked<'_>,
        settings: &DataPlaneSettings,
        id: &RequestId,
    ) -> Self {
        if asked.is_grpc() {
            let code = grpc_status(status);
            return Self::grpc(status, code, grpc_message(code));
        }
        let media = Media::accepted(asked.accept.unwrap_or_default());
        Self::in_media(status, media, message, settings, id)
    }

    /// A page of the error handler.
    fn page(status: u16, asked: &Asked<'_>, settings: &DataPlaneSettings, id: &RequestId) -> Self {
        let Some(message) = handler_message(status) else {
            return Self::bare(status);
        };
        let wanted = asked.accept.or(asked.content_type);
        if wanted.is_some_and(names_grpc) {
            // Compat: whoever wants gRPC and does not speak it reads JSON without an id
            // (`what_asks_for_grpc_over_http1_is_told_in_json`).
            return match asked.is_grpc() {
                true => Self::grpc(status, grpc_status(status), message),
                // The words are ours and need no escapes.
                false => Self::json(status, format!("{{\"message\":\"{message}\"}}")),
            };
        }
        let media = wanted.map_or(settings.error_default_type, Media::accepted);
        Self::in_media(status, media, message, settings, id)
    }

    fn json(status: u16, text: String) -> Self {
        Self {
            status,
            headers: vec![header("Content-Type", Media::Json.content_type())],
            body: text.into_bytes(),
        }
    }

    fn in_media(
        status: u16,
        media: Media,
        message: &str,
        settings: &DataPlaneSettings,
        id: &RequestId,
    ) -> Self {
        let body = media
            .page(&settings.error_templates, message, id.as_str())
            .into_bytes();
        Self {
            status,
            headers: vec![header("Content-Type", media.content_type())],
            body,
        }
    }

    fn redirect(status: u16, asked: &Asked<'_>) -> Self {
        let mut reply = Self::bare(status);
        let location = format!("https://{}{}", asked.host, asked.target);
        reply.headers.push(header("Location", location));
        reply
    }

    /// The page that the HTTP engine has for a status without words of Kong's.
    ///
    /// Compat: nginx names no charset on 301 and 302.
    fn bare(status: u16) -> Self {
        let title = format!("{status} {}", reason(status));
        let body = format!(
            "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
        );
        let content_type = if matches!(status, 301 | 302) {
            "text/html"
        } else {
            "text/html; charset=UTF-8"
        };
        Self {
            status,
            headers: vec![header("Content-Type", content_type)],
            body: body.into_bytes(),
        }
    }

    /// As [`Reply::bare`], with a title that says more than the status does.
    fn bare_titled(status: u16, title: &str) -> Self {
        let body = format!(
            "<html>\r\n<head><title>{status} {title}</title></head>\r\n<body>\r\n<center><h1>{status} {}</h1></center>\r\n\
             <center>{title}</center>\r\n</body>\r\n</html>\r\n",
            reason(status),
        );
        Self {
            body: body.into_bytes(),
            ..Self::bare(status)
        }
    }

    /// An answer that a gRPC client understands: the outcome is in the head, and there is no body.
    fn grpc(status: u16, code: u8, message: &str) -> Self {
        let headers = vec![
            header("Content-Type", "application/grpc"),
            header("grpc-status", code.to_string()),
            header("grpc-message", message.to_owned()),
        ];
        Self {
            status,
            headers,
            body: Vec::new(),
        }
    }

    fn upgrade(mut self, to: &'static str) -> Self {
        self.headers.push(header("Connection", "Upgrade"));
        self.headers.push(header("Upgrade", to));
        self
    }
}

/// Whether the HTTP engine has a page for a status.
fn has_page(status: u16) -> bool {
    status >= 300 && status != 304 && !reason(status).is_empty()
}

/// A header of an answer.
fn header(
    name: &'static str,
    value: impl Into<Cow<'static, str>>,
) -> (Cow<'static, str>, Cow<'static, [u8]>) {
    let value = match value.into() {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    };
    (Cow::Borrowed(name), value)
}

impl Asked<'_> {
    fn is_grpc(&self) -> bool {
        self.http2 && self.content_type.is_some_and(names_grpc)
    }
}

fn names_grpc(media_type: &str) -> bool {
    media_type.starts_with("application/grpc")
}

/// Kong's words for a status that the HTTP engine gives; `None` for those whose page Kong leaves alone.
fn handler_message(status: u16) -> Option<&'static str> {
    Some(match status {
        400 => "Bad request",
        404 => "Not found",
        405 => "Method not allowed",
        408 => "Request timeout",
        411 => "Length required",
        412 => "Precondition failed",
        413 => "Payload too large",
        414 => "URI too long",
        417 => "Expectation failed",
        494 => "Request header or cookie too large",
        500 => "An unexpected error occurred",
        502 => "An invalid response was received from the upstream server",
        503 => "The upstream server is currently unavailable",
        504 => "The upstream server is timing out",
        _ => return None,
    })
}

/// The gRPC status that stands for an HTTP status.
pub fn grpc_status(status: u16) -> u8 {
    match status {
        200..=299 => 0,
        401 => 16,
        403 => 7,
        404 => 5,
        409 => 6,
        429 => 8,
        499 => 1,
        400..=498 => 3,
        501 => 12,
        503 => 14,
        504 => 4,
        500..=599 => 13,
        _ => 2,
    }
}

fn grpc_message(code: u8) -> &'static str {
    const NAMES: [&str; 17] = [
        "OK",
        "Canceled",
        "Unknown",
        "InvalidArgument",
        "DeadlineExceeded",
        "NotFound",
        "AlreadyExists",
        "PermissionDenied",
        "ResourceExhausted",
        "FailedPrecondition",
        "Aborted",
        "OutOfRange",
        "Unimplemented",
        "Internal",
        "Unavailable",
        "DataLoss",
        "Unauthenticated",
    ];
    NAMES.get(usize::from(code)).copied().unwrap_or("Unknown")
}

/// The reason phrase of a status of ours.
pub fn reason(status: u16) -> &'static str {
    match status {
        301 => "Moved Permanently",
        302 => "Moved Temporarily",
        505 => "HTTP Version Not Supported",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Large",
        503 => "Service Temporarily Unavailable",
        504 => "Gateway Time-out",
        status => http::StatusCode::from_u16(status)
            .ok()
            .and_then(|status| status.canonical_reason())
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use stdx::SeededRandom;

    use super::*;

    fn reply(error: &Error, asked: &Asked<'_>) -> Reply {
        let id = RequestId::new(&mut SeededRandom::new(1));
        Reply::to_error(error, asked, &DataPlaneSettings::default(), &id)
    }

    fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        reply
            .headers
            .iter()
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    #[test]
    fn pages_follow_accept_then_content_type_then_the_default() {
        let asked = |accept, content_type| Asked {
            accept,
            content_type,
            ..Asked::default()
        };
        for (asked, expected) in [
            (asked(None, None), "text/plain; charset=utf-8"),
            (
                asked(None, Some("application/json")),
                "application/json; charset=utf-8",
            ),
            (
                asked(Some("text/html"), Some("application/json")),
                "text/html; charset=utf-8",
            ),
        ] {
            assert_eq!(
                header(&reply(&Error::UpstreamTimeout, &asked), "Content-Type"),
                Some(expected)
            );
        }
        let refusal = reply(&Error::NoRoute, &asked(None, Some("text/html")));
        assert_eq!(
            header(&refusal, "Content-Type"),
            Some("application/json; charset=utf-8")
        );
    }

    #[test]
    fn a_redirect_keeps_the_target() {
        let asked = Asked {
            host: "sec.test",
            target: "/a?b=%20",
            ..Asked::default()
        };
        let redirect = reply(&Error::HttpsRequired(301), &asked);
        assert_eq!(
            header(&redirect, "Location"),
            Some("https://sec.test/a?b=%20")
        );
        assert_eq!(
            (redirect.body.len(), header(&redirect, "Content-Type")),
            (134, Some("text/html"))
        );
        assert_eq!(reply(&Error::HttpsRequired(307), &asked).body.len(), 136);
        assert_eq!(
            header(&reply(&Error::HttpsRequired(426), &asked), "Upgrade"),
            Some("TLS/1.2, HTTP/1.1")
        );
    }

    #[test]
    fn grpc_clients_are_told_in_the_head() {
        let asked = Asked {
            content_type: Some("application/grpc+proto"),
            http2: true,
            ..Asked::default()
        };
        let refused = reply(&Error::NoRoute, &asked);
        assert_eq!(
            (
                header(&refused, "grpc-status"),
                header(&refused, "grpc-message")
            ),
            (Some("5"), Some("NotFound"))
        );
        let failed = reply(&Error::UpstreamTimeout, &asked);
        assert_eq!(
            (header(&failed, "grpc-status"), failed.body.len()),
            (Some("4"), 0)
        );
    }

    #[test]
    fn what_asks_for_grpc_over_http1_is_told_in_json() {
        let by_type = Asked {
            content_type: Some("application/grpc"),
            ..Asked::default()
        };
        let by_accept = Asked {
            accept: Some("application/grpc"),
            http2: true,
            ..Asked::default()
        };
        for asked in [by_type, by_accept] {
            let failed = reply(&Error::UpstreamTimeout, &asked);
            assert_eq!(header(&failed, "grpc-status"), None);
            assert_eq!(
                String::from_utf8_lossy(&failed.body),
                r#"{"message":"The upstream server is timing out"}"#
            );
        }
        let refused = reply(&Error::Http2Required, &by_type);
        assert_eq!(
            (refused.status, header(&refused, "Content-Type")),
            (426, Some("application/json; charset=utf-8"))
        );
        assert!(String::from_utf8_lossy(&refused.body).contains("Please use HTTP2 protocol"));
    }

    #[test]
    fn a_grpc_client_that_accepts_html_gets_the_page() {
        let asked = Asked {
            accept: Some("text/html"),
            content_type: Some("application/grpc"),
            http2: true,
            ..Asked::default()
        };
        let failed = reply(&Error::UpstreamTimeout, &asked);
        assert_eq!(
            header(&failed, "Content-Type"),
            Some("text/html; charset=utf-8")
        );
    }

    #[test]
    fn statuses_without_words_get_the_bare_page() {
        assert_eq!(
            reply(
                &Error::Request(http1::Error::UnknownCoding),
                &Asked::default()
            )
            .body
            .len(),
            130
        );
        assert_eq!(
            reply(&Error::Request(http1::Error::Version), &Asked::default())
                .body
                .len(),
            152
        );
    }
}
