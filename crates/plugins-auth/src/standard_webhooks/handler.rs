//! Checks the signature of a webhook.

use std::sync::Arc;

use aws_lc_rs::{constant_time, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Needs, Phase, Reply, Services, Step,
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Config {
    secret_v1: String,
    tolerance_second: i64,
}

struct StandardWebhooks {
    key: hmac::Key,
    tolerance: i64,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(StandardWebhooks {
        key: hmac::Key::new(hmac::HMAC_SHA256, config.secret_v1.as_bytes()),
        tolerance: config.tolerance_second,
        services: services.clone(),
    }))
}

impl Handler for StandardWebhooks {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let flow = match self.is_genuine(exchange) {
            true => Flow::Next,
            false => Reply::error(400, "Bad request").into(),
        };
        Step::Now(Ok(flow))
    }
}

impl StandardWebhooks {
    fn is_genuine(&self, exchange: &Exchange<'_>) -> bool {
        let header = |name: &str| exchange.head.headers.get(name);
        let (Some(id), Some(signature), Some(timestamp)) = (
            header("webhook-id"),
            header("webhook-signature"),
            header("webhook-timestamp"),
        ) else {
            return false;
        };
        let seconds: Option<i64> = std::str::from_utf8(timestamp)
            .ok()
            .and_then(|text| text.parse().ok());
        let now = self.services.clock.unix_seconds();
        let is_recent =
            seconds.is_some_and(|seconds| now.saturating_sub(seconds) <= self.tolerance);
        let body = exchange.body();
        if !is_recent || body.is_empty() {
            return false;
        }
        let signed = [id, b".", timestamp, b".", body].concat();
        let expected = format!("v1,{}", STANDARD.encode(hmac::sign(&self.key, &signed)));
        constant_time::verify_slices_are_equal(expected.as_bytes(), signature).is_ok()
    }
}
