//! What can be said on the command line; names, short forms and defaults are Kong's.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// An API gateway that takes the place of Kong Gateway.
#[derive(Debug, Parser)]
#[command(disable_help_subcommand = true, disable_version_flag = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// Say more.
    #[arg(short, long, global = true)]
    v: bool,
    /// Say everything.
    #[arg(long, global = true)]
    vv: bool,
}

/// How much is said besides results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    Plain,
    Verbose,
    Debug,
}

impl Arguments {
    /// What `-v` and `--vv` ask for.
    pub fn verbosity(&self) -> Verbosity {
        match (self.v, self.vv) {
            (_, true) => Verbosity::Debug,
            (true, false) => Verbosity::Verbose,
            (false, false) => Verbosity::Plain,
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a node in the foreground.
    Run(Run),
    /// Start a node in the background, and return when it serves.
    Start(Start),
    /// Stop a node at once.
    Stop(Place),
    /// Stop a node when it has answered the requests in flight.
    Quit(Quit),
    /// Stop a node and start it again.
    Restart(Start),
    /// Make a running node read its settings and certificates again, without losing a request.
    Reload(Reload),
    /// Make a node report that it is not ready, so that load balancers leave it alone.
    Drain(Place),
    /// Say whether a node runs.
    Health(Place),
    /// Check a configuration file.
    Check(Check),
    /// Make the node's folder without starting a node.
    Prepare(Prepare),
    /// Print the version.
    Version(Version),
    /// Work with declarative configuration files.
    Config(Config),
    /// Manage the tables of the store.
    Migrations(Migrations),
    /// Write everything that the store holds to a file, while nodes serve and write.
    Backup(Backup),
    /// Make a backup the whole content of the store.
    Restore(Restore),
    /// Prove that a backup can be restored, without touching the store.
    Verify(Verify),
    /// Helpers for Kong's hybrid mode.
    Hybrid(Hybrid),
    /// Look up secrets.
    Vault(Vault),
    /// Print a reference document.
    #[command(hide = true)]
    Reference(Reference),
}

/// Which node.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// The configuration file.
    #[arg(short, long, value_name = "FILE")]
    pub conf: Option<PathBuf>,
    /// The node's folder.
    #[arg(short, long, value_name = "FOLDER")]
    pub prefix: Option<PathBuf>,
}

#[derive(Debug, Clone, Default, Args)]
pub struct Run {
    #[command(flatten)]
    pub place: Place,
    /// Leave the terminal and report on standard output when the node serves; `start` uses it.
    #[arg(long, hide = true)]
    pub background: bool,
}

/// Options of nginx that cannot apply.
#[derive(Debug, Clone, Default, Args)]
pub struct NginxOptions {
    /// Without effect: there is no nginx.
    #[arg(long, value_name = "FILE")]
    pub nginx_conf: Option<PathBuf>,
    /// Without effect: there is no nginx.
    #[arg(long, value_name = "FLAGS")]
    pub nginx_conf_flags: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct Start {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub nginx: NginxOptions,
    /// Bring the store's tables up to date first; the embedded store always does.
    #[arg(long)]
    pub run_migrations: bool,
    /// Seconds that an operation of the store may take.
    #[arg(long, value_name = "SECONDS")]
    pub db_timeout: Option<f64>,
    /// Seconds to wait for another node that migrates.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub lock_timeout: f64,
}

#[derive(Debug, Clone, Args)]
pub struct Quit {
    #[command(flatten)]
    pub place: Place,
    /// Seconds after which the node is stopped at once.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 10.0)]
    pub timeout: f64,
    /// Seconds to wait before anything happens.
    #[arg(short, long, value_name = "SECONDS", default_value_t = 0.0)]
    pub wait: f64,
}

#[derive(Debug, Clone, Args)]
pub struct Reload {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub nginx: NginxOptions,
}

#[derive(Debug, Clone, Args)]
pub struct Check {
    /// The configuration file; without it, the one that a node would use.
    pub file: Option<PathBuf>,
    /// The same.
    #[arg(short, long, value_name = "FILE", conflicts_with = "file")]
    pub conf: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct Prepare {
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub nginx: NginxOptions,
}

#[derive(Debug, Clone, Args)]
pub struct Version {
    /// Name the parts as well.
    #[arg(short, long)]
    pub all: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Config {
    #[command(subcommand)]
    pub command: ConfigCommand,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub conf: Option<PathBuf>,
    /// The node's folder.
    #[arg(short, long, value_name = "FOLDER", global = true)]
    pub prefix: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
#[command(rename_all = "snake_case")]
pub enum ConfigCommand {
    /// Write an example.
    Init {
        #[arg(default_value = "./kong.yml")]
        file: PathBuf,
    },
    /// Check a file.
    Parse { file: PathBuf },
    /// Put a file's entities into the store.
    #[command(alias = "db-import")]
    DbImport { file: PathBuf },
    /// Write the store's entities to a file.
    #[command(alias = "db-export")]
    DbExport {
        #[arg(default_value = "./kong.yml")]
        file: PathBuf,
        /// Write over a file that exists.
        #[arg(short, long)]
        force: bool,
    },
}

#[derive(Debug, Clone, Args)]
pub struct Migrations {
    #[command(subcommand)]
    pub command: MigrationsCommand,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub conf: Option<PathBuf>,
    /// The node's folder.
    #[arg(short, long, value_name = "FOLDER", global = true)]
    pub prefix: Option<PathBuf>,
    /// Ask nothing.
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// Print nothing.
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Do it even if it was done.
    #[arg(short, long, global = true)]
    pub force: bool,
    /// Seconds that an operation of the store may take.
    #[arg(long, value_name = "SECONDS", global = true)]
    pub db_timeout: Option<f64>,
    /// Seconds to wait for another node that migrates.
    #[arg(long, value_name = "SECONDS", global = true, default_value_t = 60.0)]
    pub lock_timeout: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Subcommand)]
pub enum MigrationsCommand {
    /// Make the tables.
    Bootstrap,
    /// Bring the tables up to date.
    Up,
    /// Finish what `up` left for later.
    Finish,
    /// List what was done.
    List,
    /// The same as JSON.
    Status,
    /// Delete all tables and everything in them.
    Reset,
}

#[derive(Debug, Clone, Args)]
pub struct Backup {
    #[command(flatten)]
    pub place: Place,
    /// A folder, in which the file is named after the moment, or a file.
    #[arg(long, value_name = "FOLDER|FILE")]
    pub to: PathBuf,
    /// Remove all backups from the folder but this many of the newest.
    #[arg(long, value_name = "N")]
    pub keep: Option<NonZeroUsize>,
    /// Replace a file that exists.
    #[arg(short, long, conflicts_with = "keep")]
    pub force: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Restore {
    /// The backup.
    pub file: PathBuf,
    #[command(flatten)]
    pub place: Place,
    /// Ask nothing.
    #[arg(short, long)]
    pub yes: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Verify {
    /// The backup.
    pub file: PathBuf,
    #[command(flatten)]
    pub place: Place,
}

#[derive(Debug, Clone, Args)]
pub struct Hybrid {
    #[command(subcommand)]
    pub command: HybridCommand,
}

#[derive(Debug, Clone, Subcommand)]
#[command(rename_all = "snake_case")]
pub enum HybridCommand {
    /// Make a certificate and a key that Kong's planes can share.
    GenCert {
        /// Both files, or neither for `./cluster.crt` and `./cluster.key`.
        #[arg(num_args = 0..=2, value_names = ["CERT", "KEY"])]
        files: Vec<PathBuf>,
        /// Days that the certificate is valid.
        #[arg(short, long, default_value_t = 1095)]
        days: u32,
    },
}

#[derive(Debug, Clone, Args)]
pub struct Vault {
    #[command(subcommand)]
    pub command: VaultCommand,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", global = true)]
    pub conf: Option<PathBuf>,
    /// The node's folder.
    #[arg(short, long, value_name = "FOLDER", global = true)]
    pub prefix: Option<PathBuf>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum VaultCommand {
    /// Print the value of a reference such as `env/my-secret` or `{vault://env/my-secret}`.
    Get { reference: String },
}

#[derive(Debug, Clone, Args)]
pub struct Reference {
    pub document: Document,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Document {
    /// All settings, as Markdown.
    Settings,
    /// The Admin API, as OpenAPI.
    Openapi,
    /// All metrics, as Markdown.
    Metrics,
    /// All plugins, as Markdown.
    Plugins,
}
