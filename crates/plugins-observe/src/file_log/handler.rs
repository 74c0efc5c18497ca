//! Appends entries to a file, as lines.

use std::sync::Arc;

use plugin_api::{Configured, Exchange, Failure, Handler, Machine, Needs, Services, Summary};
use serde::Deserialize;

use crate::entries::{Entries, NEEDS};
use crate::queue::{Batch, Collector, Limits, Queue, Sending};

#[derive(Debug, Deserialize)]
struct Config {
    path: String,
    reopen: bool,
}

struct FileLog {
    entries: Entries,
    queue: Arc<Queue>,
}

struct File {
    machine: Arc<dyn Machine>,
    config: Config,
}

pub(super) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let parameters = format!("{config:?}");
    let queue = Queue::of(
        services,
        "file-log",
        &parameters,
        Limits::of_lines(),
        || {
            Box::new(File {
                machine: services.machine.clone(),
                config,
            })
        },
    );
    Ok(Arc::new(FileLog {
        entries: Entries::of("file-log", record, services)?,
        queue,
    }))
}

impl Handler for FileLog {
    fn needs(&self) -> Needs {
        NEEDS
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        self.entries.send(exchange, summary, b"", &self.queue);
    }
}

impl Collector for File {
    fn send<'a>(&'a self, batch: &'a Batch) -> Sending<'a> {
        Box::pin(async move {
            let Config { path, reopen } = &self.config;
            let appended = self.machine.append(path, *reopen, batch.text());
            appended
                .await
                .map_err(|error| format!("{path}: {error}").into())
        })
    }
}
