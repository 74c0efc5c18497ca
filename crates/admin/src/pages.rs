//! The endpoints that do not follow from a declaration, one row each.

mod cache;
mod cluster;
mod clustering;
mod config;
mod log_level;
mod node;
mod plugins;
mod schemas;
pub mod status;
mod tags;
mod targets;

use std::pin::Pin;

use axum::response::Response;
use http::{Method, StatusCode};

use crate::error::Error;
use crate::router::Call;

/// What a handler gives back.
pub type Answering<'a> = Pin<Box<dyn Future<Output = Result<Response, Error>> + Send + 'a>>;

/// One endpoint.
#[derive(Clone, Copy)]
pub struct Page {
    /// With parameters in braces.
    pub path: &'static str,
    pub methods: &'static [Method],
    /// What it does, for the OpenAPI document.
    pub summary: &'static str,
    /// The entity that arguments and answers are about.
    pub entity: Option<&'static str>,
    /// What the answer is.
    pub shape: Shape,
    /// Statuses that it answers with besides 200 and those of every endpoint.
    pub statuses: &'static [u16],
    handler: for<'a> fn(Call<'a>) -> Answering<'a>,
    /// Every request, whatever its method, ends like this.
    refusal: Option<Refusal>,
    /// Whether Kong has it as well, and so `/endpoints` lists it.
    pub listed: bool,
}

/// What the body of a page is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// An object that the document does not describe further.
    Object,
    /// `{"message": …}`.
    Message,
    /// A record of the entity.
    Record,
    /// A list of records of the entity.
    Records,
    /// No body.
    Nothing,
    /// Plain text.
    Text,
}

#[derive(Debug, Clone, Copy)]
enum Refusal {
    NotFound,
    NeedsWasm,
}

const GET: &[Method] = &[Method::GET];
const POST: &[Method] = &[Method::POST];
const PUT: &[Method] = &[Method::PUT];
const GET_POST: &[Method] = &[Method::GET, Method::POST];
const ENTITY: &[Method] = &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE];

/// A row with the usual values; the table says what differs.
const ROW: Page = Page {
    path: "/",
    methods: GET,
    summary: "",
    entity: None,
    shape: Shape::Object,
    statuses: &[],
    handler: |_| Box::pin(async { Err(Error::NotFound) }),
    refusal: None,
    listed: true,
};

/// An endpoint that Kong generates and then takes away.
const fn gone(path: &'static str, methods: &'static [Method]) -> Page {
    Page {
        path,
        methods,
        summary: "Not served.",
        refusal: Some(Refusal::NotFound),
        statuses: &[404],
        ..ROW
    }
}

/// An endpoint of WebAssembly filters, which this gateway does not run.
const fn wasm(path: &'static str, methods: &'static [Method]) -> Page {
    let summary = "Refused, because WebAssembly filters are not enabled.";
    Page {
        path,
        methods,
        summary,
        refusal: Some(Refusal::NeedsWasm),
        statuses: &[400],
        ..ROW
    }
}

/// Every page.
pub const PAGES: &[Page] = &[
    Page {
        summary: "Facts about the node: its version, its plugins and its settings.",
        handler: |call| Box::pin(node::root(call)),
        ..ROW
    },
    Page {
        path: "/endpoints",
        summary: "The paths of the Admin API.",
        handler: |call| Box::pin(node::endpoints(call)),
        ..ROW
    },
    Page {
        path: "/openapi.json",
        summary: "This document.",
        handler: |call| Box::pin(node::openapi(call)),
        listed: false,
        ..ROW
    },
    Page {
        path: "/timers",
        summary: "The background tasks of the node.",
        handler: |call| Box::pin(node::timers(call)),
        ..ROW
    },
    Page {
        path: "/status",
        summary: "Connections, requests, memory, and whether the database answers.",
        statuses: &[400],
        handler: |call| Box::pin(status::admin(call)),
        ..ROW
    },
    Page {
        path: "/status/dns",
        summary: "The state of the DNS client.",
        shape: Shape::Message,
        statuses: &[501],
        handler: |call| Box::pin(status::dns(call)),
        ..ROW
    },
    Page {
        path: "/metrics",
        summary: "Metrics in the Prometheus text format.",
        shape: Shape::Text,
        statuses: &[404],
        handler: |call| Box::pin(status::metrics(call)),
        ..ROW
    },
    Page {
        path: "/schemas/{name}",
        summary: "The declaration of an entity.",
        statuses: &[404],
        handler: |call| Box::pin(schemas::entity(call)),
        ..ROW
    },
    Page {
        path: "/schemas/plugins/{name}",
        summary: "The declaration of a plugin.",
        statuses: &[404],
        handler: |call| Box::pin(schemas::plugin(call)),
        ..ROW
    },
    Page {
        path: "/schemas/vaults/{name}",
        summary: "The declaration of a kind of vault.",
        statuses: &[404],
        handler: |call| Box::pin(schemas::vault(call)),
        ..ROW
    },
    Page {
        path: "/schemas/filters/{name}",
        summary: "The declaration of a WebAssembly filter; there are none.",
        shape: Shape::Message,
        statuses: &[404],
        handler: |call| Box::pin(schemas::filter(call)),
        ..ROW
    },
    Page {
        path: "/schemas/{db_entity_name}/validate",
        methods: POST,
        summary: "Checks a record without storing it.",
        shape: Shape::Message,
        statuses: &[400, 404],
        handler: |call| Box::pin(schemas::validate(call)),
        ..ROW
    },
    Page {
        path: "/schemas/plugins/validate",
        methods: POST,
        summary: "Checks a plugin without storing it.",
        entity: Some("plugins"),
        shape: Shape::Message,
        statuses: &[400],
        handler: |call| Box::pin(schemas::validate(call)),
        ..ROW
    },
    Page {
        path: "/schemas/vaults/validate",
        methods: POST,
        summary: "Checks a vault without storing it.",
        entity: Some("vaults"),
        shape: Shape::Message,
        statuses: &[400],
        handler: |call| Box::pin(schemas::validate(call)),
        ..ROW
    },
    Page {
        path: "/plugins/enabled",
        summary: "The names of the plugins that can be configured.",
        handler: |call| Box::pin(plugins::enabled(call)),
        ..ROW
    },
    Page {
        path: "/plugins/schema/{name}",
        summary: "The declaration of a plugin's configuration; superseded by /schemas/plugins/{name}.",
        statuses: &[404],
        handler: |call| Box::pin(plugins::schema(call)),
        ..ROW
    },
    Page {
        path: "/tags/{tags}",
        methods: ENTITY,
        summary: "The entities that carry a tag.",
        entity: Some("tags"),
        shape: Shape::Records,
        statuses: &[400],
        handler: |call| Box::pin(tags::page(call)),
        ..ROW
    },
    Page {
        path: "/cache",
        methods: &[Method::DELETE],
        summary: "Drops every cached value.",
        shape: Shape::Nothing,
        statuses: &[204],
        handler: |call| Box::pin(cache::purge(call)),
        ..ROW
    },
    Page {
        path: "/cache/{key}",
        methods: &[Method::GET, Method::DELETE],
        summary: "Shows or drops one cached value.",
        statuses: &[204, 404],
        handler: |call| Box::pin(cache::one(call)),
        ..ROW
    },
    Page {
        path: "/config",
        methods: GET_POST,
        summary: "Shows or replaces the declarative configuration of a node without a database.",
        statuses: &[201, 304, 400, 429],
        handler: |call| Box::pin(config::config(call)),
        ..ROW
    },
    Page {
        path: "/debug/node/log-level",
        summary: "The level of the error log.",
        shape: Shape::Message,
        handler: |call| Box::pin(log_level::show(call)),
        ..ROW
    },
    Page {
        path: "/debug/node/log-level/{log_level}",
        methods: PUT,
        summary: "Sets the level of the error log of this node for a while.",
        shape: Shape::Message,
        statuses: &[400, 405],
        handler: |call| Box::pin(log_level::set(call)),
        ..ROW
    },
    Page {
        path: "/debug/cluster/log-level/{log_level}",
        methods: PUT,
        summary: "Sets the level of the error log of all nodes for a while.",
        shape: Shape::Message,
        statuses: &[400, 405],
        handler: |call| Box::pin(log_level::set_everywhere(call)),
        ..ROW
    },
    Page {
        path: "/cluster",
        summary: "The nodes that share the database, the versions that they serve, and whether the database answers.",
        handler: |call| Box::pin(cluster::show(call)),
        listed: false,
        ..ROW
    },
    Page {
        path: "/cluster/accept",
        methods: POST,
        summary: "Takes the content of a database that looks lost for what it is.",
        shape: Shape::Nothing,
        statuses: &[204],
        handler: |call| Box::pin(cluster::accept(call)),
        listed: false,
        ..ROW
    },
    Page {
        path: "/clustering/data-planes",
        summary: "Refused, because this node is no control plane.",
        shape: Shape::Message,
        statuses: &[400],
        handler: |call| Box::pin(clustering::refuse(call)),
        ..ROW
    },
    Page {
        path: "/clustering/status",
        summary: "Refused, because this node is no control plane.",
        shape: Shape::Message,
        statuses: &[400],
        handler: |call| Box::pin(clustering::refuse(call)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/health",
        summary: "The targets of an upstream with their health.",
        statuses: &[400, 404],
        handler: |call| Box::pin(targets::health(call)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/targets",
        methods: GET_POST,
        summary: "The targets of an upstream.",
        entity: Some("targets"),
        shape: Shape::Records,
        statuses: &[201, 400, 404, 409],
        handler: |call| Box::pin(targets::collection(call)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/targets/all",
        summary: "The targets of an upstream in the order of their ids.",
        entity: Some("targets"),
        shape: Shape::Records,
        statuses: &[400, 404],
        handler: |call| Box::pin(targets::all(call)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/targets/{targets}",
        methods: ENTITY,
        summary: "One target of an upstream, by id or by address.",
        entity: Some("targets"),
        shape: Shape::Record,
        statuses: &[204, 400, 404, 409],
        handler: |call| Box::pin(targets::one(call)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/targets/{targets}/healthy",
        methods: PUT,
        summary: "Marks a target healthy.",
        shape: Shape::Nothing,
        statuses: &[204, 400, 404],
        handler: |call| Box::pin(targets::mark(call, true)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/targets/{targets}/unhealthy",
        methods: PUT,
        summary: "Marks a target unhealthy.",
        shape: Shape::Nothing,
        statuses: &[204, 400, 404],
        handler: |call| Box::pin(targets::mark(call, false)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/targets/{targets}/{address}/healthy",
        methods: PUT,
        summary: "Marks one address of a target healthy.",
        shape: Shape::Nothing,
        statuses: &[204, 400, 404],
        handler: |call| Box::pin(targets::mark(call, true)),
        ..ROW
    },
    Page {
        path: "/upstreams/{upstreams}/targets/{targets}/{address}/unhealthy",
        methods: PUT,
        summary: "Marks one address of a target unhealthy.",
        shape: Shape::Nothing,
        statuses: &[204, 400, 404],
        handler: |call| Box::pin(targets::mark(call, false)),
        ..ROW
    },
    gone("/targets", GET_POST),
    gone("/targets/{targets}", ENTITY),
    gone("/targets/{targets}/upstream", ENTITY),
    gone("/snis/{snis}/certificate", ENTITY),
    wasm("/filter-chains", GET_POST),
    wasm("/filter-chains/{filter_chains}", ENTITY),
    wasm("/filter-chains/{filter_chains}/route", ENTITY),
    wasm("/filter-chains/{filter_chains}/service", ENTITY),
    wasm("/routes/{routes}/filter-chains", GET_POST),
    wasm("/routes/{routes}/filter-chains/{filter_chains}", ENTITY),
    wasm("/services/{services}/filter-chains", GET_POST),
    wasm("/services/{services}/filter-chains/{filter_chains}", ENTITY),
    wasm("/routes/{routes}/filters/all", GET),
    wasm("/routes/{routes}/filters/enabled", GET),
    wasm("/routes/{routes}/filters/disabled", GET),
];

/// Readiness, which only the Status API has.
pub const READY: Page = Page {
    path: "/status/ready",
    methods: GET_POST,
    summary: "Whether the node is ready to proxy; posting `status=draining` makes it say no.",
    shape: Shape::Message,
    statuses: &[204, 400, 503],
    handler: |call| Box::pin(status::ready(call)),
    ..ROW
};

impl Page {
    /// Answers a call.
    pub fn call<'a>(&self, call: Call<'a>) -> Answering<'a> {
        (self.handler)(call)
    }

    /// The same page, to be read only.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self {
            methods: GET,
            ..self
        }
    }

    /// Whether every request is refused.
    pub fn is_refused(&self) -> bool {
        self.refusal.is_some()
    }

    /// Refuses what is refused whatever the method.
    pub fn refuse_all(&self) -> Result<(), Error> {
        match self.refusal {
            None => Ok(()),
            Some(Refusal::NotFound) => Err(Error::NotFound),
            Some(Refusal::NeedsWasm) => {
                let message = "this endpoint is only available when wasm is enabled".to_owned();
                Err(Error::Refused(StatusCode::BAD_REQUEST, message))
            }
        }
    }

    /// Whether a YAML body is taken.
    pub fn accepts_yaml(&self) -> bool {
        self.path == "/config"
    }
}
