//! Gives each request an id that the upstream, the log and the client see.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use plugin_api::{
    Configured, Exchange, Failure, Handler, LogEdit, LogMode, Needs, Phase, ResponseHead, Services,
    Step,
};
use serde::Deserialize;
use uuid::Uuid;

#[derive(Deserialize)]
struct Config {
    header_name: String,
    generator: Option<String>,
    echo_downstream: bool,
}

enum Generator {
    Uuid,
    Counter { base: Uuid, count: AtomicU64 },
    Tracker,
}

struct CorrelationId {
    header: String,
    generator: Generator,
    echo: bool,
    services: Services,
}

pub(crate) fn build(
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let generator = match config.generator.as_deref() {
        Some("uuid") => Generator::Uuid,
        Some("tracker") => Generator::Tracker,
        _ => Generator::Counter {
            base: services.random.uuid(),
            count: AtomicU64::new(0),
        },
    };
    Ok(Arc::new(CorrelationId {
        header: config.header_name,
        generator,
        echo: config.echo_downstream,
        services: services.clone(),
    }))
}

/// The id of an exchange.
#[derive(Default)]
struct Given(Option<Vec<u8>>);

impl Handler for CorrelationId {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access, Phase::HeaderFilter])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let said = exchange.head.headers.get(self.header.as_str());
        let id = match said.filter(|said| !said.is_empty()) {
            Some(said) => said.to_vec(),
            None => {
                let id = self.generate(exchange).into_bytes();
                if let Err(error) = exchange.head.headers.set(self.header.as_str(), &id) {
                    return Step::Now(Err(error.into()));
                }
                id
            }
        };
        exchange.work.log_edits.push(LogEdit {
            path: "correlation_id".into(),
            value: Some(String::from_utf8_lossy(&id).into()),
            mode: LogMode::Always,
        });
        exchange.state::<Given>().0 = Some(id);
        Step::next()
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        if !self.echo {
            return Ok(());
        }
        let id = match exchange.state::<Given>().0.take() {
            Some(id) => id,
            None => {
                let said = exchange.head.headers.get(self.header.as_str());
                let said = said.filter(|said| !said.is_empty()).map(<[u8]>::to_vec);
                said.unwrap_or_else(|| self.generate(exchange).into_bytes())
            }
        };
        Ok(head.headers.set(self.header.as_str(), id)?)
    }
}

impl CorrelationId {
    fn generate(&self, exchange: &Exchange<'_>) -> String {
        match &self.generator {
            Generator::Uuid => self.services.random.uuid().to_string(),
            Generator::Counter { base, count } => {
                let number = count.fetch_add(1, Ordering::Relaxed) + 1;
                format!("{base}#{number}")
            }
            Generator::Tracker => {
                let connection = &exchange.connection;
                let millis = self.services.clock.unix_millis();
                format!(
                    "{}-{}-{}-{}-{}-{}.{:03}",
                    connection
                        .local
                        .map_or_else(String::new, |local| local.ip().to_string()),
                    connection.port,
                    std::process::id(),
                    connection.number,
                    connection.requests,
                    millis / 1000,
                    millis % 1000,
                )
            }
        }
    }
}
