//! PostgreSQL servers.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use parking_lot::Mutex;

use crate::program::find_postgres;
use crate::{Error, Folder, Launch, Process, Result, free_ports};

/// What a server does with what was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk before anybody is told, as in production.
    Durable,
    /// It may be lost when the machine fails, but not when the server does; several times as fast.
    Fast,
}

/// How a server is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Clients are cut off, and everything is written.
    Fast,
    /// As in a crash: the next start recovers from the log.
    Immediate,
}

/// A server with its own data, on a free port of 127.0.0.1 and a socket in its folder; ended when it is dropped.
///
/// The socket, which only the owner of the folder reaches, asks for no password; TCP asks for [`Postgres::password`].
#[derive(Debug)]
pub struct Postgres {
    folder: Folder,
    programs: PathBuf,
    port: u16,
    password: String,
    process: Mutex<Option<Process>>,
}

impl Postgres {
    /// The role that owns everything; Kong's default.
    pub const ROLE: &str = "kong";

    /// Makes a server and starts it.
    pub fn start(durability: Durability) -> Result<Self> {
        let server = Self::create(durability)?;
        server.resume()?;
        Ok(server)
    }

    /// Makes a server that does not run yet.
    pub fn create(durability: Durability) -> Result<Self> {
        let server = Self::empty()?;
        let password_file = server.folder.write("password", &server.password)?;
        let mut initdb = server.command("initdb");
        initdb
            .arg("--no-sync")
            .args(["--encoding=UTF8", "--locale=C", "--auth-local=trust"])
            .args(["--auth-host=scram-sha-256", "--pgdata"])
            .arg(server.data())
            .arg(format!("--username={}", Self::ROLE))
            .arg(format!("--pwfile={}", password_file.display()));
        server.complete(&initdb)?;
        fs::remove_file(&password_file).map_err(Error::io("the password file"))?;
        server.set("listen_addresses", "127.0.0.1")?;
        server.set("max_connections", "200")?;
        server.set("shared_buffers", "32MB")?;
        if durability == Durability::Fast {
            // Without `synchronous_commit = off`: with it, a crash of the server alone would lose commits.
            server.set("fsync", "off")?;
            server.set("full_page_writes", "off")?;
        }
        Ok(server)
    }

    /// A second server that follows this one, and can be read from; both must be able to take the other's place, so
    /// they have the same roles and passwords.
    pub fn standby(&self) -> Result<Self> {
        let standby = Self {
            password: self.password.clone(),
            ..Self::empty()?
        };
        let mut copy = standby.command("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync"])
            .arg("--pgdata")
            .arg(standby.data())
            .args(["--username", Self::ROLE, "--host"])
            .arg(self.folder.path())
            .args(["--port", &self.port.to_string()]);
        standby.complete(&copy)?;
        standby.set("port", &standby.port.to_string())?;
        standby.resume()?;
        Ok(standby)
    }

    /// Makes a standby take writes.
    pub fn promote(&self) -> Result<()> {
        self.query("postgres", "SELECT pg_promote()").map(drop)
    }

    fn empty() -> Result<Self> {
        let [port] = free_ports()?;
        Ok(Self {
            folder: Folder::unprivileged()?,
            programs: find_postgres()?,
            port,
            password: random_word()?,
            process: Mutex::new(None),
        })
    }

    /// Sets a parameter for the next start.
    pub fn set(&self, name: &str, value: &str) -> Result<()> {
        let path = "data/postgresql.conf";
        let before = fs::read_to_string(self.folder.path().join(path)).map_err(Error::io(path))?;
        let value = value.replace('\'', "''");
        self.folder
            .write(path, &format!("{before}{name} = '{value}'\n"))?;
        Ok(())
    }

    /// Writes a file of the data folder, as the server wants it owned.
    pub fn write(&self, name: &str, text: &str) -> Result<()> {
        self.folder.write(Path::new("data").join(name), text)?;
        Ok(())
    }

    /// Starts the server on its port, again or for the first time, and returns when it takes connections.
    pub fn resume(&self) -> Result<()> {
        let mut process = self.process.lock();
        if process.as_ref().is_some_and(Process::is_running) {
            return Ok(());
        }
        let mut command = self.command("postgres");
        command
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-k"])
            .arg(self.folder.path());
        let started = Process::start(&Launch {
            command: &command,
            log: &self.folder.path().join("log"),
            // Ends at once, and leaves no shared memory behind.
            ending: Signal::SIGQUIT,
            user: self.folder.owner(),
        })?;
        let pid_file = self.data().join("postmaster.pid");
        let pid = started.pid().to_string();
        started.wait_until("takes connections", || {
            // Eighth line: what the server says of itself. The first tells this server from one that crashed.
            let state = fs::read_to_string(&pid_file).unwrap_or_default();
            let mut lines = state.lines();
            lines.next() == Some(&pid) && lines.nth(6).map(str::trim) == Some("ready")
        })?;
        *process = Some(started);
        Ok(())
    }

    /// Stops the server; [`Postgres::resume`] starts it again.
    pub fn stop(&self, how: Stop) -> Result<()> {
        let signal = match how {
            Stop::Fast => Signal::SIGINT,
            Stop::Immediate => Signal::SIGQUIT,
        };
        if let Some(process) = self.process.lock().take() {
            process.end_by(signal)?;
        }
        Ok(())
    }

    /// Stops all its processes from running; their connections stay open, and nobody answers.
    pub fn pause(&self) -> Result<()> {
        self.process.lock().as_ref().map_or(Ok(()), Process::pause)
    }

    /// Lets them run again after [`Postgres::pause`].
    pub fn unpause(&self) -> Result<()> {
        self.process.lock().as_ref().map_or(Ok(()), Process::resume)
    }

    /// Its port on 127.0.0.1, and the number in the name of its socket.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// The folder of its socket, which clients take as a host.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The role's password over TCP.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The process that all its others descend from, if it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.lock().as_ref().map(Process::pid)
    }

    /// What it said.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Makes an empty database.
    pub fn create_database(&self, name: &str) -> Result<()> {
        let sql = format!("CREATE DATABASE \"{name}\" TEMPLATE template0");
        self.query("postgres", &sql).map(drop)
    }

    /// Runs SQL as a person would with `psql`; rows as lines, columns divided by `|`.
    pub fn query(&self, database: &str, sql: &str) -> Result<String> {
        let mut psql = self.command("psql");
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--set=ON_ERROR_STOP=1", "--host"])
            .arg(self.folder.path())
            .args(["--port", &self.port.to_string()])
            .args(["--username", Self::ROLE, "--dbname", database])
            .args(["--command", sql]);
        Ok(self.complete(&psql)?.trim_end().to_owned())
    }

    /// The settings, without `KONG_`, that make a node use one of its databases.
    pub fn node_settings(&self, database: &str) -> [(&'static str, String); 6] {
        [
            ("DATABASE", "postgres".to_owned()),
            ("PG_HOST", "127.0.0.1".to_owned()),
            ("PG_PORT", self.port.to_string()),
            ("PG_USER", Self::ROLE.to_owned()),
            ("PG_PASSWORD", self.password.clone()),
            ("PG_DATABASE", database.to_owned()),
        ]
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        for name in ["PGDATA", "PGHOST", "PGPORT", "PGUSER", "PGDATABASE"] {
            command.env_remove(name);
        }
        command
    }

    /// Runs one of the server's programs to its end, and returns what it printed.
    fn complete(&self, command: &Command) -> Result<String> {
        crate::process::complete(command, self.folder.owner())
    }
}

/// A word that nobody guesses.
fn random_word() -> Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .map_err(Error::io("random bytes"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
