//! The token endpoint: clients prove who they are and get tokens, by one of four grants.

use plugin_api::{Exchange, Outcome};

use super::authorize::user;
use super::client::{Claim, Client};
use super::handler::OAuth2;
use super::parameters::Parameters;
use super::proof;
use super::refusal::{ProtocolError, Refusal, document};
use super::tokens::{CODE_TTL, CODES, Grant, Issued, TOKENS, foreign, id};

/// How a client comes to a token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    AuthorizationCode,
    ClientCredentials,
    Password,
    RefreshToken,
}

impl OAuth2 {
    /// Answers a request to the endpoint.
    pub(super) async fn issue(&self, exchange: &Exchange<'_>) -> Outcome {
        let parameters = Parameters::of(exchange);
        let state = parameters.state();
        match self.grant(exchange, &parameters).await {
            Ok(issued) => Ok(document(200, issued.members(), state).into()),
            Err(refusal) => refusal.answer(state),
        }
    }

    async fn grant(
        &self,
        exchange: &Exchange<'_>,
        parameters: &Parameters,
    ) -> Result<Issued, Refusal> {
        self.check_request(exchange)?;
        let header = exchange.head.headers.get(self.config.header());
        let claim = Claim::of(header, parameters);
        let client = self.client(claim.id.as_deref()).await?;
        if let Some(client) = &client {
            self.check_secret(client, &claim).await?;
        }
        let sends_back = parameters.text("grant_type") != Some("client_credentials");
        if sends_back {
            let (_, known) = Client::way_back(client.as_ref(), parameters);
            known.map_err(|error| claim.answered(error))?;
        }
        let kind = self.kind(parameters)?;
        let names_user = parameters.has("authenticated_userid");
        if kind == Kind::Password || (kind == Kind::ClientCredentials && names_user) {
            self.check_provision_key(parameters)?;
        }
        let client = client.ok_or_else(|| claim.refused())?;
        match kind {
            Kind::AuthorizationCode => self.redeem(exchange, parameters, &client).await,
            Kind::ClientCredentials => {
                let user = if names_user {
                    Some(user(parameters)?)
                } else {
                    None
                };
                self.issue_to(exchange, parameters, &client, user, false)
                    .await
            }
            Kind::Password => {
                let user = user(parameters)?;
                self.issue_to(exchange, parameters, &client, Some(user), true)
                    .await
            }
            Kind::RefreshToken => self.refresh(exchange, parameters, &client).await,
        }
    }

    fn kind(&self, parameters: &Parameters) -> Result<Kind, ProtocolError> {
        let config = &self.config;
        match parameters.text("grant_type") {
            Some("authorization_code") => Ok(Kind::AuthorizationCode),
            Some("refresh_token") => Ok(Kind::RefreshToken),
            Some("client_credentials") if config.enable_client_credentials => {
                Ok(Kind::ClientCredentials)
            }
            Some("password") if config.enable_password_grant => Ok(Kind::Password),
            _ => {
                let error = "unsupported_grant_type";
                Err(ProtocolError::new(error, "Invalid grant_type"))
            }
        }
    }

    /// A token for whoever has proved enough.
    async fn issue_to(
        &self,
        exchange: &Exchange<'_>,
        parameters: &Parameters,
        client: &Client,
        user: Option<&str>,
        refreshable: bool,
    ) -> Result<Issued, Refusal> {
        let scope = self.scope(parameters)?;
        let grant = Grant {
            client: client.id,
            service: self.service(exchange)?,
            user,
            scope: scope.as_deref(),
            refreshable,
        };
        self.store(&grant).await
    }

    /// A token for a code.
    async fn redeem(
        &self,
        exchange: &Exchange<'_>,
        parameters: &Parameters,
        client: &Client,
    ) -> Result<Issued, Refusal> {
        let invalid = || ProtocolError::new("invalid_request", "Invalid code");
        let code = self.find(CODES, "code", parameters.text("code")).await?;
        let code = code.ok_or_else(invalid)?;
        // With global credentials, a code does not name its service; it is good at the plugin that issued it.
        let plugin = foreign(&code, "plugin").filter(|_| self.config.global_credentials);
        let is_good = self.fits(&code, exchange)
            && foreign(&code, "credential") == Some(client.id)
            && plugin.is_none_or(|plugin| plugin == self.id)
            && !self.is_over(&code, CODE_TTL);
        let row = id(&code).filter(|_| is_good).ok_or_else(invalid)?;
        let text = |field: &str| code.get(field).and_then(serde_json::Value::as_str);
        if text("challenge_method").is_some() || self.config.wants_proof(client) {
            proof::check(parameters, text("challenge"))?;
        }
        let grant = Grant {
            client: client.id,
            service: self.service(exchange)?,
            user: text("authenticated_userid"),
            scope: text("scope"),
            refreshable: true,
        };
        let issued = self.exchange(CODES, row, &grant).await?;
        Ok(issued.ok_or_else(invalid)?)
    }

    /// Another token for a refresh token.
    async fn refresh(
        &self,
        exchange: &Exchange<'_>,
        parameters: &Parameters,
        client: &Client,
    ) -> Result<Issued, Refusal> {
        let invalid = || ProtocolError::new("invalid_request", "Invalid refresh_token");
        let given = parameters.text("refresh_token").unwrap_or_default();
        let token = self.find(TOKENS, "refresh_token", Some(given)).await?;
        let token = token.filter(|token| self.fits(token, exchange));
        let token = token.ok_or_else(invalid)?;
        if foreign(&token, "credential") != Some(client.id) {
            return Err(ProtocolError::invalid_client().into());
        }
        let row = id(&token).ok_or_else(invalid)?;
        let text = |field: &str| token.get(field).and_then(serde_json::Value::as_str);
        if !self.config.has_scopes(text("scope").unwrap_or_default()) {
            return Err(ProtocolError::new("invalid_scope", "Scope mismatch").into());
        }
        let issued = if self.config.reuse_refresh_token {
            self.renew(row, given).await?
        } else {
            let grant = Grant {
                client: client.id,
                service: self.service(exchange)?,
                user: text("authenticated_userid"),
                scope: text("scope"),
                refreshable: true,
            };
            self.exchange(TOKENS, row, &grant).await?
        };
        Ok(issued.ok_or_else(invalid)?)
    }
}
