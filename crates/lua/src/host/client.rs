//! Questions about who asks, and about where the request goes.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mlua::{Lua, Value};
use plugin_api::{By, Consumer, Credential, Entity, Lookup};

use super::{Answer, Host, Words, maybe, said, text};
use crate::json;

impl Host<'_, '_, '_> {
    pub(super) fn client(&self, lua: &Lua, what: &str) -> Answer {
        let exchange = &*self.scene.exchange;
        let connection = &exchange.connection;
        match what {
            "ip" => ip(lua, connection.peer),
            "forwarded_ip" => ip(lua, connection.client),
            "port" => port(connection.peer),
            "forwarded_port" => port(connection.client),
            "protocol" => text(lua, self.scheme()),
            "forwarded_protocol" => text(lua, connection.forwarded_proto),
            "consumer" => match &exchange.work.consumer {
                Some(consumer) => {
                    let table = json::record_to_lua(lua, self.marks, &consumer.record)?;
                    Ok(vec![Value::Table(table)])
                }
                None => Ok(vec![Value::Nil]),
            },
            "credential" => match exchange.work.credential.as_deref() {
                Some(credential) => self.credential(lua, credential),
                None => Ok(vec![Value::Nil]),
            },
            other => Err(said(format!("kong.client: {other} is not available"))),
        }
    }

    /// The name that the client asked for in its TLS handshake.
    pub(super) fn server_name(&self, lua: &Lua) -> Answer {
        let tls = self.scene.exchange.connection.tls;
        maybe(lua, tls.and_then(|tls| tls.server_name))
    }

    /// The certificates that the client showed, in PEM.
    pub(super) fn client_chain(&self, lua: &Lua) -> Answer {
        let tls = self.scene.exchange.connection.tls;
        let shown = tls.map_or(&[][..], |tls| tls.client_certificates);
        let chain: String = shown.iter().map(|one| certificate_pem(one)).collect();
        maybe(lua, (!chain.is_empty()).then_some(chain))
    }

    fn credential(&self, lua: &Lua, credential: &Credential) -> Answer {
        let table = match &credential.record {
            Some(record) => json::record_to_lua(lua, self.marks, record)?,
            None => {
                let table = lua.create_table()?;
                table.raw_set("id", &*credential.id)?;
                table
            }
        };
        Ok(vec![Value::Table(table)])
    }

    pub(super) fn authenticate(&mut self, words: &mut Words) -> Answer {
        self.before_upstream()?;
        let mut record = |what: &str| match json::from_lua(self.marks, &words.value()) {
            Ok(serde_json::Value::Object(record)) => Ok(Some(Arc::new(record))),
            Ok(serde_json::Value::Null) => Ok(None),
            _ => Err(said(format!("{what} must be a table or nil"))),
        };
        let consumer = record("consumer")?;
        let credential = record("credential")?;
        let consumer = match consumer {
            Some(record) => {
                let consumer = Consumer::read(record);
                Some(consumer.ok_or_else(|| said("a consumer needs an id that is a UUID"))?)
            }
            None => None,
        };
        let work = &mut self.scene.exchange.work;
        work.consumer = consumer.map(Arc::new);
        work.credential = credential.map(|record| {
            let id = record.get("id").and_then(|id| id.as_str());
            Arc::new(Credential {
                id: id.unwrap_or_default().into(),
                identifier: None,
                record: Some(record.clone()),
            })
        });
        Ok(Vec::new())
    }

    /// The record of the route or the service.
    pub(super) fn matched(&self, lua: &Lua, what: &str) -> Answer {
        let matched = &self.scene.exchange.matched;
        let (entity, of) = match what {
            "route" => ("routes", matched.route),
            _ => ("services", matched.service),
        };
        match of {
            Some(of) => self.record(lua, entity, of),
            None => Ok(vec![Value::Nil]),
        }
    }

    /// The whole record if it is at hand. If not, it is fetched for later runs, and this one gets the names.
    fn record(&self, lua: &Lua, entity: &'static str, of: Entity<'_>) -> Answer {
        let services = self.scene.services;
        match services.records.find(entity, By::Id(of.id)) {
            Lookup::Known(Some(record)) => {
                let table = json::record_to_lua(lua, self.marks, &record)?;
                return Ok(vec![Value::Table(table)]);
            }
            Lookup::Known(None) => {}
            Lookup::Fetch(fetch) => services.background.spawn(Box::pin(async move {
                // What went wrong here goes wrong for whoever waits for the record as well.
                let _ = fetch.await;
            })),
        }
        let table = lua.create_table()?;
        table.raw_set("id", of.id.to_string())?;
        table.raw_set("name", of.name)?;
        Ok(vec![Value::Table(table)])
    }
}

/// The address of somebody, without the port.
pub(super) fn ip(lua: &Lua, address: Option<SocketAddr>) -> Answer {
    maybe(lua, address.map(|address| address.ip().to_string()))
}

/// The port of somebody.
pub(super) fn port(address: Option<SocketAddr>) -> Answer {
    Ok(vec![match address {
        Some(address) => Value::Number(f64::from(address.port())),
        None => Value::Nil,
    }])
}

fn certificate_pem(der: &[u8]) -> String {
    const LINE: usize = 64;
    let text = STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = &*text;
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(LINE));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem + "-----END CERTIFICATE-----\n"
}
