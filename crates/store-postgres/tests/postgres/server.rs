//! A PostgreSQL of the test's own, with TLS, and the ways in which a store reaches it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fleet::{Durability, Postgres, Stop};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use stdx::Secret;
use store::Catalog;
use store_postgres::{Migrations, Options};
use tokio_postgres::{Client, NoTls};

/// The role that owns everything, and the password that a test may give it for TCP.
pub const ROLE: &str = Postgres::ROLE;
pub const PASSWORD: &str = "correct horse";

/// A running server.
pub struct Server {
    postgres: Postgres,
    databases: AtomicUsize,
    /// The authority that vouches for the server's certificate, in PEM.
    pub authority: String,
}

impl Server {
    /// Makes a cluster and starts it.
    pub fn start() -> Self {
        let postgres = Postgres::create(Durability::Fast).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        postgres.write("server.crt", &certificate.pem()).unwrap();
        postgres.write("server.key", &key.serialize_pem()).unwrap();
        postgres.set("ssl", "on").unwrap();
        postgres.resume().unwrap();
        Self {
            postgres,
            databases: AtomicUsize::new(0),
            authority: authority.pem(),
        }
    }

    /// Stops the server in the way that a crash does.
    pub fn stop(&self) {
        self.postgres.stop(Stop::Immediate).unwrap();
    }

    /// Starts it again on the same port.
    pub fn resume(&self) {
        self.postgres.resume().unwrap();
    }

    /// A client of the server itself, for what a person would do with `psql`.
    pub async fn client(&self, database: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config.host_path(self.postgres.socket_folder());
        config.port(self.postgres.port());
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
        let folder = self.postgres.socket_folder().to_str().unwrap().to_owned();
        Options {
            hosts: vec![(folder, self.postgres.port())],
            user: ROLE.to_owned(),
            database: database.to_owned(),
            timeout: Duration::from_secs(20),
            ..Options::default()
        }
    }

    /// How a store reaches a database over TCP; the role has to have its password.
    pub fn tcp_options(&self, database: &str) -> Options {
        Options {
            hosts: vec![("localhost".to_owned(), self.postgres.port())],
            password: Secret::new(PASSWORD),
            ..self.options(database)
        }
    }
}
