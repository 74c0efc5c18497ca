//! `migrations …`: the tables of the store. Stores that need none of it say so.

mod postgres;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use config::StoreChoice;
use node::Prefix;
use serde_json::json;

pub use postgres::migrations as on_postgres;

use super::load_with_timeout;
use crate::arguments::{Migrations, MigrationsCommand, Place};
use crate::output::Output;

/// Does what the command says, or says why there is nothing to do.
pub fn migrations(options: &Migrations, output: &Output) -> anyhow::Result<ExitCode> {
    let output = if options.quiet {
        output.clone().quiet()
    } else {
        output.clone()
    };
    let place = Place {
        conf: options.conf.clone(),
        prefix: options.prefix.clone(),
    };
    let timeout = options.db_timeout;
    let settings = load_with_timeout(&place, timeout, &output)?.settings;
    match &settings.store {
        StoreChoice::Sqlite { file, .. } => {
            embedded(options, file, &Prefix::new(&settings.prefix), &output)
        }
        StoreChoice::Declarative { .. } => without_database(options.command, &output),
        StoreChoice::Postgres(place) => on_postgres(options, &settings, place, &output),
        StoreChoice::Cassandra => Err(node::Error::NotBuilt("the store Cassandra").into()),
    }
}

fn embedded(
    options: &Migrations,
    file: &Path,
    prefix: &Prefix,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let shown = file.display();
    match options.command {
        MigrationsCommand::Bootstrap | MigrationsCommand::Up => {
            if options.force && options.command == MigrationsCommand::Bootstrap {
                reset(options, file, prefix, output)?;
            }
            prefix.prepare()?;
            node::open_store(file).with_context(|| format!("cannot open {shown}"))?;
            output.say(format!(
                "Database is up-to-date: the embedded store {shown} makes and updates its tables whenever it is opened"
            ));
        }
        MigrationsCommand::Finish => output.say("No pending migrations to finish"),
        MigrationsCommand::List => {
            output.say(format!(
                "The embedded store {shown} has no list of migrations: its tables follow the program at every start"
            ));
        }
        MigrationsCommand::Status => {
            let status = json!({"strategy": "sqlite", "needs_bootstrap": false, "pending_migrations": null, "new_migrations": null});
            output.say(status.to_string());
        }
        MigrationsCommand::Reset => reset(options, file, prefix, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn without_database(command: MigrationsCommand, output: &Output) -> anyhow::Result<ExitCode> {
    if command == MigrationsCommand::Status {
        let status = json!({"strategy": "off", "needs_bootstrap": false, "pending_migrations": null, "new_migrations": null});
        output.say(status.to_string());
    } else {
        output.say("`database = off` has no tables, so there is nothing to migrate");
    }
    Ok(ExitCode::SUCCESS)
}

/// Deletes the embedded store, if the user means it and nobody uses it.
fn reset(
    options: &Migrations,
    file: &Path,
    prefix: &Prefix,
    output: &Output,
) -> anyhow::Result<()> {
    if prefix.running().is_some() {
        bail!(
            "a node is running in {}: stop it first",
            prefix.path().display()
        );
    }
    if !file.exists() {
        bail!("Database not bootstrapped, nothing to reset");
    }
    let question = format!(
        "Delete {} and everything in it? This operation is irreversible.",
        file.display()
    );
    if !options.yes && !confirm(&question, true)? {
        bail!("cancelled");
    }
    for suffix in ["", "-wal", "-shm"] {
        let part = PathBuf::from(format!("{}{suffix}", file.display()));
        if part.exists() {
            std::fs::remove_file(&part)
                .with_context(|| format!("cannot delete {}", part.display()))?;
        }
    }
    output.say("Database successfully reset");
    Ok(())
}

/// Asks at the terminal; without one, nothing is taken for an answer. Says yes by itself if there is nothing to lose.
fn confirm(question: &str, matters: bool) -> anyhow::Result<bool> {
    const ATTEMPTS: usize = 3;
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("not a tty: invoke 'reset' non-interactively with the --yes flag");
    }
    if !matters {
        return Ok(true);
    }
    let mut prompt = std::io::stderr();
    for _ in 0..ATTEMPTS {
        write!(prompt, "> {question} [y/n] ")?;
        prompt.flush()?;
        let mut answer = String::new();
        input.read_line(&mut answer)?;
        match answer.trim() {
            "y" | "Y" | "yes" | "YES" => return Ok(true),
            "n" | "N" | "no" | "NO" => return Ok(false),
            _ => {}
        }
    }
    Ok(false)
}
