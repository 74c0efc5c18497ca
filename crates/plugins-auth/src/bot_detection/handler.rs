//! Looks at the user agent.

use std::sync::Arc;

use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Known, Needs, Phase, Reply, Services, Step,
};
use regex::bytes::Regex;
use serde::Deserialize;

use super::bots;

#[derive(Deserialize)]
struct Config {
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
}

struct BotDetection {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
    bots: Arc<Regex>,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let bots = services.shared.get("bot-detection", bots::pattern);
    Ok(Arc::new(BotDetection {
        allow: compile(config.allow)?,
        deny: compile(config.deny)?,
        bots: Arc::new(bots.as_ref().clone().map_err(not_usable)?),
    }))
}

fn compile(patterns: Option<Vec<String>>) -> Result<Vec<Regex>, Failure> {
    let patterns = patterns.unwrap_or_default();
    let compiled = patterns.iter().map(|pattern| Regex::new(pattern));
    compiled
        .map(|pattern| pattern.map_err(not_usable))
        .collect()
}

fn not_usable(error: regex::Error) -> Failure {
    Failure::new(format!("a pattern cannot be used: {error}"))
}

impl Handler for BotDetection {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Now(Ok(self.judge(exchange)))
    }
}

impl BotDetection {
    fn judge(&self, exchange: &Exchange<'_>) -> Flow {
        let mut agents = exchange.head.headers.get_all(&Known::UserAgent);
        let Some(agent) = agents.next() else {
            return Flow::Next;
        };
        if agents.next().is_some() {
            return Reply::error(400, "Only one User-Agent header allowed").into();
        }
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(agent));
        if any(&self.allow) || !(any(&self.deny) || self.bots.is_match(agent)) {
            return Flow::Next;
        }
        Reply::error(403, "Forbidden").into()
    }
}
