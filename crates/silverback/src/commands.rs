//! The commands, one file a topic, and what they share.

pub mod backup;
pub mod declarative;
pub mod health;
pub mod hybrid;
pub mod migrations;
pub mod reference;
pub mod reload;
pub mod settings;
pub mod start;
pub mod stop;
pub mod vault;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use config::{Loaded, Sources, StoreChoice};
use node::Prefix;

use crate::arguments::{NginxOptions, Place};
use crate::output::Output;

/// Where the settings of a command come from.
pub fn sources(place: &Place) -> Sources {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut overrides = BTreeMap::new();
    if let Some(prefix) = &place.prefix {
        overrides.insert("prefix".to_owned(), prefix.to_string_lossy().into_owned());
    }
    Sources {
        file: place.conf.clone(),
        environment: environment.collect(),
        overrides,
    }
}

/// Loads the settings and prints their warnings.
pub fn load(place: &Place, output: &Output) -> anyhow::Result<Loaded> {
    load_with_timeout(place, None, output)
}

/// The same with the seconds that an operation of the database may take, if the command line has them.
pub fn load_with_timeout(
    place: &Place,
    db_timeout: Option<f64>,
    output: &Output,
) -> anyhow::Result<Loaded> {
    let mut loaded = config::load(&sources(place))?;
    if let (Some(seconds), StoreChoice::Postgres(database)) =
        (db_timeout, &mut loaded.settings.store)
    {
        database.timeout = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|time| !time.is_zero())
            .context("--db-timeout has to be a number of seconds above 0")?;
    }
    for warning in &loaded.warnings {
        output.warn(warning.to_string());
    }
    match &loaded.file {
        Some(file) => output.verbose(format!("read the configuration file {}", file.display())),
        None => output.verbose("no configuration file"),
    }
    output.verbose(format!(
        "prefix in use: {}",
        loaded.settings.prefix.display()
    ));
    Ok(loaded)
}

/// The folder of an existing node.
pub fn existing_prefix(place: &Place) -> anyhow::Result<Prefix> {
    let path = match &place.prefix {
        Some(prefix) => std::path::absolute(prefix).context("the prefix")?,
        None => config::load(&sources(place))?.settings.prefix,
    };
    let prefix = Prefix::new(&path);
    anyhow::ensure!(prefix.exists(), "no such prefix: {}", path.display());
    Ok(prefix)
}

/// The settings of the node in a folder: what it wrote down, and beside it what this command was told.
pub fn settings_of_node(place: &Place, prefix: &Prefix) -> anyhow::Result<Loaded> {
    let place = Place {
        conf: place.conf.clone().or_else(|| prefix.record()),
        prefix: Some(prefix.path().to_owned()),
    };
    Ok(config::load(&sources(&place))?)
}

/// Says which options cannot apply.
pub fn warn_about_nginx(options: &NginxOptions, output: &Output) {
    if options.nginx_conf.is_some() || options.nginx_conf_flags.is_some() {
        output.warn("--nginx-conf and --nginx-conf-flags have no effect: there is no nginx");
    }
}

/// The node in a folder, or an error that says there is none.
pub fn running(prefix: &Path) -> anyhow::Result<i32> {
    Prefix::new(prefix)
        .running()
        .with_context(|| format!("no node is running in prefix: {}", prefix.display()))
}

/// Runs a command that waits for a store.
pub fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.context("cannot start a runtime")
}
