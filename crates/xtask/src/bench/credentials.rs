//! A million credentials in PostgreSQL: what they cost a request, a start and the memory, and what an outage leaves of
//! them.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use fleet::http::{request, send_json};
use fleet::{Durability, Node, Postgres, Stop};
use serde_json::json;

use crate::bench::Plan;
use crate::bench::gateway::{GATEWAY_CORE, Upstream};
use crate::bench::load::{self, Outcome};
use crate::bench::process::Process;
use crate::bench::report::{Report, median};
use crate::steps::say;

const DATABASE: &str = "kong";

/// How many credentials there are, each of a consumer of its own.
const CREDENTIALS: u64 = 1_000_000;
/// How many of them are used again and again.
const HOT: u64 = 10_000;
/// How many keys that there are not are tried.
const GUESSES: u64 = 20_000;
/// How long a start may take that copies everything.
const LONGEST_START: Duration = Duration::from_secs(600);

/// Measures on real processes; with `--quick` with a tenth of the credentials.
pub fn measure(
    plan: &Plan,
    upstream: &Upstream,
    folder: &Path,
    report: &mut Report,
) -> anyhow::Result<()> {
    let count = if plan.quick {
        CREDENTIALS / 10
    } else {
        CREDENTIALS
    };
    say(&format!("== {count} credentials"));
    let bench = Bench::prepare(plan, upstream, count)?;
    let node = bench.start("the first start, which copies everything", report)?;
    drop(node);
    let node = bench.start("a start with the copy", report)?;
    bench.hot(plan, &node, folder, report)?;
    bench.cold(&node, folder, report)?;
    bench.guesses(&node, report)?;
    bench.changes(report)?;
    bench.outage(node, report)
}

/// A database full of credentials, and a node's settings.
struct Bench {
    postgres: Postgres,
    node: Node,
    count: u64,
}

impl Bench {
    fn prepare(plan: &Plan, upstream: &Upstream, count: u64) -> anyhow::Result<Self> {
        let postgres = Postgres::start(Durability::Durable)?;
        postgres.create_database(DATABASE)?;
        let node = Node::new(&plan.silverback)?.with(postgres.node_settings(DATABASE));
        for (name, value) in [
            ("PROXY_ACCESS_LOG", "off"),
            ("ADMIN_ACCESS_LOG", "off"),
            ("LOG_LEVEL", "error"),
            ("UPSTREAM_KEEPALIVE_MAX_REQUESTS", "1000000"),
            ("NGINX_HTTP_KEEPALIVE_REQUESTS", "1000000"),
        ] {
            node.set(name, value);
        }
        node.call(&["migrations", "bootstrap"])?;
        node.start()?;
        let write = |method: &str, path: &str, body: serde_json::Value| {
            let answer = send_json(node.admin_address(), method, path, &body.to_string())?;
            match answer.status {
                200..=299 => Ok(()),
                status => bail!("{method} {path}: {status} {}", answer.text()),
            }
        };
        let url = format!("http://127.0.0.1:{}", upstream.port);
        write("PUT", "/services/upstream", json!({ "url": url }))?;
        for name in ["plain", "keyed"] {
            let path = format!("/services/upstream/routes/{name}");
            write("PUT", &path, json!({ "paths": [format!("/{name}")] }))?;
        }
        write(
            "POST",
            "/routes/keyed/plugins",
            json!({ "name": "key-auth" }),
        )?;
        node.stop()?;
        let began = Instant::now();
        for table in [
            "INSERT INTO consumers (id, created_at, updated_at, username, ws_id)
             SELECT gen_random_uuid(), now(), now(), 'consumer-' || number, workspaces.id",
            "INSERT INTO keyauth_credentials (id, created_at, consumer_id, key, ws_id)
             SELECT gen_random_uuid(), now(), consumers.id, 'key-' || number, workspaces.id",
        ] {
            let consumers = match table.contains("consumers.id") {
                true => "JOIN consumers ON consumers.username = 'consumer-' || number",
                false => "",
            };
            let sql = format!(
                "{table} FROM generate_series(1, {count}) AS number CROSS JOIN workspaces {consumers}"
            );
            postgres.query(DATABASE, &sql)?;
        }
        say(&format!(
            "   written after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        Ok(Self {
            postgres,
            node,
            count,
        })
    }

    /// Starts the node on its core and waits until it serves what is in the database.
    fn start(&self, title: &str, report: &mut Report) -> anyhow::Result<Process> {
        let began = Instant::now();
        let command = self.node.command(&["run"]);
        let process = Process::start(GATEWAY_CORE, &command, &self.node.log_path())?;
        let last = format!("key-{}", self.count);
        wait_until("the last credential is known", || {
            self.status(&last).is_ok_and(|status| status == 200)
        })?;
        let resident = mib(process.resident()?);
        report.credentials(
            title,
            &format!(
                "{:.1} s, then {resident} MiB",
                began.elapsed().as_secs_f64()
            ),
        );
        Ok(process)
    }

    /// What a key gets.
    fn status(&self, key: &str) -> anyhow::Result<u16> {
        let node = self.node.proxy_address();
        let answer = request(node, "GET", "/keyed/1k", &[("apikey", key)], b"")?;
        Ok(answer.status)
    }

    /// Keys that are used again and again, beside the same requests through a route that asks for none.
    fn hot(
        &self,
        plan: &Plan,
        node: &Process,
        folder: &Path,
        report: &mut Report,
    ) -> anyhow::Result<()> {
        let hot = HOT.min(self.count);
        let [plain, keyed] = ["plain", "keyed"].map(|route| alike(folder, route, hot));
        let (plain, keyed) = (plain?, keyed?);
        // Every hot key has its turn before anything is measured.
        let all = script(folder, "all", &keys(&counting(hot)))?;
        self.load(&all, Duration::from_secs(5))?;
        let (mut base, mut own, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..plan.rounds {
            let cost = |script: &Path| {
                let before = node.cpu_time()?;
                let outcome = self.load(script, plan.round)?;
                let used = node.cpu_time()?.saturating_sub(before);
                anyhow::Ok(used.as_secs_f64() * 1e6 / outcome.requests.max(1) as f64)
            };
            let (plain, keyed) = (cost(&plain)?, cost(&keyed)?);
            base.push(plain);
            own.push(keyed);
            ratios.push(keyed / plain);
        }
        report.credentials(
            &format!("key-auth with {hot} hot keys, CPU, plain = 1 (goal 1.15)"),
            &format!(
                "{:.2} ({:.1} and {:.1} µs)",
                median(&ratios),
                median(&own),
                median(&base)
            ),
        );
        Ok(())
    }

    /// Keys that nobody used before.
    fn cold(&self, node: &Process, folder: &Path, report: &mut Report) -> anyhow::Result<()> {
        let cold = script(folder, "cold", &keys(&counting(self.count)))?;
        let outcome = self.load(&cold, Duration::from_secs(10))?;
        report.credentials(
            "every request with a key of its own, for 10 s",
            &format!(
                "{} requests/s, p99 {:.1} ms, then {} MiB",
                outcome.requests / 10,
                outcome.p99.as_secs_f64() * 1e3,
                mib(node.resident()?)
            ),
        );
        Ok(())
    }

    /// Keys that there are not.
    fn guesses(&self, node: &Process, report: &mut Report) -> anyhow::Result<()> {
        let began = Instant::now();
        for number in 0..GUESSES {
            let status = self.status(&format!("guess-{number}-{}", "x".repeat(1000)))?;
            if status != 401 {
                bail!("a guessed key got {status}");
            }
        }
        let rate = GUESSES as f64 / began.elapsed().as_secs_f64();
        let resident = mib(node.resident()?);
        let value = format!(
            "{GUESSES} refused, {rate:.0} a second over new connections, then {resident} MiB"
        );
        report.credentials("guessed keys of 1 KiB", &value);
        Ok(())
    }

    /// Credentials that come and go in the database.
    fn changes(&self, report: &mut Report) -> anyhow::Result<()> {
        let moved = "UPDATE keyauth_credentials SET key = 'moved' WHERE key = 'key-1'";
        let mut delays = Vec::new();
        if (self.status("key-1")?, self.status("moved")?) != (200, 401) {
            bail!("the credential is not as it was written");
        }
        for (sql, key, status) in [
            (moved, "key-1", 401),
            (moved, "moved", 200),
            (
                "DELETE FROM keyauth_credentials WHERE key = 'moved'",
                "moved",
                401,
            ),
        ] {
            self.postgres.query(DATABASE, sql)?;
            let began = Instant::now();
            wait_until("a change is served", || {
                self.status(key).is_ok_and(|is| is == status)
            })?;
            delays.push(began.elapsed().as_secs_f64() * 1e3);
        }
        let shown: Vec<String> = delays.iter().map(|delay| format!("{delay:.1}")).collect();
        report.credentials(
            "a key that is hot is changed, and deleted, by hand: seen after",
            &format!("{} ms", shown.join(", ")),
        );
        Ok(())
    }

    /// The database goes, and the node is started anew without it.
    fn outage(&self, node: Process, report: &mut Report) -> anyhow::Result<()> {
        self.postgres.stop(Stop::Fast)?;
        let began = Instant::now();
        wait_until("the outage is noticed", || {
            self.status("nobody's").is_ok_and(|is| is == 503)
        })?;
        let noticed = began.elapsed();
        let tried = |keys: &mut dyn Iterator<Item = u64>| {
            let mut good = 0;
            let mut count = 0;
            for number in keys {
                count += 1;
                good += u64::from(self.status(&format!("key-{number}"))? == 200);
            }
            anyhow::Ok(format!("{good} of {count}"))
        };
        let step = usize::try_from(self.count / 1000)?;
        let known = tried(&mut (2..=self.count).rev().step_by(step))?;
        report.credentials(
            "without the database: a key that there is not is 503 after",
            &format!("{:.1} s; known keys let in: {known}", noticed.as_secs_f64()),
        );
        drop(node);
        let node = self.start("a start without the database", report)?;
        let known = tried(&mut (2..=self.count).rev().step_by(step))?;
        report.credentials("known keys let in after that start", &known);
        if self.status("nobody's")? != 503 {
            bail!("an unknown key is not 503");
        }
        self.postgres.resume()?;
        let began = Instant::now();
        wait_until("the end is noticed", || {
            self.status("nobody's").is_ok_and(|is| is == 401)
        })?;
        report.credentials(
            "the database is back: a key that there is not is 401 after",
            &format!("{:.1} s", began.elapsed().as_secs_f64()),
        );
        drop(node);
        Ok(())
    }

    fn load(&self, script: &Path, time: Duration) -> anyhow::Result<Outcome> {
        let address: SocketAddr = self.node.proxy_address();
        load::scripted(address, script, 32, time)
    }
}

/// A script for wrk that sends each of the first keys to a route in turn; making the requests is no part of the load.
fn alike(folder: &Path, route: &str, keys: u64) -> anyhow::Result<std::path::PathBuf> {
    let text = format!(
        "local requests, at = {{}}, 0\n\
         function init()\n  for number = 1, {keys} do\n    \
         requests[number] = wrk.format('GET', '/{route}/1k', {{ apikey = 'key-' .. number }})\n  end\nend\n\
         function request()\n  at = at % {keys} + 1\n  return requests[at]\nend\n"
    );
    script(folder, route, &text)
}

/// A script for wrk that asks for the keyed route with keys of these numbers.
fn keys(number: &str) -> String {
    format!(
        "local last = 0\n\
         request = function()\n\
         return wrk.format('GET', '/keyed/1k', {{ ['apikey'] = 'key-' .. ({number}) }})\n\
         end\n"
    )
}

/// An expression that counts from 2 on and begins again: key 1 is kept for changes.
fn counting(count: u64) -> String {
    format!("(function() last = last % {count} + 1; return math.max(last, 2) end)()")
}

fn script(folder: &Path, name: &str, text: &str) -> anyhow::Result<std::path::PathBuf> {
    let path = folder.join(format!("{name}.lua"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn mib(bytes: u64) -> u64 {
    bytes / 1024 / 1024
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> anyhow::Result<()> {
    let began = Instant::now();
    while !holds() {
        if began.elapsed() > LONGEST_START {
            bail!("never: {what}");
        }
        std::thread::park_timeout(Duration::from_millis(1));
    }
    Ok(())
}
