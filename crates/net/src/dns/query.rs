//! One lookup over the network: the order of types, the search list, and what answers mean.

use std::net::IpAddr;
use std::time::Duration;

use hickory_resolver::config::{ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

use super::files::SystemConfig;
use super::{DnsSettings, RecordKind, Records, ServiceRecord};
use crate::{Error, ResolveError};

/// How many CNAME records are followed one by one. The servers follow them as a rule.
const MAX_ALIASES: usize = 8;

/// Records with the kind that answered and their lifetime.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) records: Records,
    pub(super) kind: RecordKind,
    pub(super) ttl: Duration,
}

/// Asks name servers.
#[derive(Debug)]
pub(super) struct Client {
    library: Library,
    order: Vec<RecordKind>,
    search: Vec<Box<str>>,
    ndots: usize,
}

/// The library's resolver. One of them asks a question only once at a time, so that lookups that are not to wait for one
/// another (`dns_no_sync`) need one each.
#[derive(Debug)]
enum Library {
    Shared(Box<TokioResolver>),
    OneEach(Box<(ResolverConfig, ResolverOpts)>),
}

fn build(config: ResolverConfig, options: ResolverOpts) -> Result<TokioResolver, NetError> {
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build()
}

/// What one question led to, when it did not lead to records of the wanted kind.
enum Miss {
    /// Another kind or another name may do.
    Next(ResolveError),
    /// Nobody answers.
    Stop(ResolveError),
}

impl Client {
    pub(super) fn new(system: SystemConfig, settings: &DnsSettings) -> Result<Self, Error> {
        let SystemConfig {
            servers,
            mut options,
            search,
        } = system;
        let ndots = options.ndots;
        // Both are done here: the library's cache knows no stale answers, and its hosts file no order of types.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        // Built in any case, so that a configuration that cannot work is known at once.
        let shared = build(config.clone(), options.clone())
            .map_err(|error| Error::DnsSetting(error.to_string()))?;
        let library = if settings.no_sync {
            Library::OneEach(Box::new((config, options)))
        } else {
            Library::Shared(Box::new(shared))
        };
        let order = settings.order.clone();
        Ok(Self {
            library,
            order,
            search,
            ndots,
        })
    }

    /// Looks a name up, in lower case. `last` is the kind that answered last time.
    pub(super) async fn fetch(
        &self,
        name: &str,
        last: Option<RecordKind>,
    ) -> Result<Fetched, ResolveError> {
        let own;
        let library = match &self.library {
            Library::Shared(shared) => shared,
            Library::OneEach(parts) => {
                let (config, options) = (**parts).clone();
                own = build(config, options)
                    .map_err(|error| ResolveError::Network(error.to_string()))?;
                &own
            }
        };
        let mut name = name.to_owned();
        let mut last = last;
        for _ in 0..MAX_ALIASES {
            match self.fetch_once(library, &name, last.take()).await? {
                Step::Found(fetched) => return Ok(fetched),
                Step::Alias(other) if other == name => return Err(ResolveError::Recursion),
                Step::Alias(other) => name = other,
            }
        }
        Err(ResolveError::Recursion)
    }

    async fn fetch_once(
        &self,
        library: &TokioResolver,
        name: &str,
        last: Option<RecordKind>,
    ) -> Result<Step, ResolveError> {
        let mut error = ResolveError::Empty;
        let mut done = Vec::with_capacity(self.order.len());
        for kind in self.order.iter().filter_map(|kind| {
            if *kind == RecordKind::Last {
                last
            } else {
                Some(*kind)
            }
        }) {
            if done.contains(&kind) {
                continue;
            }
            done.push(kind);
            for candidate in self.candidates(name) {
                match ask(library, &candidate, kind).await {
                    Ok(step) => return Ok(step),
                    Err(Miss::Next(reason)) => error = reason,
                    Err(Miss::Stop(reason)) => return Err(reason),
                }
            }
        }
        Err(error)
    }

    /// The full names that a name may stand for, likeliest first.
    fn candidates(&self, name: &str) -> Vec<String> {
        if name.ends_with('.') {
            return vec![name.to_owned()];
        }
        let searched = self.search.iter().map(|domain| format!("{name}.{domain}."));
        let bare = std::iter::once(format!("{name}."));
        if name.bytes().filter(|byte| *byte == b'.').count() < self.ndots {
            searched.chain(bare).collect()
        } else {
            bare.chain(searched).collect()
        }
    }
}

async fn ask(library: &TokioResolver, full_name: &str, kind: RecordKind) -> Result<Step, Miss> {
    let name =
        Name::from_str_relaxed(full_name).map_err(|_| Miss::Next(ResolveError::InvalidName))?;
    let record_type = match kind {
        RecordKind::Srv => RecordType::SRV,
        RecordKind::Aaaa => RecordType::AAAA,
        RecordKind::Cname => RecordType::CNAME,
        RecordKind::A | RecordKind::Last => RecordType::A,
    };
    let lookup = library.lookup(name, record_type).await.map_err(miss)?;
    read_answer(&lookup, full_name, kind)
}

/// One step of a lookup.
enum Step {
    Found(Fetched),
    /// The name stands for another one.
    Alias(String),
}

fn read_answer(lookup: &Lookup, asked: &str, kind: RecordKind) -> Result<Step, Miss> {
    let answers = lookup.answers();
    let ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
    let records = match kind {
        RecordKind::Cname => {
            let alias = answers.iter().find_map(|record| match &record.data {
                RData::CNAME(alias) => Some(alias.0.to_ascii().to_ascii_lowercase()),
                _ => None,
            });
            return alias
                .map(Step::Alias)
                .ok_or(Miss::Next(ResolveError::Empty));
        }
        RecordKind::Srv => services(lookup, asked)?,
        RecordKind::A | RecordKind::Aaaa | RecordKind::Last => {
            let addresses: Vec<IpAddr> = answers
                .iter()
                .filter_map(|record| match (&record.data, kind) {
                    (RData::A(v4), RecordKind::A | RecordKind::Last) => Some(IpAddr::V4(v4.0)),
                    (RData::AAAA(v6), RecordKind::Aaaa) => Some(IpAddr::V6(v6.0)),
                    _ => None,
                })
                .collect();
            if addresses.is_empty() {
                return Err(Miss::Next(ResolveError::Empty));
            }
            Records::Addresses(addresses)
        }
    };
    Ok(Step::Found(Fetched {
        records,
        kind,
        ttl: Duration::from_secs(u64::from(ttl)),
    }))
}

/// SRV records, best priority first. Compat: records that all point back to the name that was asked for, which
/// Kubernetes makes, count as none, so that the other kinds are tried.
fn services(lookup: &Lookup, asked: &str) -> Result<Records, Miss> {
    let mut services: Vec<ServiceRecord> = lookup
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => {
                let target = srv.target.to_ascii().to_ascii_lowercase();
                Some(ServiceRecord {
                    priority: srv.priority,
                    weight: srv.weight,
                    port: srv.port,
                    target: target.strip_suffix('.').unwrap_or(&target).into(),
                })
            }
            _ => None,
        })
        .collect();
    if services.is_empty() {
        return Err(Miss::Next(ResolveError::Empty));
    }
    let asked = asked.strip_suffix('.').unwrap_or(asked);
    if services.iter().all(|service| *service.target == *asked) {
        return Err(Miss::Next(ResolveError::Recursion));
    }
    services.sort_by_key(|service| service.priority);
    Ok(Records::Services(services))
}

fn miss(error: NetError) -> Miss {
    let code = match &error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Dns(_) => ResponseCode::ServFail,
        other => return Miss::Stop(ResolveError::Network(other.to_string())),
    };
    Miss::Next(match code {
        ResponseCode::NoError => ResolveError::Empty,
        code => ResolveError::Server {
            code: code.into(),
            text: code_text(code),
        },
    })
}

/// The texts that Kong logs.
fn code_text(code: ResponseCode) -> &'static str {
    match code {
        ResponseCode::FormErr => "format error",
        ResponseCode::ServFail => "server failure",
        ResponseCode::NXDomain => "name error",
        ResponseCode::NotImp => "not implemented",
        ResponseCode::Refused => "refused",
        _ => "unknown",
    }
}
