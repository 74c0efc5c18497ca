//! Accounts at clouds, which prove the gateway to a provider where that is no matter of a header or a parameter that is
//! written down.

use std::sync::Arc;

use aws::{Identity, Keeper, Metadata, Signable, TokenService};
use plugin_api::{Failure, Services, arguments};
use stdx::{Clock, Moment, Secret};

use crate::service_account::ServiceAccount;
use crate::settings::{Auth, Llm, Model, Provider};

/// An account at a cloud.
pub enum Account {
    Google(Box<ServiceAccount>),
    Amazon(Amazon),
}

/// An account at Amazon, whose requests are signed.
pub struct Amazon {
    credentials: Arc<Keeper>,
    clock: Arc<dyn Clock>,
}

/// A request that is about to be sent.
pub struct Outgoing<'a> {
    pub method: &'a str,
    /// The value of `Host`.
    pub host: &'a str,
    pub path: &'a str,
    /// As [`Account::query`] has it.
    pub query: &'a str,
    pub body: &'a [u8],
}

impl Account {
    /// The account that a configuration wants to be used. A region that it leaves to the machine is settled.
    ///
    /// # Errors
    /// When there is none, or none that can be used; by the setting's name.
    pub fn of(llm: &mut Llm, services: &Services) -> Result<Option<Self>, Failure> {
        match llm.model.provider() {
            Provider::Gemini if llm.auth.gcp_use_service_account => {
                let account = ServiceAccount::of(&llm.auth, services)?;
                Ok(Some(Self::Google(Box::new(account))))
            }
            Provider::Bedrock => {
                Amazon::of(llm, services).map(|account| Some(Self::Amazon(account)))
            }
            _ => Ok(None),
        }
    }

    /// A query in the only form in which the account can prove a request.
    pub fn query(&self, query: &[u8]) -> Option<String> {
        match self {
            Self::Google(_) => None,
            Self::Amazon(_) => {
                let given: Vec<_> = arguments(query)
                    .map(|argument| (argument.name, argument.value.unwrap_or_default()))
                    .collect();
                Some(aws::query(&given))
            }
        }
    }

    /// Whether the body of a request is a part of what is proved.
    pub fn reads_body(&self) -> bool {
        matches!(self, Self::Amazon(_))
    }

    /// Whether a header of the client's proves its own request, and must not be sent beside the account's.
    pub fn replaces(&self, name: &[u8]) -> bool {
        const SIGNED: &[u8] = b"x-amz-";
        let start = name.get(..SIGNED.len()).unwrap_or_default();
        match self {
            Self::Google(_) => false,
            Self::Amazon(_) => start.eq_ignore_ascii_case(SIGNED),
        }
    }

    /// The headers that prove a request to be the account's.
    ///
    /// # Errors
    /// With the reason for the log, if the cloud gives no credentials.
    pub async fn prove(
        &self,
        model: &Model,
        request: &Outgoing<'_>,
    ) -> Result<Vec<(String, Vec<u8>)>, String> {
        match self {
            Self::Google(account) => {
                let value = account.authorization().await;
                let value = value.map_err(|reason| format!("no token of Google: {reason}"))?;
                Ok(vec![("authorization".to_owned(), value.into_bytes())])
            }
            Self::Amazon(account) => account.sign(model, request).await,
        }
    }
}

impl Amazon {
    fn of(llm: &mut Llm, services: &Services) -> Result<Self, Failure> {
        let region = llm.model.settle_region(aws::region(None, services));
        let region = region.ok_or_else(|| {
            Failure::new(
                "model.options.bedrock.aws_region: no region is known, here or in AWS_REGION",
            )
        })?;
        let identity = Identity {
            keys: keys(&llm.auth, services)?,
            metadata: Metadata::V1,
            token_service: TokenService {
                region,
                endpoint: None,
                proxy: None,
            },
            role: None,
        };
        Ok(Self {
            credentials: identity.keeper(services),
            clock: services.clock.clone(),
        })
    }

    async fn sign(
        &self,
        model: &Model,
        request: &Outgoing<'_>,
    ) -> Result<Vec<(String, Vec<u8>)>, String> {
        let credentials = self.credentials.get().await;
        let credentials = credentials.map_err(|reason| format!("credentials of AWS: {reason}"))?;
        let region = model.options.bedrock.aws_region.as_deref();
        let signable = Signable {
            service: "bedrock",
            region: region.unwrap_or_default(),
            method: request.method,
            host: request.host,
            path: request.path,
            query: request.query,
            headers: Vec::new(),
            body: request.body,
        };
        let now = Moment::from(self.clock.now());
        Ok(aws::sign(signable, &credentials, now))
    }
}

/// The keys of a configuration. Compat: the half that it lacks is the machine's.
fn keys(auth: &Auth, services: &Services) -> Result<Option<(String, Secret)>, Failure> {
    let variable = |name| services.machine.environment(name);
    let (key_id, secret) = (&auth.aws_access_key_id, &auth.aws_secret_access_key);
    if key_id.is_none() && secret.is_none() {
        return Ok(None);
    }
    let key_id = key_id.clone().or_else(|| variable("AWS_ACCESS_KEY_ID"));
    let secret = secret.clone();
    let secret = secret.or_else(|| variable("AWS_SECRET_ACCESS_KEY").map(Secret::new));
    let present =
        |(key_id, secret): &(String, Secret)| !key_id.is_empty() && !secret.expose().is_empty();
    match key_id.zip(secret).filter(present) {
        Some(keys) => Ok(Some(keys)),
        None => Err(Failure::new(
            "auth.aws_access_key_id, auth.aws_secret_access_key: one of them is missing",
        )),
    }
}
