//! OpenLDAP's server.

use std::net::{Ipv4Addr, TcpStream};
use std::process::Command;

use nix::sys::signal::Signal;
use parking_lot::Mutex;

use crate::process::complete;
use crate::{Folder, Launch, Process, Result, find_program, free_ports};

/// The users: `cn` and `userPassword`, below `ou=people,dc=test`.
type Users<'a> = &'a [(&'a str, &'a str)];

/// An LDAP server on free ports of 127.0.0.1, with TLS from the start, after StartTLS, or without; ended when it is
/// dropped.
#[derive(Debug)]
pub struct Slapd {
    folder: Folder,
    port: u16,
    tls_port: u16,
    process: Mutex<Option<Process>>,
}

impl Slapd {
    /// The entry below which the users are.
    pub const BASE: &str = "ou=people,dc=test";

    /// Starts a server that knows these users and shows this certificate, as PEM.
    pub fn start(users: Users<'_>, certificate: &str, key: &str) -> Result<Self> {
        let [port, tls_port] = free_ports()?;
        let server = Self {
            folder: Folder::unprivileged()?,
            port,
            tls_port,
            process: Mutex::new(None),
        };
        server.fill(users, certificate, key)?;
        server.resume()?;
        Ok(server)
    }

    fn fill(&self, users: Users<'_>, certificate: &str, key: &str) -> Result<()> {
        let folder = &self.folder;
        // Makes the folder of the data as well.
        folder.write("data/README", "LDIF")?;
        let certificate = folder.write("certificate.pem", certificate)?;
        let key = folder.write("key.pem", key)?;
        folder.write(
            "slapd.conf",
            &format!(
                "include /etc/ldap/schema/core.schema\n\
                 TLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
                 database ldif\nsuffix dc=test\ndirectory {}/data\n",
                certificate.display(),
                key.display(),
                folder.path().display(),
            ),
        )?;
        let mut entries = "dn: dc=test\nobjectClass: dcObject\nobjectClass: organization\n\
                           dc: test\no: test\n\n\
                           dn: ou=people,dc=test\nobjectClass: organizationalUnit\nou: people\n"
            .to_owned();
        for (name, password) in users {
            let escaped = name.replace(',', "\\,");
            entries += &format!(
                "\ndn: cn={escaped},{}\nobjectClass: person\ncn: {name}\nsn: {name}\n\
                 userPassword: {password}\n",
                Self::BASE
            );
        }
        let entries = folder.write("entries.ldif", &entries)?;
        let mut load = Command::new(find_program("slapadd")?);
        load.current_dir(folder.path())
            .args(["-f", "slapd.conf", "-l"])
            .arg(entries);
        complete(&load, folder.owner()).map(drop)
    }

    /// Starts it, again or for the first time.
    pub fn resume(&self) -> Result<()> {
        let mut process = self.process.lock();
        if process.as_ref().is_some_and(Process::is_running) {
            return Ok(());
        }
        let urls = format!(
            "ldap://127.0.0.1:{}/ ldaps://127.0.0.1:{}/",
            self.port, self.tls_port
        );
        let mut command = Command::new(find_program("slapd")?);
        // Told what to show of its work, even nothing, it stays in the foreground.
        command
            .current_dir(self.folder.path())
            .args(["-f", "slapd.conf", "-d", "0", "-h", &urls]);
        let started = Process::start(&Launch {
            command: &command,
            log: &self.folder.path().join("log"),
            ending: Signal::SIGKILL,
            user: self.folder.owner(),
        })?;
        started.wait_until("accepts connections", || {
            let is_open = |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok();
            is_open(self.port) && is_open(self.tls_port)
        })?;
        *process = Some(started);
        Ok(())
    }

    /// Ends it as a crash does.
    pub fn stop(&self) -> Result<()> {
        if let Some(process) = self.process.lock().take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Where it begins without TLS, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where it begins with TLS, on 127.0.0.1.
    pub fn tls_port(&self) -> u16 {
        self.tls_port
    }
}
