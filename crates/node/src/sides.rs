//! The Admin and the Status API of a node: what they are given, their sockets and their logs.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use config::Settings;
use net::listen::{ListenAddress, ListenSpec, ListenerSet};
use net::tls::ServerTls;
use plugin_api::Services;
use stdx::Clock;
use store::Store;

use crate::access_log::AccessLog;
use crate::certificates::{self, Owner};
use crate::control::{Api, Server};
use crate::declarative_config::LiveConfig;
use crate::health_checks::HealthChecks;
use crate::info::Process;
use crate::membership::Membership;
use crate::plugin_endpoints::ServedEndpoints;
use crate::stores::{DeclaredEntities, repository_over};
use crate::{Error, convert};

/// What the Admin and Status APIs are given.
pub struct AdminParts<'a> {
    pub settings: &'a Settings,
    pub process: &'a Arc<Process>,
    pub store: &'a Arc<dyn Store>,
    pub membership: &'a Arc<Membership>,
    pub plugins: &'a Services,
    pub health: &'a Arc<HealthChecks>,
    pub declarative: Option<&'a Arc<LiveConfig>>,
    pub clock: &'a Arc<dyn Clock>,
}

impl AdminParts<'_> {
    /// The parts, put together.
    pub fn state(&self) -> admin::State {
        let settings = self.settings;
        let declared = DeclaredEntities::of(settings);
        let mut options = admin::Options {
            latency_header: settings.headers.admin_latency,
            max_body_size: settings.limits.admin_body,
            body_timeout: settings.limits.body_timeout,
            allowed_origins: settings
                .admin_origins
                .iter()
                .filter_map(|origin| origin.parse().ok())
                .collect(),
            apply_timeout: settings.admin_apply_timeout,
            ..admin::Options::default()
        };
        if !settings.headers.server {
            options.server = None;
        }
        admin::State {
            repository: repository_over(self.store.clone(), settings, self.clock.clone()),
            schemas: declared.schemas(),
            subschemas: Arc::new(declared),
            node: self.process.clone(),
            health: self.health.clone(),
            cluster: self.membership.clone(),
            plugins: Arc::new(ServedEndpoints {
                enabled: declared.enabled(),
                services: self.plugins.clone(),
            }),
            declarative: self
                .declarative
                .map(|live| live.clone() as Arc<dyn admin::DeclarativeConfig>),
            clock: self.clock.clone(),
            options: Arc::new(options),
        }
    }
}

/// One API with its sockets and log.
pub struct Side {
    pub sockets: ListenerSet,
    pub server: Server,
    pub access_log: Option<Arc<AccessLog>>,
}

/// What both APIs are made of.
pub struct Sides<'a> {
    pub settings: &'a Settings,
    pub tls: Arc<ServerTls>,
    pub clock: &'a Arc<dyn Clock>,
    pub state: admin::State,
}

impl Sides<'_> {
    /// The Admin API; sockets that `before` has at the same addresses are kept.
    pub fn admin(&self, before: Option<&Side>) -> Result<Side, Error> {
        let (listeners, log) = (
            &self.settings.listeners.admin,
            &self.settings.logs.admin_access,
        );
        let specs = convert::listen_specs("admin_listen", listeners, &self.settings.prefix)?;
        warn_of_open_admin(&specs);
        let router = admin::router(self.state.clone());
        self.start(
            ("admin_listen", Owner::Admin),
            &specs,
            router,
            log.as_deref(),
            before,
        )
    }

    /// The Status API, in the same way.
    pub fn status(&self, before: Option<&Side>) -> Result<Side, Error> {
        let (listeners, log) = (
            &self.settings.listeners.status,
            &self.settings.logs.status_access,
        );
        let specs = convert::listen_specs("status_listen", listeners, &self.settings.prefix)?;
        let router = admin::status::router(self.state.clone());
        self.start(
            ("status_listen", Owner::Status),
            &specs,
            router,
            log.as_deref(),
            before,
        )
    }

    /// Serves an API; sockets that `before` has at the same addresses are kept.
    fn start(
        &self,
        (setting, owner): (&'static str, Owner),
        specs: &[ListenSpec],
        router: axum::Router,
        log: Option<&Path>,
        before: Option<&Side>,
    ) -> Result<Side, Error> {
        let configured = match owner {
            Owner::Status => &self.settings.tls.status,
            _ => &self.settings.tls.admin,
        };
        let identity = if specs.iter().any(|spec| spec.ssl) {
            let prefix = &self.settings.prefix;
            Some(certificates::identity(
                owner,
                configured,
                prefix,
                self.clock.as_ref(),
            )?)
        } else {
            None
        };
        let access_log = match log {
            Some(path) => {
                let opened = AccessLog::open(path, self.clock.clone());
                Some(Arc::new(
                    opened.map_err(|source| Error::file("open", path, source))?,
                ))
            }
            None => None,
        };
        let sockets = ListenerSet::bind(specs, 1, before.map(|before| &before.sockets))
            .map_err(|source| Error::Listen { setting, source })?;
        let api = Api {
            router,
            tls: self.tls.clone(),
            identity,
            access_log: access_log.clone(),
        };
        let server = Server::start(&sockets, &api)?;
        Ok(Side {
            sockets,
            server,
            access_log,
        })
    }
}

/// Compat: like Kong's, the Admin API asks nobody who they are.
fn warn_of_open_admin(specs: &[ListenSpec]) {
    for address in beyond_this_machine(specs) {
        tracing::warn!(
            "admin_listen has {address}: whoever reaches it can change everything, for the Admin API has no \
             authentication; listen on 127.0.0.1, or put something in front that asks"
        );
    }
}

/// The addresses that other machines may reach.
fn beyond_this_machine(specs: &[ListenSpec]) -> impl Iterator<Item = SocketAddr> + '_ {
    specs.iter().filter_map(|spec| match spec.address {
        ListenAddress::Tcp(address) if !address.ip().is_loopback() => Some(address),
        _ => None,
    })
}

/// Addresses that a person can click on.
pub fn urls(listeners: &[(ListenSpec, ListenAddress)]) -> Vec<String> {
    listeners
        .iter()
        .map(|(spec, address)| {
            let scheme = if spec.ssl { "https" } else { "http" };
            match address {
                ListenAddress::Tcp(address) if address.ip().is_unspecified() => {
                    format!("{scheme}://127.0.0.1:{}", address.port())
                }
                ListenAddress::Tcp(address) => format!("{scheme}://{address}"),
                ListenAddress::Unix(path) => format!("unix:{}", path.display()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
