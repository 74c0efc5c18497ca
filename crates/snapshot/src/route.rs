//! Routes: which requests go to which service.

use std::sync::Arc;

use router::{
    AddressRule, Endpoint, Flavor, HeaderRule, PathHandling, Protocol, RareRules, Routable,
    RouteSpec,
};
use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::read::Reader;
use crate::{Error, Service};

/// What requests a route takes, and what happens to them.
#[derive(Debug, Clone)]
pub struct Route {
    pub spec: RouteSpec,
    pub id: Uuid,
    pub name: Option<Box<str>>,
    /// The service that it names, whether or not there is one.
    pub service_id: Option<Uuid>,
    /// `None` for a route without a service, which answers by itself.
    pub service: Option<Arc<Service>>,
    pub strip_path: bool,
    pub preserve_host: bool,
    /// What it amounts to in the router's flavour.
    pub path_handling: PathHandling,
    /// 426 refuses plain HTTP, the others redirect to HTTPS.
    pub https_redirect_status_code: u16,
    /// Whether a request body is read whole before an upstream is asked.
    pub request_buffering: bool,
    pub response_buffering: bool,
}

impl Routable for Route {
    fn spec(&self) -> &RouteSpec {
        &self.spec
    }
}

impl Route {
    /// Reads a record; the service is filled in by the snapshot.
    pub(crate) fn read(record: &Record, flavor: Flavor) -> Result<Self, Error> {
        let fields = Reader(record);
        let id = fields.id()?;
        let handling = match fields.optional_text("path_handling") {
            Some("v1") => PathHandling::V1,
            _ => PathHandling::V0,
        };
        Ok(Self {
            spec: read_spec(id, fields, flavor)?,
            id,
            name: fields.optional_text("name").map(Into::into),
            service_id: fields.foreign("service")?,
            service: None,
            strip_path: fields.flag("strip_path", true),
            preserve_host: fields.flag("preserve_host", false),
            path_handling: flavor.path_handling(handling),
            https_redirect_status_code: fields.number("https_redirect_status_code").unwrap_or(426),
            request_buffering: fields.flag("request_buffering", true),
            response_buffering: fields.flag("response_buffering", true),
        })
    }

    /// Whether requests may go to it: it has no service, or its service is there and enabled.
    pub(crate) fn is_routed(&self) -> bool {
        match &self.service {
            Some(service) => service.enabled,
            None => self.service_id.is_none(),
        }
    }
}

fn read_spec(id: Uuid, fields: Reader<'_>, flavor: Flavor) -> Result<RouteSpec, Error> {
    let protocols = fields.texts("protocols").map(|name| {
        Protocol::parse(name).ok_or_else(|| Error::Value {
            field: "protocols",
            value: name.to_owned(),
        })
    });
    let expression = fields
        .optional_text("expression")
        .filter(|_| flavor == Flavor::Expressions);
    let rare = RareRules {
        methods: fields.texts("methods").map(Into::into).collect(),
        headers: fields.pairs("headers").map(read_header).collect(),
        snis: fields.texts("snis").map(Into::into).collect(),
        sources: read_endpoints("sources", fields)?,
        destinations: read_endpoints("destinations", fields)?,
        expression: expression.map(Into::into),
        priority: fields.number("priority").unwrap_or(0),
    };
    let none = RareRules::default();
    Ok(RouteSpec {
        id,
        created_at: fields.integer("created_at").unwrap_or(0),
        regex_priority: fields.integer("regex_priority").unwrap_or(0),
        protocols: protocols.collect::<Result<_, _>>()?,
        hosts: fields.texts("hosts").map(Into::into).collect(),
        paths: fields.texts("paths").map(Into::into).collect(),
        rare: (rare != none).then(|| Box::new(rare)),
    })
}

fn read_header((name, values): (&str, &Value)) -> HeaderRule {
    let values = values.as_array().into_iter().flatten();
    HeaderRule {
        name: name.into(),
        values: values.filter_map(Value::as_str).map(Into::into).collect(),
    }
}

fn read_endpoints(field: &'static str, fields: Reader<'_>) -> Result<Vec<Endpoint>, Error> {
    let endpoints = fields.items(field).iter().filter_map(Value::as_object);
    endpoints
        .map(|endpoint| {
            let endpoint = Reader(endpoint);
            let address = endpoint.optional_text("ip").map(|text| {
                AddressRule::parse(text).ok_or_else(|| Error::Value {
                    field,
                    value: text.to_owned(),
                })
            });
            Ok(Endpoint {
                address: address.transpose()?,
                port: endpoint.number("port").ok(),
            })
        })
        .collect()
}
