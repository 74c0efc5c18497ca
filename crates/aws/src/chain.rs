//! The places where a machine of AWS has credentials, in the order in which they are asked.

use plugin_api::{BoxFuture, HttpRequest, Services};
use stdx::Secret;
use url::{Host, Url};

use super::{Credentials, Source, TokenService, ask, profile};

/// The longest file of keys, and the longest token.
const MOST_READ: u64 = 1 << 20;
/// How long, in seconds, keys of a file are used before it is read again.
const FILE_AGE: i64 = 300;
/// How long, in seconds, a session with the metadata service may be used.
const SESSION: &str = "300";
/// Where instances have their metadata service.
const METADATA: &str = "http://169.254.169.254";
/// Where containers have theirs.
const CONTAINER: &str = "http://169.254.170.2";

/// How the metadata service of an instance is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// Without a session, unless it wants one.
    V1,
    /// Within a session.
    V2,
}

/// All those places.
#[derive(Clone)]
pub struct Chain {
    pub services: Services,
    pub metadata: Metadata,
    pub token_service: TokenService,
}

/// What a place has: nothing, if it is not there.
type Found = Result<Option<Credentials>, String>;

impl Source for Chain {
    fn fetch(&self) -> BoxFuture<Result<Credentials, String>> {
        let chain = self.clone();
        Box::pin(async move { chain.find().await })
    }
}

impl Chain {
    async fn find(&self) -> Result<Credentials, String> {
        for prefix in ["AWS", "AMAZON"] {
            if let Some(found) = self.of_environment(prefix) {
                return Ok(found);
            }
        }
        if let Some(found) = self.of_files().await {
            return Ok(found);
        }
        let mut reasons = Vec::new();
        for (place, found) in [
            ("the container", self.of_container().await),
            ("the web identity", self.of_web_identity().await),
        ] {
            match found {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => {}
                Err(reason) => reasons.push(format!("{place}: {reason}")),
            }
        }
        match self.of_instance().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(reason) => reasons.push(format!("the instance: {reason}")),
        }
        match reasons.is_empty() {
            true => Err("there are none anywhere".to_owned()),
            false => Err(reasons.join("; ")),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.services.machine.environment(name)
    }

    fn of_environment(&self, prefix: &str) -> Option<Credentials> {
        let variable = |name: &str| self.variable(&format!("{prefix}_{name}"));
        let (key_id, secret) = variable("ACCESS_KEY_ID").zip(variable("SECRET_ACCESS_KEY"))?;
        let token = variable("SESSION_TOKEN").map(Secret::new);
        Some(Credentials::lasting(key_id, Secret::new(secret), token))
    }

    async fn of_files(&self) -> Option<Credentials> {
        let name = self.variable("AWS_PROFILE");
        let name = name.unwrap_or_else(|| "default".to_owned());
        let in_configuration = match &*name {
            "default" => name.clone(),
            name => format!("profile {name}"),
        };
        for (variable, usual, section) in [
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials", name),
            ("AWS_CONFIG_FILE", "config", in_configuration),
        ] {
            let named = self.variable(variable);
            let Some(path) = named.or_else(|| Some(format!("{}/.aws/{usual}", self.home()?)))
            else {
                continue;
            };
            let path = match path.strip_prefix("~/") {
                Some(rest) => format!("{}/{rest}", self.home().unwrap_or_default()),
                None => path,
            };
            let Ok(text) = self.services.machine.read(&path, MOST_READ).await else {
                continue;
            };
            let text = String::from_utf8_lossy(&text);
            if let Some(found) = profile::credentials(&text, &section) {
                let renew = self.services.clock.unix_seconds() + FILE_AGE;
                return Some(Credentials {
                    renew: Some(renew),
                    ..found
                });
            }
        }
        None
    }

    fn home(&self) -> Option<String> {
        self.variable("HOME")
    }

    async fn of_container(&self) -> Found {
        let relative = self.variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        let full = self.variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        let url = match (relative, full) {
            (Some(relative), _) => format!("{CONTAINER}{relative}"),
            (None, Some(full)) if may_be_asked(&full) => full,
            (None, Some(_)) => {
                let reason =
                    "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither of HTTPS nor of this machine";
                return Err(reason.to_owned());
            }
            (None, None) => return Ok(None),
        };
        let token = match self.variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
            Some(path) => Some(self.token(&path).await?),
            None => self
                .variable("AWS_CONTAINER_AUTHORIZATION_TOKEN")
                .map(Secret::new),
        };
        let mut headers = Vec::new();
        if let Some(token) = token {
            headers.push(("authorization".to_owned(), token.expose().into()));
        }
        let mut request = ask("GET", url, headers);
        request.tls.verify = true;
        let said = self.say(request).await?;
        Credentials::of_json(&said).map(Some)
    }

    async fn of_web_identity(&self) -> Found {
        let path = self.variable("AWS_WEB_IDENTITY_TOKEN_FILE");
        let Some((path, arn)) = path.zip(self.variable("AWS_ROLE_ARN")) else {
            return Ok(None);
        };
        let token = self.token(&path).await?;
        let session = self.variable("AWS_ROLE_SESSION_NAME");
        let session = session.unwrap_or_else(|| "silverback".to_owned());
        let found =
            self.token_service
                .assume_with_web_identity(&self.services, &arn, &session, &token);
        found.await.map(Some)
    }

    async fn of_instance(&self) -> Found {
        let disabled = self.variable("AWS_EC2_METADATA_DISABLED");
        if disabled.is_some_and(|disabled| disabled != "false") {
            return Ok(None);
        }
        let base = self.variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        let base = base.unwrap_or_else(|| METADATA.to_owned());
        let base = base.trim_end_matches('/');
        let mut session = match self.metadata {
            Metadata::V1 => None,
            Metadata::V2 => Some(self.metadata_session(base).await?),
        };
        let list = format!("{base}/latest/meta-data/iam/security-credentials/");
        let roles = match self.get(&list, session.as_ref()).await {
            // It may be set to want a session.
            Err(Refusal::Status(401)) if session.is_none() => {
                session = Some(self.metadata_session(base).await?);
                self.get(&list, session.as_ref()).await
            }
            answered => answered,
        };
        let roles = roles.map_err(|refusal| refusal.to_string())?;
        let roles = String::from_utf8_lossy(&roles);
        let role = roles.lines().next().map(str::trim).unwrap_or_default();
        let is_name = |role: &str| role.chars().all(|c| c.is_ascii_graphic() && c != '/');
        if role.is_empty() || !is_name(role) {
            return Err("the metadata service names no role".to_owned());
        }
        let said = self.get(&format!("{list}{role}"), session.as_ref()).await;
        let said = said.map_err(|refusal| refusal.to_string())?;
        Credentials::of_json(&said).map(Some)
    }

    async fn metadata_session(&self, base: &str) -> Result<Secret, String> {
        let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", SESSION);
        let headers = vec![(ttl.0.to_owned(), ttl.1.into())];
        let request = ask("PUT", format!("{base}/latest/api/token"), headers);
        let token = self.say(request).await?;
        let token = String::from_utf8_lossy(&token);
        Ok(Secret::new(token.trim()))
    }

    async fn get(&self, url: &str, session: Option<&Secret>) -> Result<bytes::Bytes, Refusal> {
        let headers = session.map(|session| {
            let name = "x-aws-ec2-metadata-token".to_owned();
            (name, session.expose().into())
        });
        let request = ask("GET", url.to_owned(), headers.into_iter().collect());
        self.answer(request).await
    }

    async fn say(&self, request: HttpRequest) -> Result<bytes::Bytes, String> {
        let answer = self.answer(request).await;
        answer.map_err(|refusal| refusal.to_string())
    }

    async fn answer(&self, request: HttpRequest) -> Result<bytes::Bytes, Refusal> {
        let answer = self.services.network.http(request).await;
        let answer = answer.map_err(|error| Refusal::Away(error.to_string()))?;
        match answer.status {
            200 => Ok(answer.body),
            status => Err(Refusal::Status(status)),
        }
    }

    async fn token(&self, path: &str) -> Result<Secret, String> {
        let read = self.services.machine.read(path, MOST_READ).await;
        let text = read.map_err(|error| format!("{path}: {error}"))?;
        Ok(Secret::new(String::from_utf8_lossy(&text).trim()))
    }
}

/// Why a service gave nothing.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("the service answered {0}")]
    Status(u16),
    #[error("{0}")]
    Away(String),
}

/// Whether a server may be asked for credentials: over TLS any, otherwise those that no network lies before.
fn may_be_asked(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else {
        return false;
    };
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => true,
        ("http", Some(Host::Domain(name))) => name == "localhost",
        ("http", Some(Host::Ipv4(ip))) => {
            ip.is_loopback() || [[169, 254, 170, 2], [169, 254, 170, 23]].contains(&ip.octets())
        }
        ("http", Some(Host::Ipv6(ip))) => {
            ip.is_loopback() || ip.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23]
        }
        _ => false,
    }
}
