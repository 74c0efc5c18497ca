//! Refuses requests whose bodies are too long.

use std::sync::Arc;

use http1::{Framing, Known};
use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Phase, Reply, Services, Step};
use serde::Deserialize;

#[derive(Deserialize)]
struct Config {
    allowed_payload_size: u64,
    size_unit: String,
    require_content_length: bool,
}

struct RequestSizeLimiting {
    /// The longest body, in bytes.
    limit: u64,
    require_content_length: bool,
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let unit = match config.size_unit.as_str() {
        "bytes" => 1,
        "kilobytes" => 1 << 10,
        _ => 1 << 20,
    };
    Ok(Arc::new(RequestSizeLimiting {
        limit: config.allowed_payload_size.saturating_mul(unit),
        require_content_length: config.require_content_length,
    }))
}

impl Handler for RequestSizeLimiting {
    fn needs(&self) -> Needs {
        Needs {
            unannounced_body: true,
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let length = match exchange.head.framing() {
            Framing::Length(length) => length,
            Framing::None if self.require_content_length => {
                let message = "A valid Content-Length header is required";
                return Step::answer(Reply::error(411, message));
            }
            _ => exchange.work.body_length,
        };
        if length <= self.limit {
            return Step::next();
        }
        let expects = exchange.head.headers.get(Known::Expect);
        let expects = expects.is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
        let status = if expects { 417 } else { 413 };
        Step::answer(Reply::error(status, "Request size limit exceeded"))
    }
}
