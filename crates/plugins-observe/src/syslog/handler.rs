//! Hands entries to the local system log.

use std::sync::Arc;

use plugin_api::{Configured, Exchange, Failure, Handler, Machine, Needs, Services, Summary};
use serde::Deserialize;

use crate::entries::{Entries, NEEDS};
use crate::queue::{Batch, Collector, Limits, Queue, Sending};
use crate::severity::Severities;

#[derive(Deserialize)]
struct Config {
    facility: Facility,
}

/// The facilities of RFC 3164 that have a name, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Facility {
    Kern = 0,
    User = 1,
    Mail = 2,
    Daemon = 3,
    Auth = 4,
    Syslog = 5,
    Lpr = 6,
    News = 7,
    Uucp = 8,
    Cron = 9,
    Authpriv = 10,
    Ftp = 11,
    Local0 = 16,
    Local1 = 17,
    Local2 = 18,
    Local3 = 19,
    Local4 = 20,
    Local5 = 21,
    Local6 = 22,
    Local7 = 23,
}

struct Syslog {
    facility: Facility,
    severities: Severities,
    entries: Entries,
    queue: Arc<Queue>,
}

/// The log of the machine.
struct SystemLog(Arc<dyn Machine>);

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let limits = Limits::of_datagrams();
    Ok(Arc::new(Syslog {
        facility: config.facility,
        severities: Severities::read(record)?,
        entries: Entries::of("syslog", record, services)?,
        queue: Queue::of(services, "syslog", "", limits, || {
            Box::new(SystemLog(services.machine.clone()))
        }),
    }))
}

impl Handler for Syslog {
    fn needs(&self) -> Needs {
        NEEDS
    }

    /// Compat: entries come from `kong`, whose name collectors filter by.
    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        if let Some(severity) = self.severities.of(summary.status) {
            let priority = (self.facility as u8) * 8 + severity.number();
            let prefix = format!("<{priority}>kong: ");
            self.entries
                .send(exchange, summary, prefix.as_bytes(), &self.queue);
        }
    }
}

impl Collector for SystemLog {
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(async move {
            for entry in batch.entries() {
                let sent = self.0.system_log(entry);
                sent.await
                    .map_err(|error| format!("the system log: {error}"))?;
            }
            Ok(())
        })
    }
}
