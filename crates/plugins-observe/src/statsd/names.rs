//! How what an exchange was about is named.

use plugin_api::{Consumer, Exchange, Matched, Workspace};
use serde::Deserialize;
use uuid::Uuid;

use crate::stats::{ConsumerBy, Server, in_name, in_tag, one_part};

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum ServiceBy {
    #[serde(rename = "service_id")]
    Id,
    #[serde(rename = "service_name")]
    Name,
    #[serde(rename = "service_host")]
    Host,
    #[serde(rename = "service_name_or_host")]
    NameOrHost,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum WorkspaceBy {
    #[serde(rename = "workspace_id")]
    Id,
    #[serde(rename = "workspace_name")]
    Name,
}

/// How a metric names them, where it says so.
#[derive(Deserialize)]
pub(super) struct Identifiers {
    consumer_identifier: Option<ConsumerBy>,
    service_identifier: Option<ServiceBy>,
    workspace_identifier: Option<WorkspaceBy>,
}

/// How they are named where a metric does not say.
#[derive(Deserialize)]
pub(super) struct Defaults {
    consumer_identifier_default: ConsumerBy,
    service_identifier_default: ServiceBy,
    workspace_identifier_default: WorkspaceBy,
}

/// The names for one metric of one exchange.
pub(super) struct Names<'a> {
    matched: &'a Matched<'a>,
    consumer: Option<&'a Consumer>,
    consumer_by: ConsumerBy,
    service_by: ServiceBy,
    workspace_by: WorkspaceBy,
}

impl<'a> Names<'a> {
    pub(super) fn of(
        exchange: &'a Exchange<'_>,
        wished: &Identifiers,
        defaults: &Defaults,
    ) -> Self {
        Self {
            matched: &exchange.matched,
            consumer: exchange.work.consumer.as_deref(),
            consumer_by: wished
                .consumer_identifier
                .unwrap_or(defaults.consumer_identifier_default),
            service_by: wished
                .service_identifier
                .unwrap_or(defaults.service_identifier_default),
            workspace_by: wished
                .workspace_identifier
                .unwrap_or(defaults.workspace_identifier_default),
        }
    }

    /// What the names of metrics begin with, behind the prefix.
    pub(super) fn scope(&self) -> String {
        if self.matched.service.is_none() {
            return "global.unmatched".to_owned();
        }
        let service = self.service();
        let service = service.map_or_else(|| "unnamed".to_owned(), |name| one_part(&name));
        format!("service.{service}")
    }

    fn service(&self) -> Option<String> {
        let service = self.matched.service?;
        let host = self.matched.service_host;
        let name = match self.service_by {
            ServiceBy::Id => return Some(service.id.to_string()),
            ServiceBy::Name => service.name,
            ServiceBy::Host => host,
            ServiceBy::NameOrHost => service.name.or(host),
        };
        name.map(str::to_owned)
    }

    /// The consumer in a name, if there is one that is named so.
    pub(super) fn consumer(&self) -> Option<String> {
        self.raw_consumer().map(|name| in_name(&name))
    }

    fn raw_consumer(&self) -> Option<String> {
        let consumer = self.consumer?;
        match self.consumer_by {
            ConsumerBy::ConsumerId => Some(consumer.id.to_string()),
            ConsumerBy::CustomId => consumer.custom_id.as_deref().map(str::to_owned),
            ConsumerBy::Username => consumer.username.as_deref().map(str::to_owned),
        }
    }

    pub(super) fn route(&self) -> Option<Uuid> {
        self.matched.route.map(|route| route.id)
    }

    /// The workspace, or what stands for its id until the entry is sent.
    pub(super) fn workspace(&self) -> String {
        match self.workspace_by {
            WorkspaceBy::Id => Server::WORKSPACE.to_string(),
            WorkspaceBy::Name => Workspace::NAME.to_owned(),
        }
    }

    /// The tags of a metric; none without a service that is named so.
    pub(super) fn tags(&self, node: &str, status: u16) -> Vec<(&'static str, String)> {
        let Some(service) = self.service() else {
            return Vec::new();
        };
        let mut tags = vec![("service", in_tag(&service))];
        if let Some(route) = self.matched.route {
            let name = route.name.map(in_tag);
            tags.push(("route", name.unwrap_or_else(|| route.id.to_string())));
        }
        tags.push(("workspace", self.workspace()));
        if let Some(consumer) = self.raw_consumer() {
            tags.push(("consumer", in_tag(&consumer)));
        }
        tags.push(("node", node.to_owned()));
        tags.push(("status", status.to_string()));
        tags
    }
}
