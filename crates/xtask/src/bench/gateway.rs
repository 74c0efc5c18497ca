//! The upstream, and the two gateways in front of it.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::bench::instructions::callgrind;
use crate::bench::process::Process;
use fleet::free_ports;

/// The core that gateways run on, and the one for everything else.
pub const GATEWAY_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;

/// An nginx that answers from memory or the page cache.
pub struct Upstream {
    pub port: u16,
    _process: Process,
}

impl Upstream {
    /// Starts the upstream: `/1k` answers 1 KiB, `/64k` 64 KiB, and everything else 1 KiB whatever is sent to it.
    pub fn start(folder: &Path) -> anyhow::Result<Upstream> {
        let folder = folder.join("upstream");
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("64k"), "x".repeat(64 * 1024))?;
        let [port] = free_ports()?;
        let small = "x".repeat(1024);
        let server = format!(
            "server {{ listen 127.0.0.1:{port} backlog=4096; root {}; client_max_body_size 64m;
             location = /64k {{ }}
             location / {{ return 200 \"{small}\"; }} }}",
            folder.display(),
        );
        let process = start_nginx(&folder, LOAD_CORE, &server, port, None)?;
        Ok(Upstream {
            port,
            _process: process,
        })
    }
}

/// A gateway under test.
pub struct Gateway {
    pub process: Process,
    pub http: u16,
    pub https: u16,
    /// The Admin API, if it is on.
    pub admin: Option<u16>,
    /// The Status API, if it has one.
    pub status: Option<u16>,
    /// From the start of the process until it served.
    pub startup: Duration,
}

/// nginx as a reverse proxy with keep-alive on both sides, everything else at its defaults.
///
/// With `counts`, a folder, it runs under callgrind.
pub fn nginx(folder: &Path, upstream: &Upstream, counts: Option<&Path>) -> anyhow::Result<Gateway> {
    let folder = folder.join("nginx");
    fs::create_dir_all(&folder)?;
    let [http, https] = free_ports()?;
    let (certificate, key) = make_certificate(&folder)?;
    let server = format!(
        "upstream backend {{ server 127.0.0.1:{}; keepalive 256; keepalive_requests 1000000; }}
         server {{ listen 127.0.0.1:{http} backlog=4096; listen 127.0.0.1:{https} ssl http2 backlog=4096;
         ssl_certificate {}; ssl_certificate_key {}; client_max_body_size 1m;
         location / {{ proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection \"\"; }} }}",
        upstream.port,
        certificate.display(),
        key.display(),
    );
    let mut process = start_nginx(&folder, GATEWAY_CORE, &server, http, counts)?;
    let startup = process.wait_until(|| accepts(https), &folder.join("log"))?;
    Ok(Gateway {
        process,
        http,
        https,
        admin: None,
        status: None,
        startup,
    })
}

/// Starts nginx with one worker on a core; it has started when `port` accepts.
pub fn start_nginx(
    folder: &Path,
    core: usize,
    server: &str,
    port: u16,
    counts: Option<&Path>,
) -> anyhow::Result<Process> {
    let configuration = folder.join("nginx.conf");
    let text = format!(
        "daemon off; user root; worker_processes 1; worker_rlimit_nofile 20000; pid {0}/pid; error_log {0}/error.log crit;
         events {{ worker_connections 19000; }}
         http {{ access_log off; keepalive_requests 1000000; keepalive_timeout 300s; sendfile on; tcp_nopush on;
         client_body_temp_path {0}/body; proxy_temp_path {0}/proxy; fastcgi_temp_path {0}/fastcgi;
         uwsgi_temp_path {0}/uwsgi; scgi_temp_path {0}/scgi;
         {server} }}",
        folder.display(),
    );
    fs::write(&configuration, text)?;
    let log = folder.join("log");
    let mut command = program(Path::new("/usr/sbin/nginx"), counts);
    command
        .arg("-c")
        .arg(&configuration)
        .arg("-e")
        .arg(folder.join("error.log"));
    let mut process = Process::start(core, &command, &log)?;
    process.wait_until(|| accepts(port), &log)?;
    Ok(process)
}

/// What Silverback is started with.
pub enum Configuration<'a> {
    /// Services and routes of a declarative file.
    File(&'a Path),
    /// An embedded store in the prefix, and the Admin API.
    Store,
}

/// A command for a program, under callgrind if there is a folder for its counts.
fn program(path: &Path, counts: Option<&Path>) -> Command {
    match counts {
        Some(counts) => {
            let mut command = callgrind(counts);
            command.arg(path);
            command
        }
        None => Command::new(path),
    }
}

/// Silverback with one worker, without an access log, as nginx is. With `counts`, a folder, it runs under callgrind.
pub fn silverback(
    binary: &Path,
    prefix: &Path,
    configuration: &Configuration<'_>,
    counts: Option<&Path>,
) -> anyhow::Result<Gateway> {
    fs::create_dir_all(prefix)?;
    let [http, https, admin, status] = free_ports()?;
    let mut command = silverback_command(program(binary, counts), prefix, configuration);
    let with_admin = matches!(configuration, Configuration::Store);
    let admin_listen = if with_admin {
        format!("127.0.0.1:{admin}")
    } else {
        "off".to_owned()
    };
    command
        .arg("run")
        .env(
            "KONG_PROXY_LISTEN",
            format!("127.0.0.1:{http} backlog=4096, 127.0.0.1:{https} ssl http2 backlog=4096"),
        )
        .env("KONG_ADMIN_LISTEN", admin_listen)
        .env("KONG_STATUS_LISTEN", format!("127.0.0.1:{status}"));
    let log = prefix.join("log");
    let mut process = Process::start(GATEWAY_CORE, &command, &log)?;
    let ready =
        || accepts(http) && accepts(https) && (!with_admin || accepts(admin)) && is_ready(status);
    let startup = process.wait_until(ready, &log)?;
    Ok(Gateway {
        process,
        http,
        https,
        admin: with_admin.then_some(admin),
        status: Some(status),
        startup,
    })
}

/// Silverback's program with the settings that do not change between its commands.
pub fn silverback_command(
    mut command: Command,
    prefix: &Path,
    configuration: &Configuration<'_>,
) -> Command {
    command
        .env("KONG_PREFIX", prefix)
        .env("KONG_NGINX_WORKER_PROCESSES", "1")
        .env("KONG_PROXY_ACCESS_LOG", "off")
        .env("KONG_ADMIN_ACCESS_LOG", "off")
        .env("KONG_ADMIN_GUI_LISTEN", "off")
        .env("KONG_LOG_LEVEL", "error")
        .env("KONG_UPSTREAM_KEEPALIVE_MAX_REQUESTS", "1000000")
        .env("KONG_NGINX_HTTP_KEEPALIVE_REQUESTS", "1000000")
        .env("KONG_NGINX_HTTP_KEEPALIVE_TIMEOUT", "300s");
    match configuration {
        Configuration::File(path) => {
            command
                .env("KONG_DATABASE", "off")
                .env("KONG_DECLARATIVE_CONFIG", path);
        }
        Configuration::Store => {
            command.env("KONG_DATABASE", "sqlite");
        }
    }
    command
}

/// Writes a declarative file with a route for every path to the upstream, and `routes` more to other services.
pub fn declare(folder: &Path, upstream: &Upstream, routes: usize) -> anyhow::Result<PathBuf> {
    let mut services = vec![serde_json::json!({
        "name": "upstream",
        "url": format!("http://127.0.0.1:{}", upstream.port),
        "routes": [{"name": "all", "paths": ["/"], "strip_path": false}],
    })];
    services.extend((0..routes).map(|number| {
        serde_json::json!({
            "name": format!("service-{number}"),
            "url": format!("http://127.0.0.1:{}/{number}", upstream.port),
            "routes": [{"name": format!("route-{number}"), "paths": [format!("/bench/{number}")]}],
        })
    }));
    let path = folder.join(format!("routes-{routes}.json"));
    fs::write(
        &path,
        serde_json::json!({"_format_version": "3.0", "services": services}).to_string(),
    )?;
    Ok(path)
}

fn accepts(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

fn is_ready(status: u16) -> bool {
    crate::bench::clients::get(status, "/status/ready")
        .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn make_certificate(folder: &Path) -> anyhow::Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req",
            "-x509",
            "-nodes",
            "-newkey",
            "rsa:2048",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-keyout",
        ])
        .arg(&key)
        .arg("-out")
        .arg(&certificate);
    crate::steps::output(&mut openssl)?;
    Ok((certificate, key))
}
