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
    ///
    /// Compat: a range counts as far as it can be read, with full weight where its weight cannot be, and names count in
    /// small letters only (`the_best_accepted_form_wins_and_json_is_the_fallback`).
    pub fn accepted(accept: &str) -> Self {
        let mut best = (0, Self::Json);
        for range in accept.split(',') {
            let Some((name, parameters)) = split_range(range.trim()) else {
                continue;
            };
            let weight = weight(parameters);
            if weight > best.0 {
                best = (weight, Self::named(name).unwrap_or(Self::Json));
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

/// Splits a media range into its name and what follows; `None` if it does not begin with one.
fn split_range(range: &str) -> Option<(&str, &str)> {
    let kind = word(range)?;
    let rest = range.get(kind.len()..)?.strip_prefix('/')?;
    let subtype = word(rest)?;
    Some(range.split_at(kind.len() + 1 + subtype.len()))
}

/// The name at the start of a text: two characters at least, or a star.
fn word(text: &str) -> Option<&str> {
    if text.starts_with('*') {
        return text.get(..1);
    }
    let end = text.bytes().position(|byte| !is_name_byte(byte));
    text.get(..end.unwrap_or(text.len())).filter(|word| {
        word.len() > 1 && word.starts_with(|first: char| first.is_ascii_alphanumeric())
    })
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&^_+.-".contains(&byte)
}

/// The weight of a media range in thousandths: the last `q` among its parameters, up to the first that cannot be read.
fn weight(mut parameters: &str) -> u32 {
    const FULL: u32 = 1000;
    let mut weight = FULL;
    while let Some(parameter) = parameters.trim_start().strip_prefix(';') {
        let parameter = parameter.trim_start();
        if let Some((value, rest)) = quality(parameter) {
            (weight, parameters) = (value, rest);
        } else if let Some(name) = word(parameter).filter(|name| *name != "*") {
            let rest = parameter.get(name.len()..).unwrap_or_default();
            let end = match rest.starts_with('=') {
                true => rest.find(';').unwrap_or(rest.len()),
                false => 0,
            };
            parameters = rest.get(end..).unwrap_or_default();
        } else {
            break;
        }
    }
    weight
}

/// A quality value (RFC 9110, 12.4.2) in thousandths, and what follows it; digits beyond the third are not looked at.
fn quality(parameter: &str) -> Option<(u32, &str)> {
    let value = parameter
        .strip_prefix("q=")
        .or_else(|| parameter.strip_prefix("Q="))?;
    if let Some(rest) = value.strip_prefix('1') {
        return Some((1000, after_fraction(rest, |digit| digit == b'0').1));
    }
    let (digits, rest) = after_fraction(value.strip_prefix('0')?, |digit| digit.is_ascii_digit());
    Some((format!("{digits:0<3}").parse().unwrap_or(0), rest))
}

/// Splits a point and at most three digits from the start of a text.
fn after_fraction(text: &str, is_digit: fn(u8) -> bool) -> (&str, &str) {
    let Some(fraction) = text.strip_prefix('.') else {
        return ("", text);
    };
    let digits = fraction.bytes().take(3).take_while(|byte| is_digit(*byte));
    fraction.split_at(digits.count())
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
            ("text/html;q=2, text/plain;q=0.9", Media::Html),
            ("text/plain;q=0.9, text/html;q=x", Media::Html),
            ("text/html;level=1;q=0.4, text/plain;Q=0.5", Media::Plain),
            ("text/html;v=1;q=0.4, text/plain;q=0.5", Media::Html),
            ("text/html;q=0.4;q=0.6, text/plain;q=0.5", Media::Html),
            ("text/html;q=0.5555, text/plain;q=0.555", Media::Html),
            ("text/html;q=0", Media::Json),
            ("text/html ; q=0.1, text/plain;q=0.05", Media::Html),
            ("text/html and more", Media::Html),
            ("Text/HTML", Media::Json),
            ("a/b, */*", Media::Json),
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
