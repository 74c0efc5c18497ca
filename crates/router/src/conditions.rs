//! The conditions of a route that the index does not cover.

use std::net::SocketAddr;

use regex::Regex;

use crate::pattern;
use crate::request::{HeaderLines, Request, Scheme};
use crate::spec::{AddressRule, Endpoint, HeaderRule, Protocol, Protocols, RareRules};
use crate::{Error, expression::Expression};

/// Methods, headers, names, addresses, or a whole expression; all must hold.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    /// Only where the flavour compares protocols.
    pub(crate) schemes: Vec<Scheme>,
    pub(crate) methods: Vec<Box<str>>,
    pub(crate) snis: Vec<NamePattern>,
    /// Where names are not compared, they hold.
    pub(crate) sni_compared: SniCompared,
    pub(crate) headers: Vec<HeaderCondition>,
    pub(crate) sources: Vec<Endpoint>,
    pub(crate) destinations: Vec<Endpoint>,
    pub(crate) expression: Option<Expression>,
}

impl Conditions {
    /// The rare fields of a route of the `traditional_compatible` kind; `None` if it has none of them.
    pub(crate) fn compile(rare: &RareRules, stream: bool) -> Result<Option<Box<Self>>, Error> {
        let mut this = Self {
            snis: rare
                .snis
                .iter()
                .map(|sni| NamePattern::parse(sni))
                .collect(),
            sni_compared: if stream {
                SniCompared::OnTls
            } else {
                SniCompared::OnHttps
            },
            sources: rare.sources.clone(),
            destinations: rare.destinations.clone(),
            ..Self::default()
        };
        if !stream {
            this.methods.clone_from(&rare.methods);
            this.headers = rare
                .headers
                .iter()
                .map(HeaderCondition::compile)
                .collect::<Result<_, _>>()?;
        }
        let any = !this.methods.is_empty()
            || !this.snis.is_empty()
            || !this.headers.is_empty()
            || !this.sources.is_empty()
            || !this.destinations.is_empty();
        Ok(any.then(|| Box::new(this)))
    }

    pub(crate) fn hold(&self, request: &Normal<'_>) -> bool {
        let r = request.request;
        (self.schemes.is_empty() || self.schemes.contains(&r.scheme))
            && (self.methods.is_empty() || self.methods.iter().any(|m| m.as_bytes() == r.method))
            && self.sni_holds(r)
            && endpoints_hold(&self.sources, r.source)
            && endpoints_hold(&self.destinations, r.destination)
            && self.headers.iter().all(|header| header.holds(r.headers))
            && self
                .expression
                .as_ref()
                .is_none_or(|expression| expression.holds(request))
    }

    fn sni_holds(&self, request: &Request<'_>) -> bool {
        self.snis.is_empty()
            || !self.sni_compared.on(request.scheme)
            || request
                .sni
                .is_some_and(|sni| self.snis.iter().any(|pattern| pattern.matches(sni)))
    }
}

/// On which schemes a route's names are compared with the client's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) enum SniCompared {
    #[default]
    OnHttps,
    OnTls,
    /// The `traditional` flavour.
    ButOnHttp,
}

impl SniCompared {
    fn on(self, scheme: Scheme) -> bool {
        match self {
            Self::OnHttps => scheme == Scheme::Https,
            Self::OnTls => scheme == Scheme::Tls,
            Self::ButOnHttp => scheme != Scheme::Http,
        }
    }
}

/// The schemes that the expression `net.protocol == …` lets through for a route's protocols; empty means all.
///
/// Compat: a route for `https` alone also matches plain requests, so that they can be redirected.
pub(crate) fn schemes_of(protocols: Protocols) -> Vec<Scheme> {
    let mut list = protocols.iter();
    if let (Some(Protocol::Https | Protocol::Tls | Protocol::TlsPassthrough), None) =
        (list.next(), list.next())
    {
        return Vec::new();
    }
    let scheme = |protocol| match protocol {
        Protocol::Http | Protocol::Grpc => Scheme::Http,
        Protocol::Https | Protocol::Grpcs => Scheme::Https,
        Protocol::Tcp | Protocol::TlsPassthrough => Scheme::Tcp,
        Protocol::Tls => Scheme::Tls,
        Protocol::Udp => Scheme::Udp,
    };
    protocols.iter().map(scheme).collect()
}

/// A request with what the router works out of it once.
#[derive(Clone, Copy)]
pub(crate) struct Normal<'a> {
    pub(crate) request: &'a Request<'a>,
    /// The host without its port.
    pub(crate) host: Option<&'a [u8]>,
    /// The port of the Host header, or the one the client connected to.
    pub(crate) port: Option<u32>,
    /// Empty if the path is not UTF-8.
    pub(crate) path: &'a str,
}

/// An exact name, or one with a wildcard at one end.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NamePattern {
    Exact(Box<str>),
    Suffix(Box<str>),
    Prefix(Box<str>),
}

impl NamePattern {
    /// A dot at the end of a full name takes no part in the comparison.
    pub(crate) fn parse(name: &str) -> Self {
        if let Some(prefix) = name.strip_suffix('*')
            && !name.starts_with('*')
        {
            return Self::Prefix(prefix.into());
        }
        let name = if name.len() > 1 {
            name.strip_suffix('.').unwrap_or(name)
        } else {
            name
        };
        match name.strip_prefix('*') {
            Some(suffix) => Self::Suffix(suffix.into()),
            None => Self::Exact(name.into()),
        }
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => **exact == *name,
            Self::Suffix(suffix) => name.ends_with(&**suffix),
            Self::Prefix(prefix) => name.starts_with(&**prefix),
        }
    }
}

/// Whether the peer is one of the endpoints; an empty list lets every peer through.
pub(crate) fn endpoints_hold(endpoints: &[Endpoint], peer: Option<SocketAddr>) -> bool {
    endpoints.is_empty()
        || peer.is_some_and(|peer| {
            endpoints.iter().any(|endpoint| {
                let address = match endpoint.address {
                    None => true,
                    Some(AddressRule::Exact(exact)) => exact == peer.ip(),
                    Some(AddressRule::Network(network)) => network.contains(&peer.ip()),
                };
                address && endpoint.port.is_none_or(|port| port == peer.port())
            })
        })
}

/// One header of a route: any of its values, in any of the request's lines of that name.
#[derive(Debug)]
pub(crate) struct HeaderCondition {
    /// In lower case; an underscore also stands for a dash.
    name: Box<str>,
    values: Vec<ValueRule>,
}

#[derive(Debug)]
enum ValueRule {
    /// In lower case.
    Exact(Box<str>),
    /// Compared with values in lower case.
    Pattern(Regex),
}

impl HeaderCondition {
    /// The form of the `traditional` flavour: a pattern counts only if it is the single value, and as it is written.
    pub(crate) fn compile_traditional(rule: &HeaderRule) -> Result<Self, Error> {
        let exact = rule
            .values
            .iter()
            .map(|value| ValueRule::Exact(value.to_ascii_lowercase().into()));
        let mut values: Vec<_> = exact.collect();
        if let [only] = rule.values.as_slice()
            && let Some(pattern) = only.strip_prefix("~*")
        {
            values.push(ValueRule::Pattern(pattern::compile(pattern)?));
        }
        Ok(Self {
            name: rule.name.to_ascii_lowercase().into(),
            values,
        })
    }

    fn compile(rule: &HeaderRule) -> Result<Self, Error> {
        let compile = |value: &str| {
            // Compat: Kong puts the whole pattern in lower case, its escapes included.
            let value = value.to_ascii_lowercase();
            Ok(match value.strip_prefix("~*") {
                Some(pattern) => ValueRule::Pattern(pattern::compile(pattern)?),
                None => ValueRule::Exact(value.into()),
            })
        };
        Ok(Self {
            name: rule.name.to_ascii_lowercase().replace('-', "_").into(),
            values: rule
                .values
                .iter()
                .map(|value| compile(value))
                .collect::<Result<_, _>>()?,
        })
    }

    fn holds(&self, headers: &dyn HeaderLines) -> bool {
        let mut holds = false;
        visit_header(headers, &self.name, &mut |value| {
            holds = holds || self.values.iter().any(|rule| rule.holds(value));
        });
        holds
    }

    /// The pattern that decided, and the value in lower case, for captures; `None` if an exact value came first.
    pub(crate) fn deciding_pattern(&self, headers: &dyn HeaderLines) -> Option<(&Regex, String)> {
        let fits = |rule: &&ValueRule| {
            let mut fits = false;
            visit_header(headers, &self.name, &mut |value| {
                fits = fits || rule.holds(value)
            });
            fits
        };
        let ValueRule::Pattern(pattern) = self.values.iter().find(fits)? else {
            return None;
        };
        let mut found = None;
        visit_header(headers, &self.name, &mut |value| {
            if let (None, Ok(value)) = (&found, std::str::from_utf8(value)) {
                let value = value.to_lowercase();
                found = pattern.is_match(&value).then_some((pattern, value));
            }
        });
        found
    }
}

impl ValueRule {
    /// A value that is not UTF-8 fits nothing.
    fn holds(&self, value: &[u8]) -> bool {
        let Ok(value) = std::str::from_utf8(value) else {
            return false;
        };
        match self {
            Self::Exact(exact) if value.is_ascii() => exact.eq_ignore_ascii_case(value),
            Self::Exact(exact) => **exact == *value.to_lowercase(),
            Self::Pattern(pattern) => pattern.is_match(&value.to_lowercase()),
        }
    }
}

/// Visits the values of a header that is named with underscores.
///
/// Compat: a header whose name has the very underscores comes first; failing that, dashes stand for them.
pub(crate) fn visit_header(headers: &dyn HeaderLines, name: &str, visitor: &mut dyn FnMut(&[u8])) {
    let mut spelled_so = false;
    if !name.contains('-') && !name.bytes().any(|b| b.is_ascii_uppercase()) {
        headers.visit(&mut |line, _| spelled_so |= line.eq_ignore_ascii_case(name.as_bytes()));
    }
    let dashed = |line: &[u8]| {
        let alike = |(a, b): (&u8, u8)| a.eq_ignore_ascii_case(if b == b'_' { &b'-' } else { &b });
        line.len() == name.len() && line.iter().zip(name.bytes()).all(alike)
    };
    headers.visit(&mut |line, value| {
        let wanted = if spelled_so {
            line.eq_ignore_ascii_case(name.as_bytes())
        } else {
            dashed(line)
        };
        if wanted {
            visitor(value);
        }
    });
}
