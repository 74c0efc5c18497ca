//! The node itself: start, reload, end.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use admin::NodeInfo as _;
use config::{Postgres, Settings, StoreChoice};
use net::dns::Resolver;
use net::tls::ServerTls;
use observe::logging;
use plugin_api::NodeFacts;
use proxy::Shared;
use proxy::access_log::{AccessLog as ProxyLog, Format};
use snapshot::Snapshot;
use stdx::{Clock, SystemClock};
use store::Store;
use tokio::task::JoinHandle;

use crate::applied::AppliedStore;
use crate::declarative_config::LiveConfig;
use crate::health_checks::HealthChecks;
use crate::info::Process;
use crate::membership::Membership;
use crate::plugin_table::Plugins;
use crate::prefix::{Claim, Prefix, unless_full};
use crate::publisher::Publisher;
use crate::references::EnvironmentReferences;
use crate::sides::{AdminParts, Side, Sides, urls};
use crate::stores::{DeclaredEntities, OpenStore, repository_over};
use crate::workers::Workers;
use crate::{Error, certificates, convert, following, info, limits, metrics, publisher};

/// How long requests in flight on the control side have when the node ends at once.
const CONTROL_GRACE: Duration = Duration::from_secs(1);

/// How long plugins have to send what they have queued.
const PLUGIN_GRACE: Duration = Duration::from_secs(10);

/// How long requests in flight on the control side have when listeners are replaced.
const RELOAD_GRACE: Duration = Duration::from_secs(60);

/// How often a full disk is tried again.
const ROOM: Duration = Duration::from_secs(10);

/// A node that serves.
pub struct Node {
    prefix: Prefix,
    process: Arc<Process>,
    clock: Arc<dyn Clock>,
    /// As the Admin API sees it: writes wait for the proxy.
    store: Arc<dyn Store>,
    membership: Arc<Membership>,
    health: Arc<HealthChecks>,
    declarative: Option<Arc<LiveConfig>>,
    /// Frees configurations that were replaced.
    clearing: JoinHandle<()>,
    plugins: Plugins,
    data_plane: Arc<Shared>,
    proxy_log: Option<ProxyLog>,
    workers: Workers,
    admin: Side,
    status: Side,
    /// Last, so that the folder is free only when everything else is gone.
    _claim: Arc<Claim>,
}

/// Where the node can be reached, as URLs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    pub proxy: Vec<String>,
    pub admin: Vec<String>,
    pub status: Vec<String>,
}

impl Addresses {
    /// All of them, proxies first.
    pub fn all(&self) -> Vec<String> {
        [&self.proxy[..], &self.admin, &self.status].concat()
    }
}

/// Refuses settings that no node can start with, whatever its machine and its database are like.
///
/// # Errors
/// The first of what a start would fail with.
pub fn check(settings: &Settings) -> Result<(), Error> {
    plugins::Enabled::check(&settings.plugins)?;
    if matches!(settings.store, StoreChoice::Cassandra) {
        return Err(Error::NotBuilt("the store Cassandra"));
    }
    certificates::check(settings)
}

impl Node {
    /// Starts everything in the order in which it is needed, and returns when the node serves.
    pub async fn start(settings: Settings, log: logging::Handle) -> Result<Self, Error> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        check(&settings)?;
        limits::raise_open_files(settings.open_files)?;
        let prefix = Prefix::new(&settings.prefix);
        prefix.prepare()?;
        let claim = Arc::new(prefix.claim()?);
        let written = claim.write_pid();
        if written.is_err() {
            tokio::spawn(write_pid_later(Arc::downgrade(&claim)));
        }
        unless_full(written)?;
        let id = prefix.node_id(&settings)?;

        let open = OpenStore::open(&settings, Arc::clone(&clock))?;
        let proxy_log = proxy_log(&settings)?;
        let runtime = tokio::runtime::Handle::current();
        let resolver = Resolver::new(convert::dns(&settings.dns), runtime, clock.clone())?;
        let trust = convert::trusted_roots(&settings.tls)?;
        let unrecorded = convert::parts_without_spans(&settings);
        if !unrecorded.is_empty() {
            let parts = unrecorded.join(", ");
            tracing::warn!("tracing_instrumentations: there are no spans of {parts}");
        }
        let facts = NodeFacts {
            id,
            hostname: info::hostname().into(),
            token: concat!("silverback/", env!("CARGO_PKG_VERSION")).into(),
            sends_via: settings.headers.via,
            cache_memory: settings.limits.cache_memory,
            lua: convert::untrusted_lua(&settings),
            spans: convert::spans(&settings),
        };
        let plugins = Plugins::new(facts, resolver.clone(), trust, clock.clone(), log.clone());
        let data_plane = data_plane(&settings, proxy_log.clone(), resolver, &plugins, &clock)?;
        let stats = data_plane.stats().clone();
        let process = Process::new(
            id,
            settings.clone(),
            log,
            stats,
            plugins.services.metrics.clone(),
        );
        let process = Arc::new(process);
        let publisher = Publisher::new(
            data_plane.clone(),
            DeclaredEntities::of(&settings).catalog(),
            plugins.records(),
        );
        let cluster =
            following::follow(&settings, &open, publisher, plugins.words.clone(), &clock).await?;
        plugins.open_counters(open.store());
        let written: Arc<dyn Store> = match &open {
            // Plugins look up in the node's copy what they have written to the shared store.
            OpenStore::Postgres(_) => Arc::new(AppliedStore::new(
                open.store(),
                cluster.applied(),
                settings.admin_apply_timeout,
            )),
            OpenStore::Sqlite(_) | OpenStore::Declarative(_) => open.store(),
        };
        plugins.open_writer(repository_over(written, &settings, clock.clone()));
        let catalog = DeclaredEntities::of(&settings).catalog();
        plugins.open_records(&cluster, catalog, settings.cache_warmup.clone());
        process.set_cluster(cluster.clone());
        let applied = cluster.applied();
        let declarative = match &open {
            OpenStore::Sqlite(_) | OpenStore::Postgres(_) => {
                process.set_configured();
                None
            }
            OpenStore::Declarative(store) => {
                let live = LiveConfig::new(
                    store.clone(),
                    &settings,
                    clock.clone(),
                    process.clone(),
                    applied.clone(),
                );
                live.begin(&settings).await?;
                Some(Arc::new(live))
            }
        };
        let store = AppliedStore::new(cluster.store(), applied, settings.admin_apply_timeout);
        let store: Arc<dyn Store> = Arc::new(store);
        let following = cluster.clone();
        let membership = Membership::new(
            cluster,
            process.clone(),
            plugins.words.clone(),
            clock.clone(),
        );
        let membership = Arc::new(membership);

        let health = HealthChecks::start(data_plane.clone(), plugins.words.clone(), clock.clone())?;
        let parts = metrics::Parts {
            id,
            data_plane: data_plane.clone(),
            cluster: following,
            health: health.clone(),
            records: plugins.records(),
            records_limit: plugins.services.node.cache_memory,
            postgres: open.postgres().cloned(),
            clock: clock.clone(),
        };
        metrics::show(&plugins.services.metrics, parts);

        let tls = server_tls(&settings)?;
        data_plane.set_server_tls(Some(Arc::clone(&tls)));
        let specs =
            convert::listen_specs("proxy_listen", &settings.listeners.proxy, &settings.prefix)?;
        let workers = Workers::start(convert::worker_count(&settings), &specs, data_plane.clone())?;
        let state = AdminParts {
            settings: &settings,
            process: &process,
            store: &store,
            membership: &membership,
            plugins: &plugins.services,
            health: &health,
            declarative: declarative.as_ref(),
            clock: &clock,
        }
        .state();
        let sides = Sides {
            settings: &settings,
            tls,
            clock: &clock,
            state,
        };
        let admin = sides.admin(None)?;
        let status = sides.status(None)?;
        prefix.write_record(&settings)?;
        let node = Self {
            prefix,
            process,
            clock,
            store,
            membership,
            health,
            declarative,
            clearing: publisher::clear(&data_plane),
            plugins,
            data_plane,
            proxy_log,
            workers,
            admin,
            status,
            _claim: claim,
        };
        node.membership.join(node.addresses().all());
        tracing::info!("node {id} serves");
        Ok(node)
    }

    /// Takes new settings without losing a connection; on an error the node goes on with those it has.
    pub async fn reload(&mut self, settings: Settings) -> Result<(), Error> {
        refuse_fixed(&self.process.settings(), &settings)?;
        let clock = &self.clock;
        let tls = server_tls(&settings)?;
        let data_plane = convert::data_plane(&settings, clock.as_ref())?;
        let proxy_log = proxy_log(&settings)?;
        let specs =
            convert::listen_specs("proxy_listen", &settings.listeners.proxy, &settings.prefix)?;
        let prepared = self
            .workers
            .prepare(convert::worker_count(&settings), &specs)?;
        let state = AdminParts {
            settings: &settings,
            process: &self.process,
            store: &self.store,
            membership: &self.membership,
            plugins: &self.plugins.services,
            health: &self.health,
            declarative: self.declarative.as_ref(),
            clock,
        }
        .state();
        let sides = Sides {
            settings: &settings,
            tls: Arc::clone(&tls),
            clock,
            state,
        };
        let admin = sides.admin(Some(&self.admin))?;
        let status = sides.status(Some(&self.status))?;
        if let Some(declarative) = &self.declarative {
            declarative.take_from_settings(&settings).await?;
        }

        self.data_plane.set_server_tls(Some(tls));
        self.data_plane.configure(data_plane, proxy_log.clone());
        self.proxy_log = proxy_log;
        self.workers.switch(prepared)?;
        for before in [
            std::mem::replace(&mut self.admin, admin),
            std::mem::replace(&mut self.status, status),
        ] {
            tokio::spawn(before.server.stop(RELOAD_GRACE));
        }
        self.prefix.write_record(&settings)?;
        self.process.set_settings(settings);
        self.membership.join(self.addresses().all());
        Ok(())
    }

    /// Takes no new clients, and returns when every request in flight is answered.
    pub async fn finish(&mut self) {
        self.process.drain();
        tracing::info!("finishing the requests in flight");
        self.workers.finish().await;
    }

    /// Ends at once.
    pub async fn stop(self) {
        tracing::info!("stopping");
        self.workers.stop().await;
        self.admin.server.stop(CONTROL_GRACE).await;
        self.status.server.stop(CONTROL_GRACE).await;
        if !self.plugins.tasks.stop(PLUGIN_GRACE).await {
            tracing::warn!("plugins did not finish their work in the background in time");
        }
        self.health.stop();
        self.membership.leave().await;
        self.clearing.abort();
    }

    /// Opens all log files anew, after something moved them away.
    pub fn reopen_logs(&self) {
        if let Err(error) = self.process.log().reopen() {
            tracing::error!("cannot reopen the error log: {error}");
        }
        if let Some(log) = &self.proxy_log {
            log.reopen();
        }
        for log in [&self.admin.access_log, &self.status.access_log]
            .into_iter()
            .flatten()
        {
            log.reopen();
        }
    }

    /// Where the node can be reached.
    pub fn addresses(&self) -> Addresses {
        Addresses {
            proxy: urls(&self.workers.addresses()),
            admin: urls(&self.admin.sockets.addresses()),
            status: urls(&self.status.sockets.addresses()),
        }
    }

    /// Which store the node uses, and why.
    pub fn store_reason(&self) -> String {
        self.process.settings().store.reason()
    }

    /// The node's folder.
    pub fn prefix(&self) -> &Prefix {
        &self.prefix
    }
}

/// What the workers share, without a configuration yet.
fn data_plane(
    settings: &Settings,
    access_log: Option<ProxyLog>,
    resolver: Resolver,
    plugins: &Plugins,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Shared>, Error> {
    let runtime = tokio::runtime::Handle::current();
    let options = snapshot::Options {
        flavor: convert::flavor(settings),
        references: references(settings),
        plugins: plugins.table(),
    };
    Ok(Shared::new(
        Arc::new(Snapshot::empty(options)),
        convert::data_plane(settings, clock.as_ref())?,
        access_log,
        resolver,
        clock.clone(),
        Some(runtime),
    ))
}

/// References in the configuration to secrets, as far as the setting `vaults` allows them.
fn references(settings: &Settings) -> Arc<dyn snapshot::References> {
    let has_env = settings
        .vaults
        .iter()
        .any(|vault| matches!(vault.as_str(), "bundled" | "env"));
    if !has_env {
        return Arc::new(snapshot::Unresolved);
    }
    let prefix = settings.vault_env_prefix.clone();
    Arc::new(EnvironmentReferences::new(environment(), prefix))
}

fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn server_tls(settings: &Settings) -> Result<Arc<ServerTls>, Error> {
    let tls = ServerTls::new(&convert::server_tls(&settings.tls))?;
    for warning in tls.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(tls)
}

fn proxy_log(settings: &Settings) -> Result<Option<ProxyLog>, Error> {
    let Some(path) = &settings.logs.proxy_access else {
        return Ok(None);
    };
    let format = match settings.logs.proxy_access_format.as_deref() {
        Some("combined" | "basic") => Format::Combined,
        _ => Format::Kong,
    };
    let opened = ProxyLog::open(path, format);
    opened
        .map(Some)
        .map_err(|source| Error::file("open", path, source))
}

/// What only a restart can change.
fn refuse_fixed(before: &Settings, after: &Settings) -> Result<(), Error> {
    let store = |settings: &Settings| match &settings.store {
        StoreChoice::Sqlite { file, .. } => Some(StoreChoice::Sqlite {
            file: file.clone(),
            chosen: true,
        }),
        StoreChoice::Postgres(place) => Some(StoreChoice::Postgres(Box::new(Postgres {
            chosen: true,
            ..(**place).clone()
        }))),
        _ => None,
    };
    let kind = |settings: &Settings| std::mem::discriminant(&settings.store);
    if before.prefix != after.prefix {
        return Err(Error::NeedsRestart("prefix"));
    }
    if kind(before) != kind(after) || store(before) != store(after) {
        return Err(Error::NeedsRestart("the store (database, sqlite_, pg_)"));
    }
    if before.router_flavor != after.router_flavor {
        return Err(Error::NeedsRestart("router_flavor"));
    }
    if before.plugins != after.plugins {
        return Err(Error::NeedsRestart("plugins"));
    }
    if before.limits.cache_memory != after.limits.cache_memory {
        return Err(Error::NeedsRestart("mem_cache_size"));
    }
    if convert::spans(before) != convert::spans(after) {
        return Err(Error::NeedsRestart(
            "tracing_instrumentations and tracing_sampling_rate",
        ));
    }
    if before.dns != after.dns {
        return Err(Error::NeedsRestart(
            "the settings of name resolution (dns_, resolver_)",
        ));
    }
    Ok(())
}

/// Writes the pid file as soon as there is room for it.
async fn write_pid_later(claim: Weak<Claim>) {
    loop {
        tokio::time::sleep(ROOM).await;
        if claim
            .upgrade()
            .is_none_or(|claim| claim.write_pid().is_ok())
        {
            return;
        }
    }
}
