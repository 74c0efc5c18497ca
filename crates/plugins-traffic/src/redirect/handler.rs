//! Sends clients elsewhere.

use std::sync::Arc;

use plugin_api::{
    Body, Configured, Exchange, Failure, Handler, Needs, Phase, Reply, Services, Step,
};
use serde::Deserialize;
use url::Url;

#[derive(Deserialize)]
struct Config {
    status_code: u16,
    location: String,
    keep_incoming_path: bool,
}

struct Redirect {
    config: Config,
    /// The location taken apart, if the path of requests is put into it.
    base: Option<Url>,
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let base = config
        .keep_incoming_path
        .then(|| Url::parse(&config.location));
    let base = base.transpose();
    let base = base.map_err(|error| Failure::new(format!("the location is no URL: {error}")))?;
    Ok(Arc::new(Redirect { config, base }))
}

impl Handler for Redirect {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let location = match &self.base {
            None => self.config.location.clone(),
            Some(base) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let mut url = base.clone();
                url.set_path(&text(exchange.head.path()));
                url.set_query(exchange.head.query().map(text).as_deref());
                url.into()
            }
        };
        let reply = Reply::new(self.config.status_code)
            .with_header("Location", location)
            .with_body(Body::Bytes("redirecting".into()));
        Step::answer(reply)
    }
}
