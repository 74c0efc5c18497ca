//! Service accounts of Google: a signed claim buys a token, which is good for a while.
//!
//! The claim is a JWT as RFC 7523 has it, <https://developers.google.com/identity/protocols/oauth2/service-account>.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use plugin_api::{Failure, HttpRequest, Services, TlsOptions, push_argument};
use serde::Deserialize;
use serde_json::json;
use stdx::Secret;

use crate::settings::Auth;

/// What the token is for.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";

/// How long a claim is good for.
const CLAIMED: u64 = 3600;

/// A token is not used any more when so little of its time is left.
const SPARE: Duration = Duration::from_secs(60);

/// The key file of an account.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: Secretive,
    private_key_id: Option<String>,
    #[serde(default = "token_uri")]
    token_uri: String,
}

/// A secret of the key file.
struct Secretive(Secret);

impl<'de> Deserialize<'de> for Secretive {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(Secret::new(text)))
    }
}

fn token_uri() -> String {
    "https://oauth2.googleapis.com/token".to_owned()
}

/// An account that gets tokens.
pub struct ServiceAccount {
    email: String,
    key_id: Option<String>,
    key: RsaKeyPair,
    token_uri: String,
    services: Services,
    kept: Mutex<Option<Kept>>,
}

struct Kept {
    token: Arc<Secret>,
    until: Instant,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: u64,
}

impl ServiceAccount {
    /// The account of a configuration, or of the variable `GCP_SERVICE_ACCOUNT` where that has none.
    ///
    /// # Errors
    /// When there is no key file, or one that cannot be used.
    pub fn of(auth: &Auth, services: &Services) -> Result<Self, Failure> {
        let configured = auth.gcp_service_account_json.as_ref();
        let configured = configured.map(|json| json.expose().to_owned());
        let json = configured.or_else(|| services.machine.environment("GCP_SERVICE_ACCOUNT"));
        let json = json.ok_or_else(|| {
            Failure::new(
                "auth.gcp_service_account_json: neither it nor GCP_SERVICE_ACCOUNT holds a key file",
            )
        })?;
        // The error of the reader could quote the key.
        let unusable = |what: &str| {
            let reason = format!("auth.gcp_service_account_json: {what} cannot be used");
            Failure::new(reason)
        };
        let file: KeyFile = serde_json::from_str(&json).map_err(|_| unusable("the key file"))?;
        let pem = file.private_key.0.expose();
        let body: String = pem
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with("-----"))
            .collect();
        let key = STANDARD.decode(body).ok();
        let key = key.and_then(|key| RsaKeyPair::from_pkcs8(&key).ok());
        Ok(Self {
            email: file.client_email,
            key_id: file.private_key_id,
            key: key.ok_or_else(|| unusable("its private key"))?,
            token_uri: file.token_uri,
            services: services.clone(),
            kept: Mutex::default(),
        })
    }

    /// The value of `Authorization`.
    ///
    /// # Errors
    /// With the reason for the log, if Google gives no token.
    pub async fn authorization(&self) -> Result<String, String> {
        let token = match self.kept() {
            Some(token) => token,
            None => self.renew().await?,
        };
        Ok(format!("Bearer {}", token.expose()))
    }

    fn kept(&self) -> Option<Arc<Secret>> {
        let now = self.services.clock.monotonic();
        let kept = self.kept.lock();
        let good = kept.as_ref().filter(|kept| kept.until > now)?;
        Some(good.token.clone())
    }

    async fn renew(&self) -> Result<Arc<Secret>, String> {
        let began = self.services.clock.monotonic();
        let mut form = Vec::new();
        let grant = b"urn:ietf:params:oauth:grant-type:jwt-bearer";
        push_argument(&mut form, b"grant_type", Some(grant));
        push_argument(&mut form, b"assertion", Some(self.claim()?.as_bytes()));
        let content_type = b"application/x-www-form-urlencoded".to_vec();
        let request = HttpRequest {
            method: "POST".to_owned(),
            url: self.token_uri.clone(),
            headers: vec![("Content-Type".to_owned(), content_type)],
            body: form.into(),
            timeout: Duration::from_secs(10),
            keep_alive: Duration::ZERO,
            tls: TlsOptions {
                server_name: None,
                verify: true,
            },
            max_response: 64 << 10,
        };
        let answer = self.services.network.http(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if answer.status != 200 {
            return Err(format!("the token's server answers {}", answer.status));
        }
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| "the token's server answers something else".to_owned())?;
        let token = Arc::new(Secret::new(granted.access_token));
        let lifetime = Duration::from_secs(granted.expires_in.min(CLAIMED));
        *self.kept.lock() = Some(Kept {
            token: token.clone(),
            until: began + lifetime.saturating_sub(SPARE),
        });
        Ok(token)
    }

    /// Who the gateway says it is, signed.
    fn claim(&self) -> Result<String, String> {
        let now = u64::try_from(self.services.clock.unix_seconds()).unwrap_or_default();
        let mut header = json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = json!(id);
        }
        let claims = json!({
            "iss": self.email,
            "scope": SCOPE,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + CLAIMED,
        });
        let encoded = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encoded(header), encoded(claims));
        let mut signature = vec![0; self.key.public_modulus_len()];
        let random = SystemRandom::new();
        self.key
            .sign(
                &RSA_PKCS1_SHA256,
                &random,
                signed.as_bytes(),
                &mut signature,
            )
            .map_err(|_| "the claim cannot be signed".to_owned())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests;
