//! `migrations …` on PostgreSQL.
//!
//! Compat: sentences, JSON and exit statuses are Kong's, because installers and charts read them (pinned by the tests of
//! the command line).

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use config::{Postgres, Settings};
use node::postgres::{Migrations, Obstacle, Outcome, Status, Subsystem};
use serde_json::{Value, json};
use stdx::SystemClock;

use super::confirm;
use crate::arguments::{self, MigrationsCommand};
use crate::output::Output;

/// The exit statuses that tell what a list of migrations found.
const NEEDS_BOOTSTRAP: u8 = 3;
const HAS_PENDING: u8 = 4;
const HAS_NEW: u8 = 5;

/// What this program adds is listed beside the migrations of Kong under this name.
const OWN: (&str, &str) = ("silverback", "change_log");

/// Does what the command says.
pub fn migrations(
    options: &arguments::Migrations,
    settings: &Settings,
    place: &Postgres,
    output: &Output,
) -> anyhow::Result<ExitCode> {
    let store = node::postgres::options(settings, place, Arc::new(SystemClock))?;
    let command = Command {
        options,
        place,
        migrations: node::postgres::migrations(settings, &store),
        output,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(command.run())
}

struct Command<'a> {
    options: &'a arguments::Migrations,
    place: &'a Postgres,
    migrations: Migrations<'a>,
    output: &'a Output,
}

impl Command<'_> {
    async fn run(&self) -> anyhow::Result<ExitCode> {
        let status = self.migrations.status().await?;
        match self.options.command {
            MigrationsCommand::Bootstrap => self.bootstrap(status).await,
            MigrationsCommand::Up => self.up(&status).await,
            MigrationsCommand::Finish => self.finish(&status).await,
            MigrationsCommand::List => Ok(self.list(&status)),
            MigrationsCommand::Status => {
                self.output.say(describe(&status).to_string());
                Ok(ExitCode::SUCCESS)
            }
            MigrationsCommand::Reset => self.reset(&status).await,
        }
    }

    async fn bootstrap(&self, status: Status) -> anyhow::Result<ExitCode> {
        let mut bootstrapped = status.bootstrapped;
        if self.options.force && bootstrapped {
            self.drop_everything().await?;
            bootstrapped = false;
        }
        if !bootstrapped {
            self.output.say("Bootstrapping database...");
            if self.in_turn(self.migrations.bootstrap()).await? == Outcome::Done {
                let status = self.migrations.status().await?;
                self.report(&listed(&status, |part| &part.executed, status.change_log));
                self.output.say("Database is up-to-date");
                return Ok(ExitCode::SUCCESS);
            }
        }
        self.output.say("Database already bootstrapped");
        Ok(ExitCode::SUCCESS)
    }

    async fn up(&self, status: &Status) -> anyhow::Result<ExitCode> {
        refuse_empty(status)?;
        if status.has_pending() && !self.options.force {
            bail!("Database has pending migrations; run 'kong migrations finish' of Kong 3.9");
        }
        self.add(status).await
    }

    async fn finish(&self, status: &Status) -> anyhow::Result<ExitCode> {
        refuse_empty(status)?;
        if status.has_pending() {
            bail!(
                "Database has pending migrations of another version; run 'kong migrations finish' of Kong 3.9"
            );
        }
        if status.has_new() || !status.change_log {
            let program = self.output.program();
            self.output.say(format!(
                "\nNew migrations available; run '{program} migrations up' to proceed"
            ));
        } else {
            self.output.say("No pending migrations to finish");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Adds what this program needs to a database that has Kong's tables.
    async fn add(&self, status: &Status) -> anyhow::Result<ExitCode> {
        if status.has_new() {
            return Err(Obstacle::NewMigrations.into());
        }
        match self.in_turn(self.migrations.up()).await? {
            Outcome::Done => self.report(&[(OWN.0, vec![OWN.1.to_owned()])]),
            Outcome::NothingToDo => self.output.say("Database is already up-to-date"),
        }
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, status: &Status) -> ExitCode {
        let output = self.output;
        if !status.bootstrapped {
            output.say(Obstacle::NeedsBootstrap.to_string());
            return ExitCode::from(NEEDS_BOOTSTRAP);
        }
        let mut before = "";
        let parts = [
            (
                "Executed migrations",
                listed(status, |part| &part.executed, status.change_log),
            ),
            (
                "Pending migrations",
                listed(status, |part| &part.pending, false),
            ),
            (
                "New migrations available",
                listed(status, |part| &part.new, !status.change_log),
            ),
        ];
        for (title, part) in &parts {
            if !part.is_empty() {
                output.say(format!("{before}{title}:\n{}", aligned(part)));
                before = "\n";
            }
        }
        if status.has_pending() {
            output.say("\nRun 'kong migrations finish' of Kong 3.9 when ready");
            return ExitCode::from(HAS_PENDING);
        }
        if status.has_new() || !status.change_log {
            let program = output.program();
            output.say(format!("\nRun '{program} migrations up' to proceed"));
            return ExitCode::from(HAS_NEW);
        }
        ExitCode::SUCCESS
    }

    async fn reset(&self, status: &Status) -> anyhow::Result<ExitCode> {
        if !self.options.yes
            && !confirm(
                "Are you sure? This operation is irreversible.",
                status.bootstrapped,
            )?
        {
            self.output.say("cancelled");
            return Ok(ExitCode::SUCCESS);
        }
        if !status.bootstrapped {
            self.output
                .say("Database not bootstrapped, nothing to reset");
            return Ok(ExitCode::FAILURE);
        }
        self.drop_everything().await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn drop_everything(&self) -> anyhow::Result<()> {
        self.output.say("Resetting database...");
        self.in_turn(self.migrations.reset()).await?;
        self.output.say("Database successfully reset");
        Ok(())
    }

    /// Does what at most one node does at a time, and gives up when the others take too long.
    async fn in_turn<T>(
        &self,
        work: impl Future<Output = Result<T, store::Error>>,
    ) -> anyhow::Result<T> {
        let limit = self.options.lock_timeout;
        let time = Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX);
        match tokio::time::timeout(time, work).await {
            Ok(done) => Ok(done?),
            Err(_) => bail!(
                "aborted: another node is performing database changes (nothing happened within {limit} seconds)"
            ),
        }
    }

    fn report(&self, parts: &[Part<'_>]) {
        let database = &self.place.database;
        let mut count = 0;
        for (name, migrations) in parts {
            self.output
                .say(format!("migrating {name} on database '{database}'..."));
            for migration in migrations {
                self.output
                    .say(format!("{name} migrated up to: {migration} (executed)"));
            }
            count += migrations.len();
        }
        let plural = if count > 1 { "s" } else { "" };
        self.output.say(format!(
            "{count} migration{plural} processed\n{count} executed"
        ));
    }
}

fn refuse_empty(status: &Status) -> anyhow::Result<()> {
    if !status.bootstrapped {
        bail!("Cannot run migrations: {}", Obstacle::NeedsBootstrap);
    }
    Ok(())
}

/// A subsystem and names of migrations of it.
type Part<'a> = (&'a str, Vec<String>);

/// The subsystems that have such migrations: Kong's core, its plugins by name, this program.
fn listed<'s>(
    status: &'s Status,
    of: impl Fn(&'s Subsystem) -> &'s Vec<String>,
    own: bool,
) -> Vec<Part<'s>> {
    let mut parts: Vec<Part<'s>> = status
        .subsystems
        .iter()
        .map(|part| (part.name, of(part).clone()))
        .filter(|(_, migrations)| !migrations.is_empty())
        .collect();
    parts.sort_by_key(|(name, _)| (*name != "core", *name));
    if own && status.bootstrapped {
        parts.push((OWN.0, vec![OWN.1.to_owned()]));
    }
    parts
}

fn aligned(parts: &[Part<'_>]) -> String {
    let width = parts.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = parts
        .iter()
        .map(|(name, migrations)| format!("{name:>width$}: {}", migrations.join(", ")))
        .collect();
    lines.join("\n")
}

/// The state as Kong prints it: kinds of migrations that there are none of are left out.
fn describe(status: &Status) -> Value {
    let mut state = json!({ "needs_bootstrap": !status.bootstrapped });
    let parts = [
        (
            "executed_migrations",
            listed(status, |part| &part.executed, status.change_log),
        ),
        (
            "pending_migrations",
            listed(status, |part| &part.pending, false),
        ),
        (
            "new_migrations",
            listed(status, |part| &part.new, !status.change_log),
        ),
    ];
    for (name, parts) in parts {
        if parts.is_empty() {
            continue;
        }
        let parts = parts.into_iter().map(|(subsystem, migrations)| {
            json!({
                "subsystem": subsystem,
                "namespace": namespace(subsystem),
                "migrations": migrations,
            })
        });
        state[name] = parts.collect();
    }
    state
}

fn namespace(subsystem: &str) -> String {
    match subsystem {
        "core" => "kong.db.migrations.core".to_owned(),
        name if name == OWN.0 => OWN.0.to_owned(),
        plugin => format!("kong.plugins.{plugin}.migrations"),
    }
}

#[cfg(test)]
mod tests;
