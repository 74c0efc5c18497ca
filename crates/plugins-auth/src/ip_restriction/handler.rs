//! Compares the client's address with lists of addresses and networks.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use plugin_api::{Configured, Exchange, Failure, Handler, Needs, Phase, Reply, Services, Step};
use serde::Deserialize;

#[derive(Deserialize)]
struct Config {
    allow: Option<Vec<String>>,
    deny: Option<Vec<String>>,
    status: Option<u16>,
    message: Option<String>,
}

struct IpRestriction {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    status: u16,
    message: Option<String>,
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    Ok(Arc::new(IpRestriction {
        allow: read_networks(config.allow)?,
        deny: read_networks(config.deny)?,
        status: config.status.unwrap_or(403),
        message: config.message,
    }))
}

fn read_networks(texts: Option<Vec<String>>) -> Result<Vec<IpNet>, Failure> {
    let network = |text: &String| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address
            .or_else(|_| text.parse::<IpNet>())
            .map_err(|_| Failure::new(format!("{text:?} is no address and no network")))
    };
    texts.iter().flatten().map(network).collect()
}

impl Handler for IpRestriction {
    fn needs(&self) -> Needs {
        Needs::phases(&[Phase::Access])
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let Some(client) = exchange.client_ip() else {
            let message =
                "Cannot identify the client IP address, unix domain sockets are not supported.";
            return Step::answer(Reply::error(403, message));
        };
        // An IPv4 client of a listener for both is an IPv4 client.
        let client = client.to_canonical();
        let is_in = |list: &[IpNet]| list.iter().any(|network| network.contains(&client));
        let refused = is_in(&self.deny) || (!self.allow.is_empty() && !is_in(&self.allow));
        if !refused {
            return Step::next();
        }
        let message = match &self.message {
            Some(message) => message.clone(),
            None => format!("IP address not allowed: {client}"),
        };
        Step::answer(Reply::error(self.status, message))
    }
}
