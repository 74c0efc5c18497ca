//! Compares the groups of a consumer with those of the configuration.

use std::sync::Arc;

use plugin_api::{
    Configured, Exchange, Failure, Flow, Handler, Lookup, Needs, Outcome, Phase, Reply, Services,
    Step,
};
use schema::Record;
use serde::Deserialize;

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
        let authenticated = exchange.work.credential.is_some();
        let consumer = exchange.work.consumer.as_ref().map(|consumer| consumer.id);
        // Groups that an authentication gave count for those without a consumer, and for an anonymous one.
        let given = exchange.work.groups.clone().filter(|_| {
            consumer.is_none() || !authenticated || self.always_use_authenticated_groups
        });
        if let Some(groups) = given {
            let groups: Vec<_> = groups.iter().map(|group| &**group).collect();
            return Step::Now(self.judge(exchange, &groups, "X-Authenticated-Groups"));
        }
        let Some(consumer) = consumer else {
            return Step::Now(Ok(stranger(exchange)));
        };
        let records = &self.services.records;
        match records.children("acls", "consumer", consumer) {
            Lookup::Known(acls) => Step::Now(self.judge_member(exchange, &acls)),
            Lookup::Fetch(fetch) => Step::later(async move {
                let problem = "the groups of the consumer cannot be looked up right now";
                match fetch.await {
                    Ok(acls) => self.judge_member(exchange, &acls),
                    Err(_) => Ok(Reply::error(503, problem).into()),
                }
            }),
        }
    }
}

impl Acl {
    /// Whether a consumer with these memberships may pass.
    fn judge_member(&self, exchange: &mut Exchange<'_>, acls: &[Arc<Record>]) -> Outcome {
        let groups = acls.iter().map(|acl| acl.get("group"));
        let groups: Vec<_> = groups.filter_map(|group| group?.as_str()).collect();
        if groups.is_empty() && matches!(self.rule, Rule::Only(_)) {
            return Ok(stranger(exchange));
        }
        self.judge(exchange, &groups, "X-Consumer-Groups")
    }

    /// Whether somebody in these groups may pass, of which `header` tells the upstream.
    fn judge(&self, exchange: &mut Exchange<'_>, groups: &[&str], header: &'static str) -> Outcome {
        let is_in = |wanted: &[String]| {
            let mut groups = groups.iter();
            groups.any(|group| wanted.iter().any(|wanted| wanted == group))
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
}

/// The answer to who is in no group.
fn stranger(exchange: &Exchange<'_>) -> Flow {
    if exchange.work.credential.is_some() {
        return forbidden();
    }
    Reply::error(401, "Unauthorized").into()
}

fn forbidden() -> Flow {
    Reply::error(403, "You cannot consume this service").into()
}
