//! Plugins: which handlers a request goes through, by its route, its service and its consumer.
//!
//! Of the records of one plugin a request gets the most specific one that applies to it. What depends on route and
//! service is settled in a [`Chain`], which a worker compiles when it first needs it; what depends on the consumer is
//! looked up while the request is on its way, because an earlier plugin of the chain finds out who that is.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap as Shared;
use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Phase, Step};
use schema::Record;
use serde_json::Value;
use uuid::Uuid;

use crate::Error;
use crate::read::Reader;

/// The plugins that the program has.
pub trait PluginTable: Send + Sync + std::fmt::Debug {
    /// The priority of a plugin: those of a chain run in falling order. `None` if nobody knows the name.
    fn priority(&self, name: &str) -> Option<i64>;

    /// Makes the handler of a record.
    ///
    /// # Errors
    /// Why requests of its chain cannot be served.
    fn build(&self, name: &str, record: &Configured<'_>) -> Result<Arc<dyn Handler>, Failure>;
}

/// No plugin at all, for tests and for commands that serve nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoPlugins;

impl PluginTable for NoPlugins {
    fn priority(&self, _name: &str) -> Option<i64> {
        None
    }

    fn build(&self, name: &str, _record: &Configured<'_>) -> Result<Arc<dyn Handler>, Failure> {
        Err(Failure::new(format!("there is no plugin {name}")))
    }
}

/// One record of a plugin, with its handler.
pub struct Instance {
    pub id: Uuid,
    pub name: Box<str>,
    pub needs: Needs,
    pub handler: Arc<dyn Handler>,
    scope: Scope,
    priority: i64,
    enabled: bool,
    /// Why its requests are refused, if they are.
    broken: Option<String>,
    /// Kept if the configuration refers to secrets, which are looked up again when a vault changes.
    record: Option<Arc<Record>>,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Instance");
        shown.field("id", &self.id).field("name", &self.name);
        shown.field("scope", &self.scope).finish()
    }
}

/// What a record applies to; nothing named is everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Scope {
    route: Option<Uuid>,
    service: Option<Uuid>,
    consumer: Option<Uuid>,
}

/// The records of one plugin.
#[derive(Debug, Clone)]
struct Named {
    by_scope: Shared<Scope, Arc<Instance>>,
    /// How many of them name a consumer.
    with_consumer: usize,
}

/// Where a plugin stands in a chain: by falling priority, then by falling name.
type Order = (Reverse<i64>, Reverse<Box<str>>);

/// All plugin records. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Plugins {
    by_id: Shared<Uuid, Arc<Instance>>,
    /// In the order in which plugins run.
    by_name: Arc<BTreeMap<Order, Named>>,
    /// How many enabled records name a route, by the route; and likewise for services.
    routes: Shared<Uuid, usize>,
    services: Shared<Uuid, usize>,
}

/// What a chain depends on: a route or service that no record names does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ChainKey {
    route: Option<Uuid>,
    service: Option<Uuid>,
}

impl Plugins {
    /// Whether there are no enabled records, so that no request needs a chain.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Whether this is the state that `other` was cloned from, so that what was compiled from the one serves the other.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.by_name, &other.by_name)
    }

    /// Which chain requests of a route and a service go through.
    pub fn key(&self, route: Option<Uuid>, service: Option<Uuid>) -> ChainKey {
        ChainKey {
            route: route.filter(|id| self.routes.contains_key(id)),
            service: service.filter(|id| self.services.contains_key(id)),
        }
    }

    /// Compiles a chain.
    pub fn chain(&self, key: ChainKey) -> Chain {
        let links = self.by_name.values().filter_map(|named| named.link(key));
        let links: Vec<Link> = links.collect();
        let possible = links.iter().flat_map(Link::possible);
        let needs = possible.fold(Needs::default(), |needs, one| needs.union(one.needs));
        Chain { links, needs }
    }

    /// The records with work in TLS handshakes, in the order in which plugins run. Only those that apply to all requests
    /// have a turn there, where no request is known.
    pub fn in_handshakes(&self) -> impl Iterator<Item = &Arc<Instance>> {
        let named = self.by_name.values();
        named
            .filter_map(|named| named.by_scope.get(&Scope::default()))
            .filter(|one| one.needs.phases.contains(Phase::Certificate))
    }

    /// Adds a record, or replaces it.
    ///
    /// # Errors
    /// `Plugin` if the record cannot run: it is there nevertheless, and refuses the requests of its chains.
    pub(crate) fn put(
        &mut self,
        table: &dyn PluginTable,
        record: &Record,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Error> {
        let instance = Instance::read(table, record, resolve)?;
        self.remove(instance.id);
        let instance = Arc::new(instance);
        self.by_id.insert(instance.id, instance.clone());
        if instance.enabled {
            self.insert(instance.clone());
        }
        match &instance.broken {
            None => Ok(()),
            Some(reason) => Err(Error::Plugin {
                name: instance.name.to_string(),
                reason: reason.clone(),
            }),
        }
    }

    fn insert(&mut self, instance: Arc<Instance>) {
        for (counts, id) in [
            (&mut self.routes, instance.scope.route),
            (&mut self.services, instance.scope.service),
        ] {
            if let Some(id) = id {
                *counts.entry(id).or_insert(0) += 1;
            }
        }
        let names = Arc::make_mut(&mut self.by_name);
        let named = names.entry(instance.order()).or_insert_with(|| Named {
            by_scope: Shared::new(),
            with_consumer: 0,
        });
        if instance.scope.consumer.is_some() {
            named.with_consumer += 1;
        }
        named.by_scope.insert(instance.scope, instance);
    }

    /// Removes a record.
    pub(crate) fn remove(&mut self, id: Uuid) {
        let Some(instance) = self.by_id.remove(&id) else {
            return;
        };
        if !instance.enabled {
            return;
        }
        for (counts, id) in [
            (&mut self.routes, instance.scope.route),
            (&mut self.services, instance.scope.service),
        ] {
            if let Some(id) = id
                && let Some(count) = counts.remove(&id)
                && count > 1
            {
                counts.insert(id, count - 1);
            }
        }
        let names = Arc::make_mut(&mut self.by_name);
        let order = instance.order();
        let Some(named) = names.get_mut(&order) else {
            return;
        };
        // Another record may have taken the scope over meanwhile.
        let mine = named.by_scope.get(&instance.scope);
        if mine.is_some_and(|mine| mine.id == id) {
            named.by_scope.remove(&instance.scope);
        }
        if instance.scope.consumer.is_some() {
            named.with_consumer = named.with_consumer.saturating_sub(1);
        }
        if named.by_scope.is_empty() {
            names.remove(&order);
        }
    }

    /// The records whose configurations refer to secrets.
    pub(crate) fn with_references(&self) -> Vec<Arc<Record>> {
        let records = self.by_id.values().filter_map(|one| one.record.clone());
        records.collect()
    }
}

impl Instance {
    fn read(
        table: &dyn PluginTable,
        record: &Record,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let fields = Reader(record);
        let (id, name) = (fields.id()?, fields.text("name")?);
        let scope = Scope {
            route: fields.foreign("route")?,
            service: fields.foreign("service")?,
            consumer: fields.foreign("consumer")?,
        };
        let mut config = record.get("config").cloned().unwrap_or_default();
        let mut references = References::default();
        references.fill_in(&mut config, &resolve);
        let empty = Record::new();
        let configured = Configured {
            id,
            instance_name: fields.optional_text("instance_name"),
            route: scope.route,
            service: scope.service,
            consumer: scope.consumer,
            config: config.as_object().unwrap_or(&empty),
        };
        let enabled = fields.flag("enabled", true);
        // What nobody knows refuses, before anything else has a turn.
        let priority = table.priority(name).unwrap_or(i64::MAX);
        let built = match references.unresolved {
            // Nobody calls a disabled one; it need not even be runnable.
            _ if !enabled => Ok(Refusal::handler("the plugin is disabled")),
            Some(reference) => Err(format!("the reference {reference} has no value")),
            None => table
                .build(name, &configured)
                .map_err(|failure| failure.to_string()),
        };
        let (handler, broken) = match built {
            Ok(handler) => (handler, None),
            Err(reason) => (Refusal::handler(&reason), Some(reason)),
        };
        Ok(Self {
            id,
            name: name.into(),
            needs: handler.needs(),
            handler,
            scope,
            priority,
            enabled,
            broken,
            record: references.any.then(|| Arc::new(record.clone())),
        })
    }

    fn order(&self) -> Order {
        (Reverse(self.priority), Reverse(self.name.clone()))
    }
}

/// What became of the references in a configuration.
#[derive(Default)]
struct References {
    any: bool,
    /// One that has no value.
    unresolved: Option<String>,
}

impl References {
    /// Puts values in their places.
    fn fill_in(&mut self, value: &mut Value, resolve: &impl Fn(&str) -> Option<String>) {
        match value {
            Value::String(text) if text.starts_with("{vault://") && text.ends_with('}') => {
                self.any = true;
                match resolve(text) {
                    Some(secret) => *text = secret,
                    None => self.unresolved = Some(text.clone()),
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.fill_in(item, resolve);
                }
            }
            Value::Object(members) => {
                for member in members.values_mut() {
                    self.fill_in(member, resolve);
                }
            }
            _ => {}
        }
    }
}

/// Stands for a plugin that cannot run: a request that should go through it goes nowhere.
struct Refusal(String);

impl Refusal {
    fn handler(reason: &str) -> Arc<dyn Handler> {
        Arc::new(Self(reason.to_owned()))
    }
}

impl Handler for Refusal {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, _exchange: &'a mut Exchange<'_>) -> Step<'a> {
        Step::Now(Err(Failure::new(self.0.clone())))
    }
}

/// The handlers of requests with one route and service, in the order in which they run.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    links: Vec<Link>,
    /// What the handlers need together, whoever the consumer is.
    pub needs: Needs,
}

/// One plugin of a chain.
#[derive(Debug, Clone)]
pub struct Link {
    /// What applies unless the consumer has something of its own.
    base: Option<Arc<Instance>>,
    /// Where records of consumers are found, and with which route and service.
    consumers: Option<(Shared<Scope, Arc<Instance>>, ChainKey)>,
}

impl Chain {
    /// The plugins in their order.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// Whether no request has anything to do here.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }
}

impl Link {
    /// The record that applies, given who the consumer is as far as the plugins before this one have found out.
    pub fn choose(&self, consumer: Option<Uuid>) -> Option<&Arc<Instance>> {
        let own = consumer.zip(self.consumers.as_ref());
        let own = own.and_then(|(consumer, (records, key))| {
            let narrow = [
                (key.route, key.service),
                (key.route, None),
                (None, key.service),
            ];
            let narrow = narrow
                .into_iter()
                .filter(|(route, service)| route.is_some() || service.is_some());
            let find = |(route, service)| {
                records.get(&Scope {
                    route,
                    service,
                    consumer: Some(consumer),
                })
            };
            // Compat: a record for route and service goes before one for the consumer alone.
            narrow.into_iter().find_map(find).or_else(|| {
                let base = self.base.as_ref().map(|base| base.scope);
                let both = base.is_some_and(|base| base.route.is_some() && base.service.is_some());
                (!both).then(|| find((None, None))).flatten()
            })
        });
        own.or(self.base.as_ref())
    }

    /// Every record that a request may get.
    fn possible(&self) -> impl Iterator<Item = &Instance> {
        let own = self.consumers.iter().flat_map(|(records, key)| {
            records.values().filter(|one| {
                one.scope.consumer.is_some()
                    && one.scope.route.is_none_or(|id| Some(id) == key.route)
                    && one.scope.service.is_none_or(|id| Some(id) == key.service)
            })
        });
        own.chain(&self.base).map(Arc::as_ref)
    }
}

impl Named {
    /// This plugin's part of a chain; `None` if it has none.
    fn link(&self, key: ChainKey) -> Option<Link> {
        let ChainKey { route, service } = key;
        let find = |route, service| {
            self.by_scope.get(&Scope {
                route,
                service,
                consumer: None,
            })
        };
        let base = find(route, service)
            .or_else(|| find(route, None))
            .or_else(|| find(None, service))
            .or_else(|| find(None, None))
            .cloned();
        let consumers = (self.with_consumer > 0).then(|| (self.by_scope.clone(), key));
        let link = Link { base, consumers };
        let has_any = link.possible().next().is_some();
        has_any.then_some(link)
    }
}

#[cfg(test)]
mod tests;
