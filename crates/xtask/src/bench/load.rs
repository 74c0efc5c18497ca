//! Load: wrk for HTTP/1.1, h2load for HTTP/2.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::bench::gateway::LOAD_CORE;
use crate::steps::output;

/// What is asked of a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    Get {
        path: &'static str,
    },
    /// 16 KiB of body.
    Post,
    Tls,
    H2,
}

/// What a round of load came to.
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub requests: u64,
    pub p99: Duration,
    pub max: Duration,
}

/// Asks as fast as the answers come, over `connections` connections, for a while.
pub fn run(
    load: Load,
    http: u16,
    https: u16,
    connections: usize,
    time: Duration,
    folder: &Path,
) -> anyhow::Result<Outcome> {
    match load {
        Load::Get { path } => wrk(
            &format!("http://127.0.0.1:{http}{path}"),
            connections,
            time,
            None,
        ),
        Load::Tls => wrk(
            &format!("https://127.0.0.1:{https}/1k"),
            connections,
            time,
            None,
        ),
        Load::Post => {
            let script = folder.join("post.lua");
            fs::write(
                &script,
                "wrk.method = 'POST'\nwrk.body = string.rep('x', 16384)\n",
            )?;
            wrk(
                &format!("http://127.0.0.1:{http}/post"),
                connections,
                time,
                Some(&script),
            )
        }
        Load::H2 => h2load(
            &format!("https://127.0.0.1:{https}/1k"),
            connections,
            time,
            folder,
        ),
    }
}

/// The same as a script for wrk says.
pub fn scripted(
    to: SocketAddr,
    script: &Path,
    connections: usize,
    time: Duration,
) -> anyhow::Result<Outcome> {
    wrk(&format!("http://{to}/"), connections, time, Some(script))
}

fn pinned(program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &LOAD_CORE.to_string(), program]);
    command
}

fn wrk(
    url: &str,
    connections: usize,
    time: Duration,
    script: Option<&Path>,
) -> anyhow::Result<Outcome> {
    let mut command = pinned("wrk");
    command.args([
        "-t1",
        "-c",
        &connections.to_string(),
        "-d",
        &format!("{}s", time.as_secs().max(1)),
        "--latency",
    ]);
    if let Some(script) = script {
        command.arg("-s").arg(script);
    }
    parse_wrk(&output(command.arg(url))?)
}

/// Reads what wrk prints; answers that are no answers make the round worthless.
fn parse_wrk(text: &str) -> anyhow::Result<Outcome> {
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        bail!("the gateway did not answer every request:\n{text}");
    }
    let word = |line_start: &str, number: usize| {
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| line.starts_with(line_start));
        line.and_then(|line| line.split_whitespace().nth(number))
            .with_context(|| format!("{line_start} in:\n{text}"))
    };
    let requests = text
        .lines()
        .find(|line| line.contains(" requests in "))
        .and_then(|line| line.split_whitespace().next());
    Ok(Outcome {
        requests: requests.context("requests")?.parse()?,
        p99: parse_time(word("99%", 1)?)?,
        max: parse_time(word("Latency", 3)?)?,
    })
}

fn parse_time(text: &str) -> anyhow::Result<Duration> {
    let unit = text
        .find(|c: char| c.is_ascii_alphabetic())
        .context("a time without a unit")?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        _ => bail!("{text:?} is no time"),
    };
    Ok(Duration::from_secs_f64(number.parse::<f64>()? * seconds))
}

fn h2load(url: &str, connections: usize, time: Duration, folder: &Path) -> anyhow::Result<Outcome> {
    let log = folder.join("h2load.log");
    // It appends.
    let _ = fs::remove_file(&log);
    let mut command = pinned("h2load");
    let seconds = time.as_secs().max(1).to_string();
    command
        .args([
            "-t1",
            "-m8",
            "-c",
            &connections.to_string(),
            "-D",
            &seconds,
            "--log-file",
        ])
        .arg(&log);
    let text = output(command.arg(url))?;
    if !text.contains(" 0 failed, 0 errored") {
        bail!("the gateway did not answer every request:\n{text}");
    }
    let done = text
        .lines()
        .find(|line| line.starts_with("requests:"))
        .context("requests")?;
    let words: Vec<&str> = done.split_whitespace().collect();
    let position = words
        .iter()
        .position(|word| word.starts_with("done"))
        .context("done")?;
    let requests = words
        .get(position.saturating_sub(1))
        .context("requests")?
        .parse()?;
    let mut times: Vec<u64> = fs::read_to_string(&log)?
        .lines()
        .filter_map(|line| line.split('\t').nth(2).and_then(|time| time.parse().ok()))
        .collect();
    times.sort_unstable();
    let p99 = times.get(times.len() * 99 / 100).copied().unwrap_or(0);
    let max = times.last().copied().unwrap_or(0);
    Ok(Outcome {
        requests,
        p99: Duration::from_micros(p99),
        max: Duration::from_micros(max),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_wrk_prints() {
        let text = "Running 1s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n  Thread Stats   Avg      Stdev     Max   +/- Stdev\n    \
                    Latency     1.02ms  310.00us   9.15ms   97.67%\n    Req/Sec    31.34k     1.08k   32.48k    80.00%\n  Latency Distribution\n     \
                    50%    0.99ms\n     99%    1.90ms\n  31190 requests in 1.00s, 36.91MB read\nRequests/sec:  31160.18\n";
        let outcome = parse_wrk(text).unwrap();
        assert_eq!(outcome.requests, 31190);
        assert_eq!(outcome.p99, Duration::from_micros(1900));
        assert_eq!(outcome.max, Duration::from_micros(9150));
        assert!(parse_wrk(&format!("{text}  Non-2xx or 3xx responses: 1\n")).is_err());
    }
}
