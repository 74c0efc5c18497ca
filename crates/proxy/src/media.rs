//! The form of an error page: what a client accepts, and the pages themselves.

use crate::settings::ErrorTemplates;

/// A form in which errors can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    Json,
    Html,
    Xml,
    Plain,
    Grpc,
}

impl Media {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Xml => "application/xml; charset=utf-8",
            Self::Plain => "text/plain; charset=utf-8",
            // Compat: Kong has no words for a client that accepts gRPC alone (case in proxy/routing).
            Self::Grpc => "",
        }
    }

    /// The media type by its name without parameters, as `error_default_type` spells it.
    pub fn named(name: &str) -> Option<Self> {
        let (kind, subtype) = name.split_once('/')?;
        match (kind, subtype) {
            ("application", "json") | ("application" | "*", "*") => Some(Self::Json),
            ("text", "html") => Some(Self::Html),
            ("application", "xml") => Some(Self::Xml),
            ("text", "plain" | "*") => Some(Self::Plain),
            ("application", "grpc") => Some(Self::Grpc),
            _ => None,
        }
    }

    /// What an `Accept` header prefers; JSON when it says nothing that we can write.
    pub fn accepted(accept: &str) -> Self {
        let mut best = (0, Self::Json);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            if !is_media_range(name) {
                continue;
            }
            let weight = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1000, thousandths);
            if weight > best.0 {
                best = (
                    weight,
                    Self::named(&name.to_ascii_lowercase()).unwrap_or(Self::Json),
                );
            }
        }
        best.1
    }

    /// The page that tells `message`.
    pub fn page(self, templates: &ErrorTemplates, message: &str, request_id: &str) -> String {
        let (custom, own) = match self {
            Self::Json => (
                &templates.json,
                "{\n  \"message\":\"%s\",\n  \"request_id\":\"%s\"\n}",
            ),
            Self::Html => (&templates.html, HTML),
            Self::Xml => (&templates.xml, XML),
            Self::Plain => (&templates.plain, "%s\nrequest_id: %s\n"),
            Self::Grpc => (&None, ""),
        };
        let template = custom.as_deref().unwrap_or(own);
        template
            .replacen("%s", message, 1)
            .replacen("%s", request_id, 1)
    }
}

// Compat: the length of these pages is visible in `Content-Length` (cases in proxy/errors).
const HTML: &str = "<!doctype html>\n<html>\n  <head>\n    <meta charset=\"utf-8\">\n    <title>Error</title>\n  </head>\n  <body>\n    \
                    <h1>Error</h1>\n    <p>%s.</p>\n    <p>request_id: %s</p>\n  </body>\n</html>\n";
const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error>\n  <message>%s</message>\n  \
                   <requestid>%s</requestid>\n</error>\n";

fn is_media_range(name: &str) -> bool {
    let token = |part: &str| {
        part == "*"
            || (part.len() > 1
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"!#$&^_+.-".contains(&b)))
    };
    name.split_once('/')
        .is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// A quality value (RFC 9110, 12.4.2) in thousandths; 0 when it is malformed.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.len() <= 3 && fraction.bytes().all(|b| b.is_ascii_digit());
    match whole {
        "1" => 1000,
        "0" if digits => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_accepted_form_wins_and_json_is_the_fallback() {
        for (accept, expected) in [
            ("text/html", Media::Html),
            ("text/html;q=0.5, application/xml", Media::Xml),
            ("text/plain;q=0.9,text/html;q=0.95", Media::Html),
            ("*/*", Media::Json),
            ("text/*", Media::Plain),
            ("application/*", Media::Json),
            ("image/png", Media::Json),
            ("", Media::Json),
            ("garbage", Media::Json),
            ("application/grpc", Media::Grpc),
            ("text/html;q=2, text/plain;q=0.1", Media::Plain),
        ] {
            assert_eq!(Media::accepted(accept), expected, "{accept}");
        }
    }

    #[test]
    fn pages_have_the_length_that_kong_announces() {
        let none = ErrorTemplates::default();
        let id = "0".repeat(32);
        let message = "An invalid response was received from the upstream server";
        let length = |media: Media| media.page(&none, message, &id).len();
        assert_eq!(
            (
                length(Media::Html),
                length(Media::Xml),
                length(Media::Plain)
            ),
            (266, 193, 103)
        );
        assert_eq!(
            Media::Json
                .page(&none, "no Route matched with those values", &id)
                .len(),
            103
        );
    }

    #[test]
    fn a_template_of_the_user_replaces_the_page() {
        let templates = ErrorTemplates {
            json: Some("{\"m\":\"%s\",\"i\":\"%s\"}".to_owned()),
            ..ErrorTemplates::default()
        };
        assert_eq!(
            Media::Json.page(&templates, "no", "7"),
            "{\"m\":\"no\",\"i\":\"7\"}"
        );
    }
}
