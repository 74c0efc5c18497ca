//! A real node that a command starts for itself.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::steps::binary;

/// A node with an empty embedded store on free ports, ended when dropped.
pub struct Node {
    process: Child,
    pub admin: u16,
    pub proxy: u16,
    pub proxy_tls: u16,
}

impl Node {
    /// Starts the binary of a profile with its prefix in `folder`, and returns when its Admin API accepts.
    pub fn start(profile: &str, folder: &Path) -> anyhow::Result<Self> {
        let [admin, proxy, proxy_tls, status] = free_ports()?;
        let log = fs::File::create(folder.join("node.log"))?;
        let process = Command::new(binary(profile, "silverback"))
            .arg("run")
            .env("KONG_PREFIX", folder.join("prefix"))
            .env("KONG_DATABASE", "sqlite")
            .env("KONG_ADMIN_LISTEN", format!("127.0.0.1:{admin}"))
            .env(
                "KONG_PROXY_LISTEN",
                format!("127.0.0.1:{proxy}, 127.0.0.1:{proxy_tls} http2 ssl"),
            )
            .env("KONG_STATUS_LISTEN", format!("127.0.0.1:{status}"))
            .env("KONG_ADMIN_GUI_LISTEN", "off")
            .env("KONG_NGINX_WORKER_PROCESSES", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("the node")?;
        let mut node = Self {
            process,
            admin,
            proxy,
            proxy_tls,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", admin)).is_err() {
            if node.process.try_wait()?.is_some() || Instant::now() > deadline {
                bail!(
                    "the node did not start:\n{}",
                    fs::read_to_string(folder.join("node.log"))?
                );
            }
            std::thread::yield_now();
        }
        Ok(node)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended by itself; there is nothing to do about a failure here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Ports that were free a moment ago.
pub fn free_ports<const N: usize>() -> anyhow::Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
