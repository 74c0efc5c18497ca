//! Tells requests to the two endpoints from requests that need a token.

use std::sync::Arc;

use plugin_api::{
    Body, Configured, Exchange, Failure, Handler, Known, Method, Needs, Phase, Reply, Services,
    Step, normalize_path,
};
use serde_json::json;
use uuid::Uuid;

use super::access;
use super::config::Config;
use super::parameters::Parameters;
use super::refusal::ProtocolError;
use super::secret::{self, Hashing};
use crate::identity;

/// The plugin with one configuration; what it does at each place is in the module of that place.
pub(super) struct OAuth2 {
    /// The id of the plugin's record.
    pub(super) id: Uuid,
    pub(super) config: Config,
    pub(super) services: Services,
    pub(super) hashing: Arc<Hashing>,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    Ok(Arc::new(OAuth2 {
        id: record.id,
        config: record.read()?,
        services: services.clone(),
        hashing: services.shared.get("oauth2", Hashing::default),
    }))
}

/// What the plugin answers itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Authorize,
    Token,
}

impl Endpoint {
    /// Compat: the endpoints are below every path of a route.
    fn of(path: &[u8]) -> Option<Self> {
        let path = normalize_path(path);
        let path = path.strip_suffix(b"/").unwrap_or(&path);
        if path.ends_with(b"/oauth2/token") {
            Some(Self::Token)
        } else if path.ends_with(b"/oauth2/authorize") {
            Some(Self::Authorize)
        } else {
            None
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Authorize => "authorization",
            Self::Token => "token",
        }
    }
}

impl Handler for OAuth2 {
    fn needs(&self) -> Needs {
        Needs {
            body_arguments: true,
            ..Needs::phases(&[Phase::Access])
        }
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if let Some(endpoint) = Endpoint::of(exchange.head.path()) {
            let method = exchange.head.method();
            return match endpoint {
                _ if *method != Method::Post => Step::answer(self.wrong_method(endpoint, method)),
                Endpoint::Token => Step::later(self.issue(exchange)),
                Endpoint::Authorize => Step::later(self.authorize(exchange)),
            };
        }
        access::forget(exchange);
        let anonymous = self.config.anonymous.as_deref();
        if identity::is_settled(exchange, anonymous) {
            return Step::next();
        }
        Step::later(async move {
            let outcome = self.authenticate(exchange).await;
            identity::conclude(exchange, &self.services, anonymous, outcome).await
        })
    }
}

impl OAuth2 {
    fn wrong_method(&self, endpoint: Endpoint, method: &Method) -> Reply {
        let (method, name) = (method.as_str(), endpoint.name());
        let message = format!("The HTTP method {method} is invalid for the {name} endpoint");
        let why = format!(" error=\"invalid_method\" error_description=\"{message}\"");
        let body = json!({ "error": "invalid_method", "error_description": message });
        Reply::new(405)
            .with_header("WWW-Authenticate", self.challenge_header(&why))
            .with_body(Body::Json(body))
    }

    /// The value of `WWW-Authenticate` for those who need a token.
    pub(super) fn challenge_header(&self, why: &str) -> String {
        let realm = self.config.realm.as_deref();
        let realm = realm.map(|realm| format!(" realm=\"{realm}\""));
        format!("Bearer{}{why}", realm.unwrap_or_default())
    }

    /// Checks what both endpoints ask of a request: that nobody could listen, and that all of it can be seen.
    pub(super) fn check_request(&self, exchange: &Exchange<'_>) -> Result<(), ProtocolError> {
        self.check_transport(exchange)?;
        if exchange.work.body_length > exchange.body().len() as u64 {
            let error = ProtocolError::new("invalid_request", "The body is too long");
            return Err(error.with_status(413));
        }
        Ok(())
    }

    fn check_transport(&self, exchange: &Exchange<'_>) -> Result<(), ProtocolError> {
        let denied = |why: &'static str| Err(ProtocolError::new("access_denied", why));
        if exchange.connection.tls.is_some() {
            return Ok(());
        }
        let believes = self.config.accept_http_if_already_terminated && exchange.connection.trusted;
        let mut said = exchange.head.headers.get_all(&Known::XForwardedProto);
        match (said.next(), said.next()) {
            _ if !believes => denied("You must use HTTPS"),
            (Some(one), None) if one.eq_ignore_ascii_case(b"https") => Ok(()),
            (Some(one), more) if more.is_some() || one.contains(&b',') => {
                denied("Only one X-Forwarded-Proto header allowed")
            }
            _ => denied("You must use HTTPS"),
        }
    }

    /// Checks that who asks on behalf of a user may.
    pub(super) fn check_provision_key(&self, parameters: &Parameters) -> Result<(), ProtocolError> {
        let given = parameters.text("provision_key");
        if given.is_some_and(|given| secret::is_same(given, &self.config.provision_key)) {
            return Ok(());
        }
        let error = "invalid_provision_key";
        Err(ProtocolError::new(error, "Invalid provision_key"))
    }

    /// The scopes that a request may have of those it asks for.
    pub(super) fn scope(&self, parameters: &Parameters) -> Result<Option<String>, ProtocolError> {
        let error = |why: String| ProtocolError::new("invalid_scope", why);
        let asked = parameters.text("scope");
        if self.config.scopes.is_some() && parameters.has("scope") && asked.is_none() {
            return Err(error("scope must be a string".to_owned()));
        }
        self.config.scope(asked).map_err(error)
    }
}
