//! The OpenAPI 3.1 document of the Admin API, made from the table of endpoints and the declarations.

mod field;

use http::Method;
use schema::Schema;
use serde_json::{Map, Value, json};

use crate::endpoint::{Endpoint, Operation, table};
use crate::pages::{Page, Shape};
use crate::plugin_endpoints::PluginEndpoint;
use field::Direction;

/// The document for these entities and plugins.
pub fn document(schemas: &'static [Schema], plugins: Vec<PluginEndpoint>) -> Value {
    describe(&table(schemas, plugins), schemas)
}

/// The document for a table of endpoints; those that refuse every request, or are not implemented, are left out.
pub fn describe(endpoints: &[Endpoint], schemas: &'static [Schema]) -> Value {
    let is_served = |endpoint: &&Endpoint| !matches!(&endpoint.operation, Operation::Page(page) if page.is_refused() || page.statuses.contains(&501));
    let paths: Map<String, Value> = endpoints
        .iter()
        .filter(is_served)
        .map(|endpoint| (endpoint.path.clone(), path(endpoint, schemas)))
        .collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Silverback Admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "Configures the gateway. Compatible with the Admin API of Kong Gateway 3.9.",
        },
        "servers": [{ "url": "http://127.0.0.1:8001" }],
        "paths": paths,
        "components": { "schemas": components(schemas), "parameters": parameters() },
    })
}

fn components(schemas: &'static [Schema]) -> Map<String, Value> {
    let mut components = Map::new();
    for schema in schemas.iter().filter(|schema| schema.admin_api) {
        for (name, direction) in [
            (schema.name.to_owned(), Direction::Out),
            (input_name(schema.name), Direction::In),
        ] {
            let mut object = field::shape(&schema.shape, direction);
            object["description"] = schema.description.into();
            components.insert(name, object);
        }
    }
    components.insert("error".to_owned(), error());
    components
}

fn input_name(entity: &str) -> String {
    format!("{entity}_input")
}

fn error() -> Value {
    json!({
        "type": "object",
        "description": "Why a request was refused.",
        "properties": {
            "message": { "type": "string" },
            "code": { "type": "integer", "description": "The kind of error as a number." },
            "name": { "type": "string", "description": "The kind of error in words." },
            "fields": { "type": "object", "description": "What is wrong, by field." },
            "options": { "type": "object", "description": "What is wrong, by argument." },
        },
        "required": ["message"],
    })
}

fn parameters() -> Value {
    json!({
        "size": {
            "name": "size", "in": "query", "description": "How many records a page may have.",
            "schema": { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 },
        },
        "offset": {
            "name": "offset", "in": "query", "description": "Where the page starts, as the page before said.",
            "schema": { "type": "string" },
        },
        "tags": {
            "name": "tags", "in": "query",
            "description": "Only records with all of the tags `a,b`, or with one of the tags `a/b`.",
            "schema": { "type": "string" },
        },
        "wait": {
            "name": "wait", "in": "query",
            "description": "`cluster`: answer when all live nodes serve the change. If some do not in time, the answer is 202 and X-Silverback-Laggards names them.",
            "schema": { "type": "string", "enum": ["cluster"] },
        },
        "wait_timeout": {
            "name": "wait_timeout", "in": "query", "description": "How many seconds `wait` may take.",
            "schema": { "type": "number", "minimum": 0, "maximum": 300, "default": 10 },
        },
        "at_least": {
            "name": "X-Silverback-Config-Version", "in": "header",
            "description": "The version of the configuration that the answer has to know at least; the answer tells the one that the node serves.",
            "schema": { "type": "integer", "minimum": 0 },
        },
        "tell_version": {
            "name": "X-Silverback-Config-Version", "in": "header",
            "description": "With any value, the answer tells the version of the configuration that the change made.",
            "schema": { "type": "string" },
        },
    })
}

fn path(endpoint: &Endpoint, schemas: &'static [Schema]) -> Value {
    let parameters: Vec<Value> = endpoint
        .path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
        }))
        .collect();
    let mut item = Map::new();
    for method in endpoint.operation.methods() {
        item.insert(
            method.as_str().to_ascii_lowercase(),
            operation(endpoint, method, schemas),
        );
    }
    if !parameters.is_empty() {
        item.insert("parameters".to_owned(), parameters.into());
    }
    Value::Object(item)
}

fn operation(endpoint: &Endpoint, method: &Method, schemas: &'static [Schema]) -> Value {
    let entity = endpoint.operation.entity();
    let schema = entity.and_then(|name| schemas.iter().find(|schema| schema.name == name));
    let mut out = Map::new();
    out.insert(
        "operationId".to_owned(),
        operation_id(&endpoint.path, method).into(),
    );
    out.insert(
        "summary".to_owned(),
        summary(&endpoint.operation, method).into(),
    );
    let subject = match &endpoint.operation {
        Operation::Plugin(endpoint) => endpoint.plugin,
        _ => entity.unwrap_or("node"),
    };
    out.insert("tags".to_owned(), json!([subject]));
    out.insert(
        "responses".to_owned(),
        responses(&endpoint.operation, method, schema),
    );
    let references: Vec<Value> = parameter_names(&endpoint.operation, method)
        .map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }))
        .collect();
    if !references.is_empty() {
        out.insert("parameters".to_owned(), references.into());
    }
    if let Some(body) = request_body(&endpoint.operation, method, schema) {
        out.insert("requestBody".to_owned(), body);
    }
    Value::Object(out)
}

/// The shared parameters of an operation besides those of its path.
fn parameter_names(operation: &Operation, method: &Method) -> impl Iterator<Item = &'static str> {
    let paging = is_list(operation) && *method == Method::GET;
    let paging: &[_] = if paging {
        &["size", "offset", "tags"]
    } else {
        &[]
    };
    let versions: &[_] = match (is_about_records(operation), method) {
        (false, _) => &[],
        (true, &Method::GET) => &["at_least"],
        (true, _) => &["tell_version", "wait", "wait_timeout"],
    };
    paging.iter().chain(versions).copied()
}

/// Whether an operation reads or writes records of the store.
fn is_about_records(operation: &Operation) -> bool {
    match operation {
        Operation::Page(page) => matches!(page.shape, Shape::Record | Shape::Records),
        Operation::Plugin(_) => false,
        _ => true,
    }
}

/// `GET /services/{services}/routes` is `get-services-by-services-routes`.
fn operation_id(path: &str, method: &Method) -> String {
    let mut id = method.as_str().to_ascii_lowercase();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let name = segment
            .trim_start_matches('{')
            .trim_end_matches('}')
            .replace(['_', '.'], "-");
        id.push_str(if segment.starts_with('{') {
            "-by-"
        } else {
            "-"
        });
        id.push_str(&name);
    }
    id
}

fn summary(operation: &Operation, method: &Method) -> String {
    let (noun, place) = match operation {
        Operation::Page(page) => return page.summary.to_owned(),
        Operation::Plugin(endpoint) => return endpoint.summary.to_owned(),
        Operation::Collection(entity) | Operation::Entity(entity) => {
            (entity.schema().name, String::new())
        }
        Operation::Children(relation) | Operation::Child(relation) => (
            relation.child.schema().name,
            format!(" whose {} the path names", relation.field),
        ),
        Operation::Parent(relation) => (
            relation.parent.schema().name,
            format!(" that is the {} of what the path names", relation.field),
        ),
    };
    let is_list = is_list(operation);
    let verb = match *method {
        Method::GET if is_list => "Lists records of",
        Method::GET => "Shows a record of",
        Method::POST => "Creates a record of",
        Method::PUT => "Creates or replaces a record of",
        Method::PATCH => "Changes a record of",
        _ => "Deletes a record of",
    };
    format!("{verb} {noun}{place}.")
}

fn is_list(operation: &Operation) -> bool {
    match operation {
        Operation::Collection(_) | Operation::Children(_) => true,
        Operation::Page(page) => page.shape == Shape::Records,
        _ => false,
    }
}

fn request_body(operation: &Operation, method: &Method, schema: Option<&Schema>) -> Option<Value> {
    let replaces = *method == Method::POST || *method == Method::PUT;
    if !replaces && *method != Method::PATCH {
        return None;
    }
    let body = match (operation, schema) {
        // A target is changed by PUT as by PATCH, and a mark has no body.
        (Operation::Page(page), Some(schema)) if page.shape != Shape::Nothing => {
            input(schema, *method == Method::POST, Some("upstream"))
        }
        (Operation::Page(_) | Operation::Plugin(_), _) => json!({ "type": "object" }),
        (Operation::Children(relation) | Operation::Child(relation), Some(schema)) => {
            input(schema, replaces, Some(relation.field))
        }
        (_, Some(schema)) => input(schema, replaces, None),
        (_, None) => return None,
    };
    let mut content = json!({ "schema": body });
    if let Some(example) = schema
        .filter(|_| *method == Method::POST)
        .and_then(|schema| example(schema.name))
    {
        content["example"] = example;
    }
    let required = matches!(operation, Operation::Collection(_) | Operation::Children(_));
    Some(json!({ "required": required, "content": { "application/json": content } }))
}

fn input(schema: &Schema, whole: bool, given: Option<&str>) -> Value {
    let reference = json!({ "$ref": format!("#/components/schemas/{}", input_name(schema.name)) });
    let mut required = field::required(schema, given);
    if schema.endpoint_key.is_some() && given.is_none() {
        // The URL of a PUT may be where it comes from.
        required.retain(|name| Some(*name) != schema.endpoint_key);
    }
    if whole && !required.is_empty() {
        json!({ "allOf": [reference, { "required": required }] })
    } else {
        reference
    }
}

/// A record that is accepted as it is.
fn example(entity: &str) -> Option<Value> {
    match entity {
        "services" => Some(json!({ "name": "orders", "url": "http://orders.example.com:8080/v1" })),
        "routes" => {
            Some(json!({ "name": "orders", "paths": ["/orders"], "methods": ["GET", "POST"] }))
        }
        "consumers" => Some(json!({ "username": "alice", "tags": ["staff"] })),
        "upstreams" => Some(json!({ "name": "orders.internal", "algorithm": "least-connections" })),
        "targets" => Some(json!({ "target": "10.0.0.7:8080", "weight": 100 })),
        "key_sets" => Some(json!({ "name": "partners" })),
        "vaults" => {
            Some(json!({ "prefix": "secrets", "name": "env", "config": { "prefix": "SECRET_" } }))
        }
        _ => None,
    }
}

fn responses(operation: &Operation, method: &Method, schema: Option<&Schema>) -> Value {
    let mut out = Map::new();
    let mut add = |status: u16, response: Value| {
        out.insert(status.to_string(), response);
    };
    let has_body = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    let refusals: &[u16] = match operation {
        Operation::Page(page) => page.statuses,
        Operation::Plugin(_) => &[],
        Operation::Collection(_) if has_body => &[400, 409],
        Operation::Collection(_) => &[400],
        Operation::Parent(_) if *method == Method::DELETE => &[400, 404, 405],
        _ if has_body => &[400, 404, 409],
        _ => &[400, 404],
    };
    for status in refusals {
        match status {
            201 if *method != Method::POST => {}
            204 | 304 => add(*status, described("Done.")),
            201 => add(201, success(operation, method, schema)),
            _ => add(*status, refusal(*status)),
        }
    }
    if matches!(operation, Operation::Plugin(_)) {
        // Its refusals may have no body, and are then shown as a page.
        let mut refused = refusal(404);
        refused["content"]["text/html"] = page("")["content"]["text/html"].take();
        add(404, refused);
    }
    if has_body {
        add(413, page("The body is too large."));
        add(415, page("The body is of a type that is not understood."));
    }
    if is_about_records(operation) {
        add(503, refusal(503));
        if *method != Method::GET {
            let text = "The change is made, and X-Silverback-Laggards names the nodes that do not serve it yet.";
            let mut late = described(text);
            if *method != Method::DELETE {
                late = success(operation, method, schema);
                late["description"] = text.into();
            }
            add(202, late);
        }
    }
    // A query or form may have too many arguments.
    add(400, refusal(400));
    match *method {
        Method::POST if !matches!(operation, Operation::Page(_) | Operation::Plugin(_)) => {
            add(201, success(operation, method, schema))
        }
        Method::DELETE => add(204, described("Deleted.")),
        _ => add(200, success(operation, method, schema)),
    }
    Value::Object(out)
}

fn success(operation: &Operation, method: &Method, schema: Option<&Schema>) -> Value {
    let record =
        schema.map(|schema| json!({ "$ref": format!("#/components/schemas/{}", schema.name) }));
    let (shape, summary) = match operation {
        Operation::Page(Page { shape, summary, .. }) => (*shape, *summary),
        Operation::Plugin(endpoint) => (Shape::Object, endpoint.summary),
        _ if is_list(operation) => (Shape::Records, "A page of records."),
        _ => (Shape::Record, "The record."),
    };
    let created = *method == Method::POST;
    let body = match (shape, record) {
        (Shape::Text, _) => {
            return json!({ "description": summary, "content": { "text/plain": { "schema": { "type": "string" } } } });
        }
        (Shape::Nothing, _) => return described(summary),
        (Shape::Message, _) => json!({ "$ref": "#/components/schemas/error" }),
        (Shape::Records, Some(record)) if !created => json!({
            "type": "object",
            "properties": {
                "data": { "type": "array", "items": record },
                "next": { "type": ["string", "null"] },
                "offset": { "type": "string" },
            },
            "required": ["data", "next"],
        }),
        (Shape::Records | Shape::Record, Some(record)) => record,
        _ => json!({ "type": "object" }),
    };
    json!({ "description": summary, "content": { "application/json": { "schema": body } } })
}

fn described(text: &str) -> Value {
    json!({ "description": text })
}

fn refusal(status: u16) -> Value {
    let text = match status {
        400 => "The request is not valid.",
        404 => "There is no such record.",
        405 => "This cannot be done here.",
        409 => "A unique value is taken.",
        429 => "Another configuration is being loaded.",
        503 => "This is not possible now; Retry-After says when to try again.",
        _ => "Not available.",
    };
    let reference = json!({ "$ref": "#/components/schemas/error" });
    json!({ "description": text, "content": { "application/json": { "schema": reference } } })
}

fn page(text: &str) -> Value {
    json!({ "description": text, "content": { "text/html": { "schema": { "type": "string" } } } })
}

#[cfg(test)]
mod tests;
