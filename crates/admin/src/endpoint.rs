//! The table of endpoints: those that follow from the declarations, and the pages that do not.
//!
//! Routing, `/endpoints` and the OpenAPI document all walk this table.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use schema::Schema;

use crate::pages::{PAGES, Page};
use crate::plugin_endpoints::PluginEndpoint;
use crate::resource::{self, Resource};

/// One path and what is there.
#[derive(Clone)]
pub struct Endpoint {
    /// With parameters in braces, such as `/services/{services}/routes`.
    pub path: String,
    pub operation: Operation,
}

/// What an endpoint does.
#[derive(Clone)]
pub enum Operation {
    /// `/routes`
    Collection(Arc<dyn Resource>),
    /// `/routes/{routes}`
    Entity(Arc<dyn Resource>),
    /// `/services/{services}/routes`
    Children(Relation),
    /// `/services/{services}/routes/{routes}`
    Child(Relation),
    /// `/routes/{routes}/service`
    Parent(Relation),
    /// What a plugin has beside its entities.
    Plugin(PluginEndpoint),
    /// Anything else.
    Page(Page),
}

/// A foreign field seen from both of its ends.
#[derive(Clone)]
pub struct Relation {
    /// What the field points at.
    pub parent: Arc<dyn Resource>,
    /// What has the field.
    pub child: Arc<dyn Resource>,
    /// The field's name.
    pub field: &'static str,
}

impl Endpoint {
    /// The methods that have a meaning here, `HEAD` and `OPTIONS` among them.
    pub fn methods(&self) -> Vec<Method> {
        let mut methods = self.operation.methods().to_vec();
        if methods.contains(&Method::GET) {
            methods.push(Method::HEAD);
        }
        methods.push(Method::OPTIONS);
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        methods
    }

    /// Whether Kong has it as well.
    pub fn is_listed(&self) -> bool {
        !matches!(&self.operation, Operation::Page(page) if !page.listed)
    }

    /// The value of the `Allow` header.
    pub fn allow(&self) -> String {
        let methods = self.methods();
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        names.join(", ")
    }
}

impl Operation {
    /// The methods that are handled, without `HEAD` and `OPTIONS`, which every endpoint answers.
    pub fn methods(&self) -> &[Method] {
        const COLLECTION: &[Method] = &[Method::GET, Method::POST];
        const ENTITY: &[Method] = &[Method::GET, Method::PUT, Method::PATCH, Method::DELETE];
        match self {
            Operation::Collection(_) | Operation::Children(_) => COLLECTION,
            Operation::Entity(_) | Operation::Child(_) | Operation::Parent(_) => ENTITY,
            Operation::Plugin(endpoint) => &endpoint.methods,
            Operation::Page(page) => page.methods,
        }
    }

    /// The name of the entity that a body or a page of this endpoint is about.
    pub fn entity(&self) -> Option<&'static str> {
        match self {
            Operation::Collection(entity) | Operation::Entity(entity) => Some(entity.schema().name),
            Operation::Children(relation) | Operation::Child(relation) => {
                Some(relation.child.schema().name)
            }
            Operation::Parent(relation) => Some(relation.parent.schema().name),
            Operation::Plugin(_) => None,
            Operation::Page(page) => page.entity,
        }
    }
}

/// Every endpoint of these entities and plugins, in the order in which `/endpoints` lists them.
///
/// A page replaces the generated endpoint at its path.
pub fn table(schemas: &'static [Schema], plugins: Vec<PluginEndpoint>) -> Vec<Endpoint> {
    let mut operations = BTreeMap::new();
    let resources: BTreeMap<&str, Arc<dyn Resource>> = schemas
        .iter()
        .map(|schema| (schema.name, resource::of(schema)))
        .collect();
    let served = resources
        .values()
        .filter(|entity| entity.schema().admin_api);
    for entity in served {
        generate(entity, &resources, &mut operations);
    }
    for endpoint in plugins {
        operations.insert(endpoint.path.to_owned(), Operation::Plugin(endpoint));
    }
    for page in PAGES {
        operations.insert(page.path.to_owned(), Operation::Page(*page));
    }
    let mut endpoints: Vec<Endpoint> = operations
        .into_iter()
        .map(|(path, operation)| Endpoint { path, operation })
        .collect();
    endpoints.sort_by_key(|endpoint| sort_key(&endpoint.path));
    endpoints
}

/// Compat: segments are compared as wholes, so `/a/z` comes before `/ab`.
fn sort_key(path: &str) -> String {
    path.replace('/', "\0")
}

fn generate(
    entity: &Arc<dyn Resource>,
    resources: &BTreeMap<&str, Arc<dyn Resource>>,
    operations: &mut BTreeMap<String, Operation>,
) {
    let schema = entity.schema();
    let (name, path) = (schema.name, schema.admin_path);
    operations.insert(
        format!("/{path}"),
        Operation::Collection(Arc::clone(entity)),
    );
    operations.insert(
        format!("/{path}/{{{name}}}"),
        Operation::Entity(Arc::clone(entity)),
    );
    for (field, foreign) in schema.foreign_fields() {
        let Some(parent) = resources.get(foreign.reference) else {
            continue;
        };
        let relation = Relation {
            parent: Arc::clone(parent),
            child: Arc::clone(entity),
            field,
        };
        let (parent_name, parent_path) = (parent.schema().name, parent.schema().admin_path);
        let children = format!(
            "/{parent_path}/{{{parent_name}}}/{}",
            schema.admin_nested_path
        );
        operations.insert(
            format!("/{path}/{{{name}}}/{field}"),
            Operation::Parent(relation.clone()),
        );
        operations.insert(
            format!("{children}/{{{name}}}"),
            Operation::Child(relation.clone()),
        );
        operations.insert(children, Operation::Children(relation));
    }
}

#[cfg(test)]
mod tests;
