//! Compares the groups of a consumer with those of the configuration.

use std::sync::Arc;

use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Needs, Outcome, Phase, Reply, Services, Step,
};
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

#[derive(Deserialize)]
struct Config {
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
    hide_groups_header: bool,
    always_use_authenticated_groups: bool,
}

/// Which groups pass.
enum Rule {
    Only(Vec<String>),
    AllBut(Vec<String>),
}

struct Acl {
    rule: Rule,
    hide_groups_header: bool,
    always_use_authenticated_groups: bool,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let rule = match config.deny {
        Some(deny) if !deny.is_empty() => Rule::AllBut(deny),
        _ => Rule::Only(config.allow.unwrap_or_default()),
    };
    Ok(Arc::new(Acl {
        rule,
        hide_groups_header: config.hide_groups_header,
        always_use_authenticated_groups: config.always_use_authenticated_groups,
        services: services.clone(),
    }))
}

impl Handler for Acl {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::later(self.judge(exchange))
    }
}

impl Acl {
    async fn judge(&self, exchange: &mut Exchange<'_>) -> Outcome {
        let authenticated = exchange.work.credential.is_some();
        let stranger = || {
            if authenticated {
                forbidden()
            } else {
                Reply::error(401, "Unauthorized").into()
            }
        };
        let consumer = exchange.work.consumer.as_ref().map(|consumer| consumer.id);
        // Groups that an authentication gave count for those without a consumer, and for an anonymous one.
        let given = exchange.work.groups.clone().filter(|_| {
            consumer.is_none() || !authenticated || self.always_use_authenticated_groups
        });
        let (groups, header) = match (given, consumer) {
            (Some(groups), _) => (groups, "X-Authenticated-Groups"),
            (None, None) => return Ok(stranger()),
            (None, Some(consumer)) => match self.groups_of(consumer).await {
                Ok(groups) if groups.is_empty() && matches!(self.rule, Rule::Only(_)) => {
                    return Ok(stranger());
                }
                Ok(groups) => (groups, "X-Consumer-Groups"),
                Err(reply) => return Ok(reply.into()),
            },
        };
        let is_in = |wanted: &[String]| {
            groups
                .iter()
                .any(|group| wanted.iter().any(|wanted| **wanted == **group))
        };
        let passes = match &self.rule {
            Rule::Only(allowed) => is_in(allowed),
            Rule::AllBut(denied) => !is_in(denied),
        };
        if !passes {
            return Ok(forbidden());
        }
        if !self.hide_groups_header {
            exchange.head.headers.set(header, groups.join(", "))?;
        }
        Ok(Flow::Next)
    }

    async fn groups_of(&self, consumer: Uuid) -> Result<Vec<Box<str>>, Reply> {
        let children = self.services.records.children("acls", "consumer", consumer);
        let records = children.get().await.map_err(|_| {
            Reply::error(
                503,
                "the groups of the consumer cannot be looked up right now",
            )
        })?;
        let groups = records
            .iter()
            .filter_map(|record| record.get("group").and_then(Value::as_str));
        Ok(groups.map(Box::from).collect())
    }
}

fn forbidden() -> Flow {
    Reply::error(403, "You cannot consume this service").into()
}
