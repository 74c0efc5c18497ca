//! Who signs, as a configuration says it.

use std::sync::Arc;

use plugin_api::Services;
use stdx::Secret;

use super::{AssumedRole, Chain, Credentials, Keeper, Metadata, TokenService, hash};

/// Whose credentials sign requests.
#[derive(Clone)]
pub struct Identity {
    /// A key id and its secret; without them, the machine is asked for some.
    pub keys: Option<(String, Secret)>,
    /// How the machine is asked for them, where it is an instance of AWS.
    pub metadata: Metadata,
    pub token_service: TokenService,
    /// A role that those take on.
    pub role: Option<Role>,
}

/// A role of AWS.
#[derive(Clone)]
pub struct Role {
    pub arn: String,
    /// What the session is called.
    pub session: String,
}

impl Identity {
    /// Keeps the credentials. Configurations that mean the same share what was fetched.
    pub fn keeper(&self, services: &Services) -> Arc<Keeper> {
        services.shared.sweep::<Keeper>();
        let base = services
            .shared
            .get(&self.digest(None), || match &self.keys {
                Some((key_id, secret)) => {
                    let keys = Credentials::lasting(key_id.clone(), secret.clone(), None);
                    Keeper::new(keys, services)
                }
                None => {
                    let chain = Chain {
                        services: services.clone(),
                        metadata: self.metadata,
                        token_service: self.token_service.clone(),
                    };
                    Keeper::new(chain, services)
                }
            });
        let Some(role) = &self.role else {
            return base;
        };
        services.shared.get(&self.digest(Some(role)), || {
            let assumed = AssumedRole {
                base,
                service: self.token_service.clone(),
                arn: role.arn.clone(),
                session: role.session.clone(),
                services: services.clone(),
            };
            Keeper::new(assumed, services)
        })
    }

    /// A name for credentials that tells nothing of what they are made of.
    fn digest(&self, role: Option<&Role>) -> String {
        let TokenService {
            region,
            endpoint,
            proxy,
        } = &self.token_service;
        let keys = self.keys.as_ref();
        let keys = keys.map(|(key_id, secret)| (key_id, secret.expose()));
        let proxy = proxy
            .as_ref()
            .map(|proxy| (&proxy.at, &proxy.authorization));
        let role = role.map(|role| (&role.arn, &role.session));
        let metadata = self.metadata;
        hash(format!("{:?}", (keys, metadata, region, endpoint, proxy, role)).as_bytes())
    }
}

/// The region that a configuration names, or else the machine.
pub fn region(configured: Option<&str>, services: &Services) -> Option<String> {
    let variable = |name| services.machine.environment(name);
    let region = configured.map(str::to_owned);
    let region = region.or_else(|| variable("AWS_REGION"));
    region.or_else(|| variable("AWS_DEFAULT_REGION"))
}
