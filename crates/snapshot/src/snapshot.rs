//! The snapshot itself, and how one becomes the next.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use imbl::{OrdMap as Shared, OrdSet};
use net::tls::{SniTable, TrustStore};
use router::{Flavor, Router};
use schema::Record;
use store::Version;
use uuid::Uuid;

use crate::read::Reader;
use crate::{
    CaCertificate, Certificate, Change, Error, PluginTable, Plugins, Problem, References, Route,
    Service, Target, Upstream, Vault,
};

/// What a snapshot depends on besides the records.
#[derive(Debug, Clone)]
pub struct Options {
    pub flavor: Flavor,
    pub references: Arc<dyn References>,
    pub plugins: Arc<dyn PluginTable>,
}

/// One state of the configuration. Cloning shares everything.
///
/// Perf: maps of many records are ordered ones, which take a quarter of the memory of hashed ones (bench group `routes`).
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last change that it holds.
    pub version: Version,
    /// Routes of the HTTP proxy.
    pub http: Router<Arc<Route>>,
    /// Routes of the stream proxy.
    pub stream: Router<Arc<Route>>,
    pub plugins: Plugins,
    options: Options,
    services: Shared<Uuid, Arc<Service>>,
    routes: Shared<Uuid, Arc<Route>>,
    /// Service and route of each route that names a service, whether or not there is one.
    routes_of: OrdSet<(Uuid, Uuid)>,
    upstreams: Shared<Uuid, Arc<Upstream>>,
    /// Requests ask for it.
    upstreams_by_name: imbl::HashMap<Box<str>, Arc<Upstream>>,
    targets: Shared<Uuid, Arc<Target>>,
    certificates: Shared<Uuid, Arc<Certificate>>,
    snis: Shared<Uuid, Sni>,
    by_server_name: Arc<SniTable<Arc<Certificate>>>,
    ca_certificates: Shared<Uuid, Arc<CaCertificate>>,
    vaults: Shared<Uuid, Arc<Vault>>,
    /// Records of certificates whose references had no value; they are tried again when a vault changes.
    unresolved: Shared<Uuid, Arc<Record>>,
}

#[derive(Debug, Clone)]
struct Sni {
    name: Box<str>,
    certificate_id: Uuid,
}

impl Snapshot {
    /// A configuration without records.
    pub fn empty(options: Options) -> Self {
        Self {
            version: Version::default(),
            http: Router::new(options.flavor),
            stream: Router::new(options.flavor),
            plugins: Plugins::default(),
            options,
            services: Shared::new(),
            routes: Shared::new(),
            routes_of: OrdSet::new(),
            upstreams: Shared::new(),
            upstreams_by_name: imbl::HashMap::new(),
            targets: Shared::new(),
            certificates: Shared::new(),
            snis: Shared::new(),
            by_server_name: Arc::default(),
            ca_certificates: Shared::new(),
            vaults: Shared::new(),
            unresolved: Shared::new(),
        }
    }

    /// The snapshot after the changes, and what of them could not be taken.
    pub fn with(
        &self,
        version: Version,
        changes: impl IntoIterator<Item = Change>,
    ) -> (Self, Vec<Problem>) {
        let mut draft = Draft::new(self.clone());
        for change in changes {
            match &change.record {
                Some(record) => draft.put(change.entity, record),
                None => draft.remove(change.entity, change.id),
            }
        }
        draft.finish(version)
    }

    /// What it was made with.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// A service by its id.
    pub fn service(&self, id: Uuid) -> Option<&Arc<Service>> {
        self.services.get(&id)
    }

    /// A route by its id, whether or not requests may go to it.
    pub fn route(&self, id: Uuid) -> Option<&Arc<Route>> {
        self.routes.get(&id)
    }

    /// How many routes there are.
    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// An upstream by the name that services use for a host.
    pub fn upstream(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams_by_name.get(name)
    }

    /// An upstream by its id.
    pub fn upstream_by_id(&self, id: Uuid) -> Option<&Arc<Upstream>> {
        self.upstreams.get(&id)
    }

    /// Every upstream, in no particular order.
    pub fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }

    /// The certificate for the name that a client asks for, in lower case; `None` where only the default one is left.
    pub fn server_certificate(&self, server_name: Option<&str>) -> Option<&Arc<Certificate>> {
        self.by_server_name.find(server_name)
    }

    /// A certificate by its id.
    pub fn certificate(&self, id: Uuid) -> Option<&Arc<Certificate>> {
        self.certificates.get(&id)
    }

    /// Everything that these authorities vouch for; `None` if one of them is missing or the list is empty.
    pub fn trust(&self, ids: &[Uuid]) -> Option<TrustStore> {
        let (first, rest) = ids.split_first()?;
        let mut trust = self.ca_certificates.get(first)?.trust.clone();
        for id in rest {
            trust = trust.union(&self.ca_certificates.get(id)?.trust);
        }
        Some(trust)
    }
}

/// A snapshot under construction: records go in one by one, and what depends on several is settled at the end.
pub(crate) struct Draft {
    next: Snapshot,
    /// Routes as the snapshot before had them, of those that may change.
    routes_before: HashMap<Uuid, Option<Arc<Route>>>,
    touched_services: HashSet<Uuid>,
    /// Upstreams to be put together again, each with its targets that came, went or changed.
    touched_upstreams: HashMap<Uuid, HashSet<Uuid>>,
    /// What touched upstreams were called.
    upstream_names_before: Vec<Box<str>>,
    server_names_changed: bool,
    vaults_changed: bool,
    problems: Vec<Problem>,
}

impl Draft {
    pub(crate) fn new(from: Snapshot) -> Self {
        Self {
            next: from,
            routes_before: HashMap::new(),
            touched_services: HashSet::new(),
            touched_upstreams: HashMap::new(),
            upstream_names_before: Vec::new(),
            server_names_changed: false,
            vaults_changed: false,
            problems: Vec::new(),
        }
    }

    /// Takes a record in, or notes why it cannot.
    pub(crate) fn put(&mut self, entity: &'static str, record: &Record) {
        if let Err(error) = self.try_put(entity, record) {
            let id = Reader(record).id().unwrap_or_default();
            self.refuse(entity, id, error);
        }
    }

    fn refuse(&mut self, entity: &'static str, id: Uuid, reason: impl ToString) {
        let reason = reason.to_string();
        self.problems.push(Problem { entity, id, reason });
    }

    fn try_put(&mut self, entity: &'static str, record: &Record) -> Result<(), Error> {
        match entity {
            "services" => {
                let service = Service::read(record)?;
                self.touched_services.insert(service.id);
                self.next.services.insert(service.id, Arc::new(service));
            }
            "routes" => self.put_route(Route::read(record, self.next.options.flavor)?),
            "upstreams" => self.put_upstream(record)?,
            "targets" => self.put_target(Target::read(record)?),
            "certificates" => self.put_certificate(record)?,
            "snis" => {
                let fields = Reader(record);
                let certificate_id = fields.foreign("certificate")?;
                let sni = Sni {
                    name: fields.text("name")?.into(),
                    certificate_id: certificate_id.ok_or(Error::Field("certificate"))?,
                };
                self.server_names_changed = true;
                self.next.snis.insert(fields.id()?, sni);
            }
            "ca_certificates" => {
                let ca = CaCertificate::read(record, |text| resolve(&self.next, text))?;
                self.next.ca_certificates.insert(ca.id, Arc::new(ca));
            }
            "vaults" => {
                let vault = Vault::read(record)?;
                self.vaults_changed = true;
                self.next.vaults.insert(vault.id, Arc::new(vault));
            }
            "plugins" => self.put_plugin(record)?,
            _ => {}
        }
        Ok(())
    }

    fn put_route(&mut self, route: Route) {
        self.remember_route(route.id);
        self.next.routes.insert(route.id, Arc::new(route));
    }

    fn put_certificate(&mut self, record: &Record) -> Result<(), Error> {
        let id = Reader(record).id()?;
        match Certificate::read(record, |text| resolve(&self.next, text)) {
            Ok(certificate) => {
                self.next.unresolved.remove(&id);
                self.next.certificates.insert(id, Arc::new(certificate));
                self.server_names_changed = true;
                Ok(())
            }
            Err(error) => {
                if let Error::Unresolved(_) = error {
                    self.next.unresolved.insert(id, Arc::new(record.clone()));
                }
                Err(error)
            }
        }
    }

    fn put_plugin(&mut self, record: &Record) -> Result<(), Error> {
        let mut plugins = std::mem::take(&mut self.next.plugins);
        let table = self.next.options.plugins.clone();
        let put = plugins.put(table.as_ref(), record, |text| resolve(&self.next, text));
        self.next.plugins = plugins;
        put
    }

    fn put_upstream(&mut self, record: &Record) -> Result<(), Error> {
        let id = Reader(record).id()?;
        let before = self.next.upstreams.get(&id);
        let targets = before.map_or_else(|| Arc::from([]), |upstream| upstream.targets.clone());
        let upstream = Upstream::read(record, targets)?;
        self.upstream_names_before
            .extend(before.map(|before| before.name.clone()));
        self.touched_upstreams.entry(id).or_default();
        self.next.upstreams.insert(id, Arc::new(upstream));
        Ok(())
    }

    fn put_target(&mut self, target: Target) {
        let before = self.next.targets.get(&target.id);
        let upstream_before = before.map(|before| before.upstream_id);
        for upstream in upstream_before.into_iter().chain([target.upstream_id]) {
            let touched = self.touched_upstreams.entry(upstream).or_default();
            touched.insert(target.id);
        }
        self.next.targets.insert(target.id, Arc::new(target));
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, entity: &'static str, id: Uuid) {
        let next = &mut self.next;
        match entity {
            "services" => {
                next.services.remove(&id);
                self.touched_services.insert(id);
            }
            "routes" => {
                self.remember_route(id);
                self.next.routes.remove(&id);
            }
            "upstreams" => {
                let before = next.upstreams.remove(&id);
                self.upstream_names_before
                    .extend(before.map(|before| before.name.clone()));
            }
            "targets" => {
                if let Some(target) = next.targets.remove(&id) {
                    let touched = self.touched_upstreams.entry(target.upstream_id);
                    touched.or_default().insert(id);
                }
            }
            "certificates" => {
                next.certificates.remove(&id);
                next.unresolved.remove(&id);
                self.server_names_changed = true;
            }
            "snis" => {
                next.snis.remove(&id);
                self.server_names_changed = true;
            }
            "ca_certificates" => {
                next.ca_certificates.remove(&id);
            }
            "vaults" => {
                next.vaults.remove(&id);
                self.vaults_changed = true;
            }
            "plugins" => next.plugins.remove(id),
            _ => {}
        }
    }

    fn remember_route(&mut self, id: Uuid) {
        let routes = &self.next.routes;
        self.routes_before
            .entry(id)
            .or_insert_with(|| routes.get(&id).cloned());
    }

    /// Settles what depends on several records.
    pub(crate) fn finish(mut self, version: Version) -> (Snapshot, Vec<Problem>) {
        self.settle_certificates();
        self.settle_plugins();
        self.settle_upstreams();
        self.settle_routes();
        self.next.version = version;
        (self.next, self.problems)
    }

    fn settle_certificates(&mut self) {
        if self.vaults_changed {
            let with_references: Vec<_> = self.next.certificates.values().cloned().collect();
            for certificate in with_references.iter().filter(|c| c.has_references()) {
                match certificate.resolve_again(|text| resolve(&self.next, text)) {
                    Ok(again) => {
                        self.next.certificates.insert(again.id, Arc::new(again));
                    }
                    Err(error) => self.refuse("certificates", certificate.id, error),
                }
            }
            for (id, record) in self.next.unresolved.clone() {
                // This try decides, not one before the vault was there.
                self.problems.retain(|problem| problem.id != id);
                self.put("certificates", &record);
            }
            self.server_names_changed = true;
        }
        if self.server_names_changed {
            let mut table = SniTable::default();
            for sni in self.next.snis.values() {
                if let Some(certificate) = self.next.certificates.get(&sni.certificate_id) {
                    table.insert(&sni.name, certificate.clone());
                }
            }
            self.next.by_server_name = Arc::new(table);
        }
    }

    fn settle_plugins(&mut self) {
        if !self.vaults_changed {
            return;
        }
        for record in self.next.plugins.with_references() {
            let id = Reader(&record).id().unwrap_or_default();
            // This try decides, not one before the vault was there.
            self.problems.retain(|problem| problem.id != id);
            self.put("plugins", &record);
        }
    }

    fn settle_upstreams(&mut self) {
        let next = &mut self.next;
        for name in &self.upstream_names_before {
            next.upstreams_by_name.remove(name);
        }
        for (id, touched) in &self.touched_upstreams {
            let Some(upstream) = next.upstreams.get(id) else {
                continue;
            };
            let kept = upstream.targets.iter();
            let kept = kept.filter(|target| !touched.contains(&target.id));
            let came = touched.iter().filter_map(|id| next.targets.get(id));
            let came = came.filter(|target| target.upstream_id == *id);
            let mut targets: Vec<_> = kept.chain(came).cloned().collect();
            targets.sort_by_key(|target| target.order());
            let upstream = Arc::new(Upstream {
                targets: targets.into(),
                ..Upstream::clone(upstream)
            });
            let name = upstream.name.clone();
            next.upstreams_by_name.insert(name, upstream.clone());
            next.upstreams.insert(*id, upstream);
        }
    }

    fn settle_routes(&mut self) {
        self.settle_routes_of();
        for service in std::mem::take(&mut self.touched_services) {
            let of_service = (service, Uuid::nil())..=(service, Uuid::max());
            let routes: Vec<_> = self.next.routes_of.range(of_service).copied().collect();
            for (_, route) in routes {
                self.remember_route(route);
            }
        }
        let (mut http, mut stream) = (Vec::new(), Vec::new());
        for (id, before) in &self.routes_before {
            let after = self.next.routes.get(id).map(|route| {
                let mut route = Route::clone(route);
                let service = route.service_id.and_then(|id| self.next.services.get(&id));
                route.service = service.cloned();
                Arc::new(route)
            });
            if let Some(after) = &after {
                self.next.routes.insert(*id, after.clone());
            }
            let change = |list: &mut Vec<_>, is_stream: bool| {
                let belongs = |route: &&Arc<Route>| {
                    route.is_routed() && route.spec.protocols.is_stream() == is_stream
                };
                let before = before.as_ref().filter(belongs).cloned();
                let after = after.as_ref().filter(belongs).cloned();
                if before.is_some() || after.is_some() {
                    list.push(router::Change { before, after });
                }
            };
            change(&mut http, false);
            change(&mut stream, true);
        }
        let (http, refused_http) = self.next.http.update(http);
        let (stream, refused_stream) = self.next.stream.update(stream);
        (self.next.http, self.next.stream) = (http, stream);
        for rejected in refused_http.into_iter().chain(refused_stream) {
            // Invariant: `routes` holds what the routers hold.
            match self.routes_before.get(&rejected.id).cloned().flatten() {
                Some(before) => self.next.routes.insert(rejected.id, before),
                None => self.next.routes.remove(&rejected.id),
            };
            self.refuse("routes", rejected.id, rejected.error);
        }
    }

    /// Brings the index from services to routes up to date.
    fn settle_routes_of(&mut self) {
        let Snapshot {
            routes, routes_of, ..
        } = &mut self.next;
        for (id, before) in &self.routes_before {
            let before = before.as_ref().and_then(|route| route.service_id);
            let after = routes.get(id).and_then(|route| route.service_id);
            if before == after {
                continue;
            }
            if let Some(service) = before {
                routes_of.remove(&(service, *id));
            }
            if let Some(service) = after {
                routes_of.insert((service, *id));
            }
        }
    }
}

fn resolve(snapshot: &Snapshot, reference: &str) -> Option<String> {
    let by_prefix = |prefix: &str| {
        let mut vaults = snapshot.vaults.values();
        vaults
            .find(|vault| *vault.prefix == *prefix)
            .map(Arc::as_ref)
    };
    snapshot.options.references.resolve(reference, &by_prefix)
}
