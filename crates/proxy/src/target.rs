//! Phase *pick target*: which address the request goes to, and what name it is given there.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use health::Waiting;
use net::Alpn;
use net::connect::{Target, TargetTls};
use net::tls::{ClientTls, ClientTlsSettings};
use router::Protocol;
use snapshot::{Service, Upstream, authority};

use crate::balancing::Pick;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::lease::{Lease, Past};

/// Where a request goes.
#[derive(Debug)]
pub(crate) struct Picked {
    pub target: Target,
    /// The value of `Host` there, if it is not the service's.
    host: Option<String>,
    /// The address out of an upstream's targets, if it came from there.
    lease: Option<Box<Lease>>,
}

impl Picked {
    /// The value of `Host` there.
    pub fn host<'a>(&'a self, service: &'a Service) -> &'a str {
        self.host.as_deref().unwrap_or(service.authority())
    }

    /// Notes that the target did not serve the request.
    pub fn failed(&mut self, error: &Error) {
        if let Some(lease) = &mut self.lease {
            tracing::debug!(%error, target = %self.target.address, "a target of an upstream failed");
            lease.failed(error);
        }
    }

    /// Notes that the target answered.
    pub fn answered(&self, status: u16) {
        if let Some(lease) = &self.lease {
            lease.answered(status);
        }
    }
}

impl Exchange {
    /// Picks the address that the service names, if it names one.
    ///
    /// Perf: nobody has to wait for that, nor to be able to (bench case "GET, 1 KiB answer").
    pub fn named_target(&mut self, service: &Service) -> Result<Option<Picked>, Error> {
        let Some(ip) = service.address() else {
            return Ok(None);
        };
        let began = self.begin_choice();
        let address = SocketAddr::new(ip, service.port);
        let picked = self.picked(service, None, address, None, None)?;
        self.note_try(address, began);
        Ok(Some(picked))
    }

    /// Picks for the first try.
    pub async fn pick_target(&mut self, service: &Service) -> Result<Picked, Error> {
        let began = self.begin_choice();
        let picked = self.pick_first(service).await?;
        self.note_try(picked.target.address, began);
        Ok(picked)
    }

    /// Picks for another try; of an upstream's targets, another one if there is one.
    pub async fn pick_again(
        &mut self,
        service: &Service,
        before: &mut Picked,
    ) -> Result<Picked, Error> {
        let began = self.begin_choice();
        let picked = match before.lease.take() {
            Some(lease) => {
                let upstream = lease.upstream().clone();
                self.pick_balanced(service, &upstream, lease.into_past())
                    .await?
            }
            None => self.pick_first(service).await?,
        };
        self.note_try(picked.target.address, began);
        Ok(picked)
    }

    async fn pick_first(&mut self, service: &Service) -> Result<Picked, Error> {
        if let Some(ip) = service.address() {
            let address = SocketAddr::new(ip, service.port);
            return self.picked(service, None, address, None, None);
        }
        if let Some(upstream) = self.published.snapshot.upstream(&service.host).cloned() {
            return self
                .pick_balanced(service, &upstream, Past::default())
                .await;
        }
        self.pick_resolved(service).await
    }

    async fn pick_resolved(&self, service: &Service) -> Result<Picked, Error> {
        let resolver = &self.worker.shared.resolver;
        let address = match resolver.cached_address(&service.host, service.port) {
            Some(known) => known?,
            None => {
                resolver
                    .resolve_address(&service.host, service.port)
                    .await?
            }
        };
        // A name can have ports of its own.
        let name = (address.port() != service.port).then_some(&*service.host);
        self.picked(service, None, address, name, None)
    }

    async fn pick_balanced(
        &mut self,
        service: &Service,
        upstream: &Arc<Upstream>,
        mut past: Past,
    ) -> Result<Picked, Error> {
        let worker = self.worker.clone();
        worker.balancers.refresh(&worker, upstream).await;
        if past.key.is_none() {
            past.key = Some(self.hash_key(upstream));
        }
        let (lease, address) = match worker.balancers.pick(&worker, upstream, &mut past) {
            Pick::Taken(lease, address) => (lease, address),
            Pick::Nobody => return Err(Error::NoPeer),
            Pick::Busy(queue, places) => {
                let waiting = queue.enter(places).ok_or(Error::Busy)?;
                let patience = service.connect_timeout;
                let found = pin!(self.await_room(upstream, &mut past, &waiting));
                let found = self.slot.within(patience, found).await;
                found.map_err(|_| Error::Busy)??
            }
        };
        let name = match &upstream.host_header {
            Some(name) => (**name).into(),
            // A name in an SRV record, not an address.
            None if upstream.use_srv_name && lease.address.record != lease.address.host => {
                lease.address.record.clone()
            }
            None => lease.address.target.clone(),
        };
        self.picked(service, Some(upstream), address, Some(&name), Some(lease))
    }

    /// Waits until an address takes the request.
    async fn await_room(
        &self,
        upstream: &Arc<Upstream>,
        past: &mut Past,
        waiting: &Waiting,
    ) -> Result<(Box<Lease>, SocketAddr), Error> {
        loop {
            // First, so that what is given up meanwhile is noticed.
            let room = waiting.room();
            match self.worker.balancers.pick(&self.worker, upstream, past) {
                Pick::Taken(lease, address) => return Ok((lease, address)),
                Pick::Nobody => return Err(Error::NoPeer),
                Pick::Busy(..) => room.await,
            }
        }
    }

    /// `name` is what the address goes by, if that is not the service's host with its port.
    fn picked(
        &self,
        service: &Service,
        upstream: Option<&Upstream>,
        address: SocketAddr,
        name: Option<&str>,
        lease: Option<Box<Lease>>,
    ) -> Result<Picked, Error> {
        let named = |name| authority(name, address.port(), service.protocol);
        let host = match &self.chosen()?.preserved_host {
            Some(host) => Some(host.clone()),
            None => name.map(named),
        };
        let tls = match service.protocol {
            Protocol::Https | Protocol::Grpcs => {
                let config = self.worker.client_tls(&self.published, service, upstream)?;
                let host = host.as_deref().unwrap_or(service.authority());
                let server_name = http1::host_name(host.as_bytes());
                Some(TargetTls {
                    config,
                    server_name: String::from_utf8_lossy(server_name).into(),
                })
            }
            _ => None,
        };
        Ok(Picked {
            target: Target { address, tls },
            host,
            lease,
        })
    }
}

/// How a service's upstream is spoken to over TLS.
pub(crate) fn compile_tls(
    exchange: &crate::published::Published,
    service: &Service,
    upstream: Option<&Upstream>,
    cache: &net::tls::ClientTlsCache,
) -> Result<ClientTls, Error> {
    let (snapshot, settings) = (&exchange.snapshot, &exchange.settings);
    let trust = if service.tls_verify.unwrap_or(settings.upstream_tls_verify) {
        let named = snapshot.trust(&service.ca_certificates);
        if named.is_none() && !service.ca_certificates.is_empty() {
            return Err(Error::Internal(
                "a CA certificate of the service is missing",
            ));
        }
        // Without any authority nothing can be verified, and nothing may pass.
        let trust = named.or_else(|| settings.trust.clone());
        Some(trust.ok_or(Error::Internal(
            "the service verifies its upstream, and no CA is configured",
        ))?)
    } else {
        None
    };
    let certificate = service
        .client_certificate
        .or_else(|| upstream.and_then(|upstream| upstream.client_certificate));
    let identity = match certificate {
        Some(id) => {
            let certificate = snapshot.certificate(id).ok_or(Error::Internal(
                "the client certificate of the service is missing",
            ))?;
            certificate.client_identity().cloned()
        }
        None => settings.client_identity.clone(),
    };
    let is_grpc = service.protocol == Protocol::Grpcs;
    let compiled = cache.get(ClientTlsSettings {
        trust,
        verify_depth: service
            .tls_verify_depth
            .or(settings.upstream_tls_verify_depth),
        identity,
        alpn: is_grpc.then_some(Alpn::Http2),
        versions: Vec::new(),
    });
    compiled.map_err(|error| {
        tracing::error!(%error, service = %service.id, "cannot speak TLS to the upstream");
        Error::Internal("TLS to the upstream cannot be set up")
    })
}
