//! `config …`: declarative configuration files.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use config::{Settings, StoreChoice};
use declarative::{Config, Context, Document, Format};
use node::DeclaredEntities;
use store::Repository;

use super::{load, runtime};
use crate::arguments::{self, ConfigCommand, Place};
use crate::output::Output;

const EXAMPLE: &str = include_str!("declarative/example.yml");

/// Does what the command says.
pub fn config(options: &arguments::Config, output: &Output) -> anyhow::Result<ExitCode> {
    let place = Place {
        conf: options.conf.clone(),
        prefix: options.prefix.clone(),
    };
    match &options.command {
        ConfigCommand::Init { file } => {
            write(file, EXAMPLE, false)?;
            output.say(format!("{} is an example to start from", file.display()));
        }
        ConfigCommand::Parse { file } => {
            let settings = load(&place, output)?.settings;
            parse(file, &settings, output)?;
            output.say("parse successful");
        }
        ConfigCommand::DbImport { file } => {
            let settings = load(&place, output)?.settings;
            if matches!(settings.store, StoreChoice::Declarative { .. }) {
                bail!(
                    "'{} config db_import' only works with a database.\n\
                     When using database=off, reload your declarative configuration\n\
                     using the /config endpoint.",
                    output.program()
                );
            }
            import(file, &settings, output)?;
        }
        ConfigCommand::DbExport { file, force } => {
            let settings = load(&place, output)?.settings;
            if matches!(settings.store, StoreChoice::Declarative { .. }) {
                bail!(
                    "'{} config db_export' only works with a database.",
                    output.program()
                );
            }
            export(file, *force, &settings)?;
            output.say(format!("exported to {}", file.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(file: &Path, settings: &Settings, output: &Output) -> anyhow::Result<Config> {
    let failed = |errors: declarative::Errors| {
        anyhow::anyhow!("Failed parsing:\nin '{}':\n{errors}", file.display())
    };
    let format = Format::of_file(file).map_err(failed)?;
    let text =
        declarative::read_file(file).with_context(|| format!("cannot read {}", file.display()))?;
    let declared = DeclaredEntities::of(settings);
    let document = Document::read(&text, format).map_err(failed)?;
    let config = document
        .parse(&Context {
            catalog: &declared.catalog(),
            subschemas: &declared,
            clock: &stdx::SystemClock,
        })
        .map_err(failed)?;
    for warning in config.warnings() {
        output.warn(warning);
    }
    Ok(config)
}

fn import(file: &Path, settings: &Settings, output: &Output) -> anyhow::Result<()> {
    let config = parse(file, settings, output)?;
    output.say("parse successful, beginning import");
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let repository = open(settings)?;
    let done = declarative::import(repository.store().as_ref(), repository.catalog(), &config);
    runtime.block_on(done).context("Failed importing")?;
    output.say("import successful");
    Ok(())
}

fn export(file: &Path, force: bool, settings: &Settings) -> anyhow::Result<()> {
    if file.exists() && !force {
        bail!("{} already exists. Will not overwrite it.", file.display());
    }
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let repository = open(settings)?;
    let done = declarative::export(repository.store().as_ref(), repository.catalog());
    let text = runtime.block_on(done).context("cannot read the store")?;
    write(file, &text, force)
}

fn open(settings: &Settings) -> anyhow::Result<Repository> {
    node::Prefix::new(&settings.prefix).prepare()?;
    Ok(node::repository(settings)?)
}

fn write(file: &Path, text: &str, force: bool) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let opened = options.open(file);
    let mut opened = match opened {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} already exists.\nWill not overwrite it.", file.display())
        }
        opened => opened.with_context(|| format!("cannot write {}", file.display()))?,
    };
    opened
        .write_all(text.as_bytes())
        .with_context(|| format!("cannot write {}", file.display()))
}
