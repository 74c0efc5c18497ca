//! Sends each entry as a datagram in the form of RFC 5424.

use std::fmt::Write as _;
use std::sync::Arc;

use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Services, Summary};
use serde::Deserialize;
use stdx::Moment;

use crate::entries::{Entries, NEEDS};
use crate::queue::Queue;
use crate::severity::Severities;
use crate::udp_log::Datagrams;

/// The facility `user`.
const FACILITY: u8 = 1;
/// The number that stands for Loggly in structured data.
const ENTERPRISE: &str = "41058";

#[derive(Deserialize)]
struct Config {
    host: String,
    port: u16,
    key: String,
    tags: Option<Vec<String>>,
    timeout: f64,
}

struct Loggly {
    /// Host, program and structured data.
    head: String,
    services: Services,
    severities: Severities,
    entries: Entries,
    queue: Arc<Queue>,
}

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let hostname = &services.node.hostname;
    let mut head = format!(" {hostname} kong - - [{}@{ENTERPRISE} ", config.key);
    for (at, tag) in config.tags.iter().flatten().enumerate() {
        let space = if at == 0 { "" } else { " " };
        // Writing to a String cannot fail.
        let _ = write!(head, "{space}tag=\"{}\"", escaped(tag));
    }
    head.push_str("] ");
    Ok(Arc::new(Loggly {
        head,
        services: services.clone(),
        severities: Severities::read(record)?,
        entries: Entries::of("loggly", record, services)?,
        queue: Datagrams::queue(
            services,
            "loggly",
            &config.host,
            config.port,
            config.timeout,
        ),
    }))
}

impl Handler for Loggly {
    fn needs(&self) -> Needs {
        NEEDS
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        if let Some(severity) = self.severities.of(summary.status) {
            let priority = FACILITY * 8 + severity.number();
            let time = Moment::from(self.services.clock.now());
            let prefix = format!("<{priority}>1 {time}{}", self.head);
            self.entries
                .send(exchange, summary, prefix.as_bytes(), &self.queue);
        }
    }
}

/// A parameter of structured data. What would end it stands behind a backslash.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for character in value.chars() {
        if matches!(character, '"' | '\\' | ']') {
            text.push('\\');
        }
        text.push(character);
    }
    text
}
