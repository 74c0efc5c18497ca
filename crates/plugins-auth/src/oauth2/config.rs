//! The settings, as the handler reads them.

use serde::Deserialize;

use super::client::Client;

#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) scopes: Option<Vec<String>>,
    pub(super) mandatory_scope: bool,
    pub(super) provision_key: String,
    pub(super) token_expiration: f64,
    pub(super) enable_authorization_code: bool,
    pub(super) enable_implicit_grant: bool,
    pub(super) enable_client_credentials: bool,
    pub(super) enable_password_grant: bool,
    pub(super) hide_credentials: bool,
    pub(super) accept_http_if_already_terminated: bool,
    pub(super) anonymous: Option<String>,
    pub(super) global_credentials: bool,
    auth_header_name: Option<String>,
    refresh_token_ttl: f64,
    pub(super) reuse_refresh_token: bool,
    pkce: Option<Pkce>,
    pub(super) realm: Option<String>,
}

/// Who has to prove that it is the one who asked for a code.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Pkce {
    None,
    /// Clients that have no secret.
    Lax,
    Strict,
}

impl Config {
    /// The header that holds the token.
    pub(super) fn header(&self) -> &str {
        self.auth_header_name.as_deref().unwrap_or("authorization")
    }

    /// How many seconds an access token is good; 0 is for ever.
    pub(super) fn expires_in(&self) -> i64 {
        self.token_expiration.ceil() as i64
    }

    /// After how many seconds a token is removed from the database.
    ///
    /// Compat: the row holds both tokens, so that an access token ends with its refresh token.
    pub(super) fn ttl(&self) -> Option<i64> {
        let ttl = self.refresh_token_ttl.ceil() as i64;
        (ttl > 0 && self.expires_in() > 0).then_some(ttl)
    }

    /// Whether a client must show a proof key.
    pub(super) fn wants_proof(&self, client: &Client) -> bool {
        match self.pkce.unwrap_or(Pkce::Lax) {
            Pkce::None => false,
            Pkce::Lax => client.is_public(),
            Pkce::Strict => true,
        }
    }

    /// The scopes that a request asks for, with blanks between them, or why it cannot have them.
    pub(super) fn scope(&self, asked: Option<&str>) -> Result<Option<String>, String> {
        let mut scopes = Vec::new();
        if let (Some(known), Some(asked)) = (&self.scopes, asked) {
            for scope in asked.split_ascii_whitespace() {
                if !known.iter().any(|known| known == scope) {
                    return Err(format!("\"{scope}\" is an invalid scope"));
                }
                if !scopes.contains(&scope) {
                    scopes.push(scope);
                }
            }
        }
        if scopes.is_empty() && self.mandatory_scope {
            return Err("You must specify a scope".to_owned());
        }
        Ok((!scopes.is_empty()).then(|| scopes.join(" ")))
    }

    /// Whether all scopes of a token still exist.
    pub(super) fn has_scopes(&self, scope: &str) -> bool {
        let known = self.scopes.as_deref().unwrap_or_default();
        let mut scopes = scope.split_ascii_whitespace();
        scopes.all(|scope| known.iter().any(|known| known == scope))
    }
}
