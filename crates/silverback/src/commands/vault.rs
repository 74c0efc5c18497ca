//! `vault get`: what a reference to a secret stands for.

use std::process::ExitCode;

use anyhow::bail;
use config::{Reference, environment_value};

use super::{load, sources};
use crate::arguments::{Place, Vault, VaultCommand};
use crate::output::Output;

/// Prints the value of a reference, which may name the vault `env` or the prefix of a vault in the store.
pub fn vault(options: &Vault, output: &Output) -> anyhow::Result<ExitCode> {
    let VaultCommand::Get { reference } = &options.command;
    let place = Place {
        conf: options.conf.clone(),
        prefix: options.prefix.clone(),
    };
    let full = if Reference::is_reference(reference) {
        reference.clone()
    } else {
        format!("{{vault://{reference}}}")
    };
    let parsed = Reference::parse(&full).map_err(anyhow::Error::msg)?;
    let settings = load(&place, output)?.settings;
    let prefix = if parsed.vault == "env" {
        settings.vault_env_prefix.clone()
    } else {
        match node::stored_vault(&settings, &parsed.vault)? {
            Some(prefix) => prefix,
            None => bail!("vault not found ({}) [{full}]", parsed.vault),
        }
    };
    let environment = sources(&place).environment;
    let value = environment_value(&parsed, prefix.as_deref(), &environment);
    output.say(value.map_err(anyhow::Error::msg)?);
    Ok(ExitCode::SUCCESS)
}
