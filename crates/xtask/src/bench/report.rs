//! The tables.

use std::fmt::Write;
use std::time::Duration;

use crate::bench::cases::Rounds;

/// What was measured, as Markdown.
pub struct Report {
    cases: String,
    memory: String,
    routes: String,
    balancer: String,
    instructions: String,
    cluster: String,
    credentials: String,
    plugins: String,
    accuracy: String,
}

impl Report {
    /// Nothing measured yet.
    pub fn new() -> Report {
        Report {
            cases: String::new(),
            memory: String::new(),
            routes: String::new(),
            balancer: String::new(),
            instructions: String::new(),
            cluster: String::new(),
            credentials: String::new(),
            plugins: String::new(),
            accuracy: String::new(),
        }
    }

    /// Adds a kind of request: nginx's rounds, then Silverback's.
    pub fn case(&mut self, title: &str, [nginx, ours]: &[Rounds; 2], goal: f64) {
        let ratio = ours.cpu() / nginx.cpu();
        row(
            &mut self.cases,
            &[
                title.to_owned(),
                format!("{:.1}", nginx.cpu()),
                format!("{:.1}", ours.cpu()),
                format!("{ratio:.2}"),
                format!("{goal:.2}"),
                verdict(ratio <= goal),
                format!("{:.2}", nginx.p99()),
                format!("{:.2}", ours.p99()),
                format!("{:.0}", nginx.rate()),
                format!("{:.0}", ours.rate()),
            ],
        );
    }

    /// Adds the user instructions of a GET with an answer of 1 KiB: nginx's, then Silverback's.
    pub fn instructions(&mut self, nginx: u64, ours: u64) {
        let ratio = ours as f64 / nginx as f64;
        self.instructions = format!(
            "User instructions for a GET with a 1 KiB answer: nginx {nginx}, Silverback {ours} ({ratio:.2}).\n\n"
        );
    }

    /// Adds resident memory in bytes; the goal is in MiB.
    pub fn memory(&mut self, title: &str, nginx: Option<u64>, ours: u64, goal: u64) {
        let mib = |bytes: u64| format!("{:.1}", bytes as f64 / 1024.0 / 1024.0);
        let met = ours <= goal * 1024 * 1024;
        row(
            &mut self.memory,
            &[
                title.to_owned(),
                nginx.map_or("–".to_owned(), mib),
                mib(ours),
                goal.to_string(),
                verdict(met),
            ],
        );
    }

    /// Adds the cost of many routes: the rounds with one, then those with many.
    pub fn routes(&mut self, count: usize, [one, many]: &[Rounds; 2]) {
        let ratio = many.cpu() / one.cpu();
        self.fact(
            &format!("CPU time with {count} routes, with one = 1"),
            &format!("{ratio:.2} ({:.1} and {:.1} µs)", many.cpu(), one.cpu()),
            "1.10",
            ratio <= 1.1,
        );
    }

    /// Adds the time from the start of the process until it serves.
    pub fn startup(&mut self, routes: usize, time: Duration) {
        self.fact(
            &format!("Start with {routes} routes"),
            &format!("{:.2} s", time.as_secs_f64()),
            "1 s",
            time <= Duration::from_secs(1),
        );
    }

    /// Adds the longest time that a request took without and with routes being added.
    pub fn changes(&mut self, quiet: Duration, changing: Duration) {
        let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
        self.fact(
            "Longest request while routes are added",
            &format!(
                "{:.1} ms (otherwise {:.1} ms)",
                milliseconds(changing),
                milliseconds(quiet)
            ),
            "10 ms",
            changing <= Duration::from_millis(10),
        );
    }

    fn fact(&mut self, title: &str, value: &str, goal: &str, met: bool) {
        row(
            &mut self.routes,
            &[
                title.to_owned(),
                value.to_owned(),
                goal.to_owned(),
                verdict(met),
            ],
        );
    }

    /// Adds something about a cluster.
    pub fn cluster(&mut self, title: &str, value: &str, goal: &str, met: bool) {
        let cells = [title, value, goal].map(str::to_owned);
        let [title, value, goal] = cells;
        row(&mut self.cluster, &[title, value, goal, verdict(met)]);
    }

    /// Adds something about targets.
    pub fn balancer(&mut self, title: &str, value: &str, goal: &str, met: bool) {
        let [title, value, goal] = [title, value, goal].map(str::to_owned);
        row(&mut self.balancer, &[title, value, goal, verdict(met)]);
    }

    /// Adds what a plugin costs beside the plain route, in microseconds; no goal is one that cannot be missed.
    pub fn plugin(&mut self, title: &str, plain: f64, with: f64, ratio: f64, goal: f64) {
        let (goal, met) = match goal.is_finite() {
            true => (format!("{goal:.2}"), verdict(ratio <= goal)),
            false => ("–".to_owned(), "–".to_owned()),
        };
        let [plain, with] = [plain, with].map(|cost| format!("{cost:.1}"));
        let ratio = format!("{ratio:.2}");
        row(
            &mut self.plugins,
            &[title.to_owned(), plain, with, ratio, goal, met],
        );
    }

    /// Adds something about many credentials.
    pub fn credentials(&mut self, title: &str, value: &str) {
        row(&mut self.credentials, &[title.to_owned(), value.to_owned()]);
    }

    /// Adds how exactly a rate limit held.
    pub fn accuracy(&mut self, policy: &str, nodes: usize, passed: u64, refused: u64, limit: u64) {
        let counts = [passed, refused, passed.saturating_sub(limit)];
        let [passed, refused, over] = counts.map(|count| count.to_string());
        let nodes = nodes.to_string();
        row(
            &mut self.accuracy,
            &[policy.to_owned(), nodes, passed, refused, over],
        );
    }

    /// The tables.
    pub fn markdown(&self) -> String {
        format!(
            "CPU time in microseconds for each request, latency in milliseconds; medians of interleaved rounds.\n\n\
             | request | nginx CPU | Silverback CPU | ratio | goal | met | nginx p99 | Silverback p99 | nginx req/s | Silverback req/s |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n{}\n{}\
             Resident memory in MiB.\n\n\
             | state | nginx | Silverback | goal | met |\n| --- | --- | --- | --- | --- |\n{}\n\
             Many routes.\n\n\
             | what | value | goal | met |\n| --- | --- | --- | --- |\n{}\n\
             Targets.\n\n\
             | what | value | goal | met |\n| --- | --- | --- | --- |\n{}\n\
             A cluster.\n\n\
             | what | value | goal | met |\n| --- | --- | --- | --- |\n{}\n\
             Credentials in PostgreSQL.\n\n\
             | what | value |\n| --- | --- |\n{}\n\
             Rate limits: 1,000 requests a minute, 64 clients at once.\n\n\
             | policy | nodes | passed | refused | too many |\n| --- | --- | --- | --- | --- |\n{}\n\
             Plugins: CPU time for each request in microseconds, beside the plain route of the same node.\n\n\
             | route | plain | with | ratio | goal | met |\n| --- | --- | --- | --- | --- | --- |\n{}",
            self.cases,
            self.instructions,
            self.memory,
            self.routes,
            self.balancer,
            self.cluster,
            self.credentials,
            self.accuracy,
            self.plugins
        )
    }
}

fn verdict(met: bool) -> String {
    if met { "yes" } else { "no" }.to_owned()
}

fn row(table: &mut String, cells: &[String]) {
    // Writing to a string does not fail.
    let _ = writeln!(table, "| {} |", cells.join(" | "));
}

/// The value in the middle; of an even number of values the higher one of the middle.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
