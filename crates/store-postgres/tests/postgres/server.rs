//! A PostgreSQL of the test's own: a temporary folder, a free port, ended when the test is over.

use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::unistd::{Uid, User};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use stdx::Secret;
use store::Catalog;
use store_postgres::{Migrations, Options};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls};

/// The role that owns everything, and its password over TCP.
pub const ROLE: &str = "owner";
pub const PASSWORD: &str = "correct horse";

/// A running server.
pub struct Server {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
    databases: AtomicUsize,
    /// The authority that vouches for the server's certificate, in PEM.
    pub authority: String,
}

impl Server {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if let Some(user) = unprivileged() {
            chown(folder.path(), Some(user.uid.into()), Some(user.gid.into())).unwrap();
        }
        let mut server = Self {
            folder,
            programs: programs(),
            port: 0,
            databases: AtomicUsize::new(0),
            authority: String::new(),
        };
        let data = server.data();
        let data = data.to_str().unwrap();
        let user = format!("--username={ROLE}");
        server.call(
            "initdb",
            &["-D", data, &user, "--auth=trust", "--no-sync", "-E", "UTF8"],
        );
        server.configure();
        // Somebody else may take the port between the look and the start.
        for _ in 0..5 {
            server.port = free_port();
            if server.try_resume() {
                return server;
            }
        }
        panic!("PostgreSQL does not start");
    }

    fn configure(&mut self) {
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        self.authority = authority.pem();
        self.write("server.crt", &certificate.pem());
        self.write("server.key", &key.serialize_pem());
        let access = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n";
        self.write("pg_hba.conf", access);
        let settings =
            "fsync = off\nmax_connections = 200\nssl = on\nlisten_addresses = '127.0.0.1'\n";
        self.write("postgresql.auto.conf", settings);
    }

    /// Writes a file of the cluster with the owner and the mode that the server wants.
    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.data().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        if let Some(user) = unprivileged() {
            chown(&path, Some(user.uid.into()), Some(user.gid.into())).unwrap();
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Stops the server in the way that a crash does.
    pub fn stop(&self) {
        let data = self.data();
        self.call(
            "pg_ctl",
            &[
                "-D",
                data.to_str().unwrap(),
                "-m",
                "immediate",
                "-w",
                "stop",
            ],
        );
    }

    /// Starts it again on the same port.
    pub fn resume(&self) {
        assert!(self.try_resume(), "PostgreSQL does not start again");
    }

    fn try_resume(&self) -> bool {
        let data = self.data();
        let log = self.folder.path().join("log");
        let options = format!("-p {} -k {}", self.port, self.folder.path().display());
        let status = self
            .command("pg_ctl")
            .args(["-D", data.to_str().unwrap(), "-l", log.to_str().unwrap()])
            .args(["-o", &options, "-w", "-t", "60", "start"])
            .output()
            .unwrap();
        status.status.success()
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.current_dir(self.folder.path()).env("LC_ALL", "C");
        if let Some(user) = unprivileged() {
            command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
        }
        command
    }

    fn call(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments:?}: {said}");
    }

    /// A client of the server itself, for what a person would do with `psql`.
    pub async fn client(&self, database: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.folder.path()).port(self.port);
        config.user(ROLE).dbname(database);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    /// An empty database.
    pub async fn database(&self) -> String {
        self.database_like("template0").await
    }

    /// A copy of a database that nobody uses.
    pub async fn database_like(&self, template: &str) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{number}");
        let sql = format!("CREATE DATABASE {name} TEMPLATE {template}");
        self.client("postgres")
            .await
            .batch_execute(&sql)
            .await
            .unwrap();
        name
    }

    /// A database with the tables of a catalog.
    pub async fn bootstrapped(&self, catalog: &Catalog) -> String {
        let name = self.database().await;
        let options = self.options(&name);
        let migrations = Migrations::new(&options, catalog.clone());
        migrations.bootstrap().await.unwrap();
        name
    }

    /// How a store reaches a database over the Unix socket.
    pub fn options(&self, database: &str) -> Options {
        Options {
            hosts: vec![(self.folder.path().to_str().unwrap().to_owned(), self.port)],
            user: ROLE.to_owned(),
            database: database.to_owned(),
            timeout: Duration::from_secs(20),
            ..Options::default()
        }
    }

    /// How a store reaches a database over TCP; the role has to have its password.
    pub fn tcp_options(&self, database: &str) -> Options {
        Options {
            hosts: vec![("localhost".to_owned(), self.port)],
            password: Secret::new(PASSWORD),
            ..self.options(database)
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let data = self.data();
        let stopped = self
            .command("pg_ctl")
            .args([
                "-D",
                data.to_str().unwrap_or_default(),
                "-m",
                "immediate",
                "-w",
                "stop",
            ])
            .output();
        drop(stopped);
    }
}

/// Whom the server has to run as, because it refuses to run as root.
fn unprivileged() -> Option<User> {
    if !Uid::effective().is_root() {
        return None;
    }
    let named = |name| User::from_name(name).unwrap();
    Some(named("postgres").or_else(|| named("nobody")).unwrap())
}

/// The folder of the newest installed server.
fn programs() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let mut folders: Vec<_> = versions
        .into_iter()
        .flatten()
        .map(|version| version.unwrap().path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    let number = |folder: &PathBuf| {
        let version = folder.parent().and_then(Path::file_name);
        version.and_then(|name| name.to_str()?.parse::<u32>().ok())
    };
    folders.sort_by_key(number);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(|folder| folder.join("initdb").exists());
    folders.pop().or(on_path).unwrap()
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}
