//! Has a model rewrite the body of a request.

use std::sync::Arc;

use plugin_api::{Configured, Exchange, Failure, Flow, Handler, Needs, Phase, Services, Step};
use serde::Deserialize;

use crate::conversation::{MOST_HELD, refusal};
use crate::introspection::Introspection;

#[derive(Deserialize)]
struct Config {
    max_request_body_size: u64,
}

struct Transformer {
    model: Introspection,
    /// The most bytes of a body that the model gets.
    most: u64,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(Transformer {
        model: Introspection::build("ai-request-transformer", record, services)?,
        most: config.max_request_body_size,
    }))
}

impl Handler for Transformer {
    fn needs(&self) -> Needs {
        Needs {
            request_body: true,
            held_body: self.most.min(MOST_HELD),
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if exchange.work.body_length.max(exchange.body().len() as u64) > self.most {
            return Step::answer(refusal("request body is longer than max_request_body_size"));
        }
        Step::later(async move {
            let given = exchange.work.body.clone().unwrap_or_default();
            Ok(match self.model.rewrite(exchange, &given).await {
                Ok(rewritten) => {
                    exchange.work.log_edits.extend(rewritten.log);
                    exchange.set_body(rewritten.text);
                    Flow::Next
                }
                Err(reason) => refusal(reason).into(),
            })
        })
    }
}
