//! The formats that readers of the page understand.

/// How the page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Prometheus' text format 0.0.4, with the media type that Kong gives it.
    #[default]
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The format that an `Accept` header prefers; text if it says nothing.
    ///
    /// Of several media types the one with the highest weight counts, and the first one of equals.
    pub fn accepted(header: Option<&str>) -> Self {
        let mut best = (0.0, Self::Text);
        for range in header.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some(name) if name.eq_ignore_ascii_case("application/openmetrics-text") => {
                    Self::OpenMetrics
                }
                Some("text/plain" | "text/*" | "*/*") => Self::Text,
                _ => continue,
            };
            let mut weight = 1.0;
            let mut is_known = true;
            for parameter in parts {
                match parameter.split_once('=') {
                    Some(("q", value)) => weight = value.parse().unwrap_or(0.0),
                    Some(("version", version)) if format == Self::OpenMetrics => {
                        is_known = matches!(version, "1.0.0" | "0.0.1");
                    }
                    _ => {}
                }
            }
            if is_known && weight > best.0 {
                best = (weight, format);
            }
        }
        best.1
    }

    /// The value of `Content-Type`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; charset=UTF-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}
