//! References in the configuration to secrets of this node's environment.

use std::collections::BTreeMap;

use config::{Reference, environment_value};
use snapshot::{References, Vault};

/// References to the environment variables that the node was started with.
pub struct EnvironmentReferences {
    environment: BTreeMap<String, String>,
    /// The setting `vault_env_prefix`.
    prefix: Option<String>,
}

impl EnvironmentReferences {
    /// Looks values up in `environment`.
    pub fn new(environment: BTreeMap<String, String>, prefix: Option<String>) -> Self {
        Self {
            environment,
            prefix,
        }
    }
}

impl std::fmt::Debug for EnvironmentReferences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EnvironmentReferences")
    }
}

impl References for EnvironmentReferences {
    fn resolve<'a>(
        &self,
        reference: &str,
        vault: &dyn Fn(&str) -> Option<&'a Vault>,
    ) -> Option<String> {
        let parsed = Reference::parse(reference).ok()?;
        let prefix = match vault(&parsed.vault) {
            Some(vault) if &*vault.name == "env" => vault.config["prefix"].as_str(),
            Some(_) => return None,
            None if parsed.vault == "env" => self.prefix.as_deref(),
            None => return None,
        };
        environment_value(&parsed, prefix, &self.environment)
            .inspect_err(|reason| tracing::warn!("{reason}"))
            .ok()
    }
}

#[cfg(test)]
mod tests;
