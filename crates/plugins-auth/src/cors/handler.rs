//! Tells browsers which origins may read answers, and answers preflight requests.

use std::borrow::Cow;
use std::sync::Arc;

use plugin_api::{
    Configured, Exchange, Failure, Handler, Method, Needs, Phase, Reply, ResponseHead, Services,
    Step,
};
use regex::Regex;
use serde::Deserialize;

#[derive(Deserialize)]
struct Config {
    origins: Option<Vec<String>>,
    headers: Option<Vec<String>>,
    exposed_headers: Option<Vec<String>>,
    methods: Option<Vec<String>>,
    max_age: Option<serde_json::Number>,
    credentials: bool,
    preflight_continue: bool,
    private_network: bool,
}

struct Cors {
    config: Config,
    origins: Origins,
    methods: String,
}

/// Which origins may read.
enum Origins {
    Any,
    /// One, named whoever asks.
    Fixed(String),
    /// The first that matches decides; a star among them lets everybody in from its place on.
    Listed(Vec<Rule>),
}

enum Rule {
    Any,
    Equals(String),
    Matches {
        pattern: Regex,
        /// Whether it is about the host alone, without scheme and port.
        by_host: bool,
    },
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(Cors {
        origins: Origins::read(config.origins.as_deref().unwrap_or_default())?,
        methods: config.methods.as_deref().unwrap_or_default().join(","),
        config,
    }))
}

/// What an exchange was found to be.
#[derive(Default)]
struct Seen {
    preflight: bool,
}

/// What an answer says about origins.
#[derive(Debug, Default, PartialEq, Eq)]
struct Verdict<'a> {
    allowed: Option<Cow<'a, str>>,
    credentials: bool,
    /// Whether another origin would get another answer.
    varies: bool,
}

impl Handler for Cors {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access, Phase::HeaderFilter])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let headers = &exchange.head.headers;
        let preflight = *exchange.head.method() == Method::Options
            && headers.contains("origin")
            && headers.contains("access-control-request-method");
        if !preflight {
            return Step::next();
        }
        let reply = (!self.config.preflight_continue).then(|| self.preflight(exchange));
        exchange.state::<Seen>().preflight = true;
        reply.map_or_else(Step::next, Step::answer)
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        if exchange.state::<Seen>().preflight {
            return Ok(());
        }
        let verdict = self.judge(exchange.head.headers.get_str("origin"));
        let headers = &mut head.headers;
        match &verdict.allowed {
            Some(origin) => headers.set("Access-Control-Allow-Origin", origin.as_bytes())?,
            None => headers.remove("Access-Control-Allow-Origin"),
        }
        if verdict.varies {
            headers.append("Vary", "Origin")?;
        }
        if verdict.credentials {
            headers.set("Access-Control-Allow-Credentials", "true")?;
        }
        if let Some(exposed) = self
            .config
            .exposed_headers
            .as_ref()
            .filter(|list| !list.is_empty())
        {
            headers.set("Access-Control-Expose-Headers", exposed.join(","))?;
        }
        Ok(())
    }
}

impl Cors {
    fn preflight(&self, exchange: &Exchange<'_>) -> Reply {
        let asked = &exchange.head.headers;
        let verdict = self.judge(asked.get_str("origin"));
        let mut reply = Reply::new(200);
        let mut set = |name: &'static str, value: &[u8]| {
            reply.headers.push((name.into(), value.to_vec()));
        };
        if let Some(origin) = &verdict.allowed {
            set("Access-Control-Allow-Origin", origin.as_bytes());
        }
        if verdict.varies {
            set("Vary", b"Origin");
        }
        if verdict.credentials {
            set("Access-Control-Allow-Credentials", b"true");
        }
        match self.config.headers.as_ref().filter(|list| !list.is_empty()) {
            Some(headers) => set("Access-Control-Allow-Headers", headers.join(",").as_bytes()),
            None => {
                if let Some(wanted) = asked.get("access-control-request-headers") {
                    set("Access-Control-Allow-Headers", wanted);
                }
            }
        }
        set("Access-Control-Allow-Methods", self.methods.as_bytes());
        if let Some(seconds) = &self.config.max_age {
            set("Access-Control-Max-Age", seconds.to_string().as_bytes());
        }
        if self.config.private_network
            && asked.get("access-control-request-private-network") == Some(b"true")
        {
            set("Access-Control-Allow-Private-Network", b"true");
        }
        reply
    }

    fn judge<'a>(&'a self, origin: Option<&'a str>) -> Verdict<'a> {
        let (allowed, mut varies) = match &self.origins {
            Origins::Any => (Some(Cow::Borrowed("*")), false),
            Origins::Fixed(fixed) => (Some(Cow::Borrowed(fixed.as_str())), true),
            Origins::Listed(rules) => (origin.and_then(|origin| find(rules, origin)), true),
        };
        let for_all = allowed.as_deref() == Some("*");
        if !self.config.credentials {
            return Verdict {
                allowed,
                credentials: false,
                varies,
            };
        }
        if !for_all {
            return Verdict {
                allowed,
                credentials: true,
                varies,
            };
        }
        // A browser takes no credentials together with a star, so that the one who asks is named.
        match origin {
            Some(origin) => {
                varies = true;
                Verdict {
                    allowed: Some(origin.into()),
                    credentials: true,
                    varies,
                }
            }
            None => Verdict {
                allowed,
                credentials: false,
                varies,
            },
        }
    }
}

impl Origins {
    fn read(texts: &[String]) -> Result<Self, Failure> {
        match texts {
            [] => return Ok(Self::Any),
            [star] if star == "*" => return Ok(Self::Any),
            [one] if is_plain(one) => return Ok(Self::Fixed(one.clone())),
            _ => {}
        }
        let rules = texts.iter().map(|text| Rule::read(text));
        rules.collect::<Result<_, _>>().map(Self::Listed)
    }
}

/// Whether a text is an origin, and no pattern.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b':' | b'/' | b'-'))
}

impl Rule {
    fn read(text: &str) -> Result<Self, Failure> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if is_plain(text) {
            return Ok(Self::Equals(normalize(text).0.into_owned()));
        }
        let bare = text.strip_prefix('^').unwrap_or(text);
        let bare = bare.strip_suffix('$').unwrap_or(bare);
        let pattern = Regex::new(&format!("^(?:{bare})$"))
            .map_err(|error| Failure::new(format!("the origin {text:?} is no pattern: {error}")))?;
        Ok(Self::Matches {
            pattern,
            by_host: !text.contains(':'),
        })
    }
}

fn find<'a>(rules: &[Rule], origin: &'a str) -> Option<Cow<'a, str>> {
    let (domain, host) = normalize(origin);
    // Compat: a star anywhere in the list wins over what stands before it.
    if rules.iter().any(|rule| matches!(rule, Rule::Any)) {
        return Some(Cow::Borrowed("*"));
    }
    let matches = |rule: &Rule| match rule {
        Rule::Any => true,
        Rule::Equals(allowed) => *allowed == *domain,
        Rule::Matches { pattern, by_host } => {
            pattern.is_match(if *by_host { host } else { &domain })
        }
    };
    rules.iter().any(matches).then_some(domain)
}

/// An origin without the port that its scheme implies, and its host.
fn normalize(origin: &str) -> (Cow<'_, str>, &str) {
    let Some((scheme, rest)) = origin.split_once("://") else {
        return (Cow::Borrowed(origin), origin);
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, Some(port)),
        _ => (authority, None),
    };
    let implied = matches!(
        (scheme, port),
        ("http", Some("80")) | ("https", Some("443"))
    );
    let port = port.filter(|_| !implied);
    let domain = match port {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    };
    (Cow::Owned(domain), host)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cors(config: serde_json::Value) -> Cors {
        let mut whole = serde_json::json!({
            "credentials": false, "preflight_continue": false, "private_network": false,
        });
        for (name, value) in config.as_object().expect("an object") {
            whole[name] = value.clone();
        }
        let config: Config = serde_json::from_value(whole).expect("a configuration");
        Cors {
            origins: Origins::read(config.origins.as_deref().unwrap_or_default()).expect("origins"),
            methods: String::new(),
            config,
        }
    }

    #[test]
    fn origins_are_matched_as_a_whole() {
        let listed = cors(serde_json::json!({
            "origins": ["https://a.test:443", "(.*[.])?b\\.test", "http://c\\.test:80[0-9]0"]
        }));
        for (origin, allowed) in [
            ("https://a.test", true),
            ("https://a.test:8443", false),
            ("http://a.test", false),
            ("http://x.b.test:9000", true),
            ("http://b.test.evil", false),
            ("http://evilb.test", false),
            ("http://c.test:8010", true),
            ("http://c.test:80100", false),
            ("null", false),
        ] {
            let verdict = listed.judge(Some(origin));
            assert_eq!(verdict.allowed.is_some(), allowed, "{origin}");
            assert!(verdict.varies);
        }
        assert_eq!(listed.judge(None).allowed, None);
    }

    #[test]
    fn credentials_never_go_with_a_star() {
        let open = cors(serde_json::json!({ "credentials": true }));
        let asked = open.judge(Some("http://x.test"));
        assert_eq!(asked.allowed.as_deref(), Some("http://x.test"));
        assert!(asked.credentials && asked.varies);
        assert!(!open.judge(None).credentials);
    }
}
