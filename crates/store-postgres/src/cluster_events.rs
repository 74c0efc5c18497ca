//! Kong's table `cluster_events`: what a commit tells Kong's nodes, which keep records until they are told, and a look
//! at what they write there themselves.
//!
//! A node of Kong asks every few seconds for events between the last time it asked and now, so an event that becomes
//! visible after its own moment is lost. Kong's nodes lose some that way; the events written here are dated a little
//! ahead, and are visible by then.
//!
//! Compat: channels and texts are Kong 3.9's (pinned by `kong_is_told_what_it_tells_itself`).

use std::collections::BTreeSet;

use async_trait::async_trait;
use deadpool_postgres::{ClientWrapper, Transaction};
use schema::{Record, Schema};
use tokio_postgres::Statement;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::cell::Micros;
use crate::failure::Failure;
use crate::pool::Query;
use crate::table::cache_key;

/// Whom the events are from: every node of this program says the same, so that they are told from those of Kong.
pub(crate) const SENDER: Uuid = Uuid::from_u128(0x8f1c_2d5e_90b7_4a3c_b6d1_5e0a_7c42_9f38);

/// The channel of the cache with the entities of Kong's core.
const CORE: &str = "invalidations_kong_core_db_cache";

/// The channel of the cache with everything else.
const OTHERS: &str = "invalidations";

/// The entities whose records are in the cache of the core.
const OF_CORE: [&str; 11] = [
    "ca_certificates",
    "certificates",
    "key_sets",
    "keys",
    "plugins",
    "routes",
    "services",
    "snis",
    "targets",
    "upstreams",
    "vaults",
];

/// One hour is what Kong gives its events; the 200 milliseconds are many times what a commit takes.
const INSERT: &str = "
    INSERT INTO cluster_events (id, node_id, at, nbf, expire_at, channel, data)
    SELECT event.id, $1, moment.at, NULL, moment.at + interval '1 hour', event.channel, event.data
    FROM unnest($2::uuid[], $3::text[], $4::text[]) AS event (id, channel, data),
        (SELECT date_trunc('milliseconds', clock_timestamp()) + interval '200 milliseconds') AS moment (at)";

/// The stores of certificates that Kong keeps for services with a certain authority among theirs.
const STORES: &str = "
    SELECT DISTINCT 'ca_stores:' || md5(array_to_string(
        ARRAY(SELECT id::text COLLATE \"C\" FROM unnest(ca_certificates) AS each (id) ORDER BY 1), ':'))
    FROM services WHERE $1 = ANY (ca_certificates)";

/// What Kong's nodes are to be told, each thing once.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    told: BTreeSet<(&'static str, String)>,
    /// Authorities that were changed.
    authorities: Vec<Uuid>,
}

/// A record before and after a change; one of them at least is there.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) before: Option<&'a Record>,
    pub(crate) after: Option<&'a Record>,
}

impl Change<'_> {
    /// Kong's word for it.
    fn operation(&self) -> &'static str {
        match (self.before, self.after) {
            (None, _) => "create",
            (Some(_), Some(_)) => "update",
            (Some(_), None) => "delete",
        }
    }

    fn is_update(&self) -> bool {
        self.before.is_some() && self.after.is_some()
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.before.into_iter().chain(self.after)
    }
}

impl Messages {
    /// Adds what Kong tells its nodes when it changes such a record itself.
    pub(crate) fn add(&mut self, schema: &Schema, workspace: Option<Uuid>, change: Change<'_>) {
        let channel = match OF_CORE.contains(&schema.name) {
            true => CORE,
            false => OTHERS,
        };
        for record in change.records() {
            self.tell(channel, cache_key(schema, record, workspace));
        }
        let of_workspace = workspace.map(|id| id.to_string()).unwrap_or_default();
        let operation = change.operation();
        let latest = change.after.or(change.before);
        let field = |name: &str| latest.and_then(|record| text(record, name));
        match schema.name {
            "routes" => self.tell(CORE, "router:version"),
            // A service without routes is no part of the router.
            "services" if change.is_update() => self.tell(CORE, "router:version"),
            "plugins" => self.tell(CORE, "plugins_iterator:version"),
            "filter_chains" => self.tell(CORE, "filter_chains:version"),
            "snis" => {
                for name in change.records().filter_map(|record| text(record, "name")) {
                    for name in server_names(name) {
                        self.tell(CORE, format!("snis:{name}"));
                    }
                }
            }
            "consumers" => {
                for record in change.records() {
                    let name = text(record, "username").filter(|name| !name.is_empty());
                    if let Some(name) = name {
                        self.tell(OTHERS, format!("consumers:{name}:::::{of_workspace}"));
                    }
                }
            }
            // The groups of a consumer are kept together.
            "acls" => {
                for record in change.records() {
                    if let Some(consumer) = text(record, "consumer") {
                        self.tell(OTHERS, format!("acls:{consumer}:::::{of_workspace}"));
                    }
                }
            }
            "targets" => {
                let upstream = field("upstream").unwrap_or_default();
                self.tell("balancer:targets", format!("{operation}:{upstream}"));
            }
            "upstreams" => {
                let id = field("id").unwrap_or_default();
                let name = field("name").unwrap_or_default();
                let text = format!("{operation}:{of_workspace}:{id}:{name}");
                self.tell("balancer:upstreams", text);
            }
            "ca_certificates" if change.is_update() => {
                let id = field("id").and_then(|id| Uuid::parse_str(id).ok());
                self.authorities.extend(id);
            }
            _ => {}
        }
    }

    fn tell(&mut self, channel: &'static str, text: impl Into<String>) {
        self.told.insert((channel, text.into()));
    }

    /// Finds out what only the database knows, and gets ready to be written.
    pub(crate) async fn seal(
        mut self,
        transaction: &Transaction<'_>,
    ) -> Result<Sealed, tokio_postgres::Error> {
        if !self.authorities.is_empty() {
            let stores = transaction.prepare_cached(STORES).await?;
            for id in std::mem::take(&mut self.authorities) {
                for row in transaction.query(&stores, &[&id]).await? {
                    let text: String = row.try_get(0)?;
                    self.tell(CORE, text);
                }
            }
        }
        let (channels, texts) = self.told.into_iter().unzip();
        Ok(Sealed {
            insert: transaction.prepare_cached(INSERT).await?,
            channels,
            texts,
        })
    }
}

/// Messages that are ready to be written.
pub(crate) struct Sealed {
    insert: Statement,
    channels: Vec<&'static str>,
    texts: Vec<String>,
}

impl Sealed {
    /// Writes them; the commit has to follow at once.
    pub(crate) async fn write(
        &self,
        transaction: &Transaction<'_>,
    ) -> Result<(), tokio_postgres::Error> {
        if self.texts.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> = self.texts.iter().map(|_| Uuid::new_v4()).collect();
        let values: [&(dyn ToSql + Sync); 4] = [&SENDER, &ids, &self.channels, &self.texts];
        transaction.execute(&self.insert, &values).await?;
        Ok(())
    }
}

/// How late an event may become visible after its moment.
pub(crate) const LATE: i64 = 10_000_000;

/// A look at what Kong wrote.
pub(crate) struct ByKong {
    /// Where the look before got to; `None` for the first one, which sees nothing.
    pub(crate) after: Option<Micros>,
}

/// What there is to see.
pub(crate) struct Seen {
    /// Whether Kong wrote anything.
    pub(crate) news: bool,
    /// From where to look the next time.
    pub(crate) until: Micros,
}

#[async_trait]
impl Query for ByKong {
    type Output = Seen;

    async fn run(&self, client: &ClientWrapper) -> Result<Seen, Failure> {
        // Perf: the events of this program are passed over one by one, so only those of a short time are looked at.
        let sql = "SELECT clock_timestamp(), \
                   (SELECT max(at) FROM cluster_events WHERE at > $1 AND node_id <> $2)";
        let statement = client.prepare_cached(sql).await?;
        let row = client
            .query_one(&statement, &[&self.after, &SENDER])
            .await?;
        let (now, newest): (Micros, Option<Micros>) = (row.try_get(0)?, row.try_get(1)?);
        let not_before = Micros(now.0.saturating_sub(LATE));
        Ok(Seen {
            news: newest.is_some(),
            until: newest.or(self.after).unwrap_or(now).max(not_before),
        })
    }
}

/// A text field, or the id that a foreign field holds.
fn text<'r>(record: &'r Record, field: &str) -> Option<&'r str> {
    let value = record.get(field)?;
    value.get("id").unwrap_or(value).as_str()
}

/// The names under which Kong looks for a server name: itself, and with a star for its first or its last label.
fn server_names(name: &str) -> Vec<String> {
    let mut names = vec![name.to_owned()];
    if name.contains('*') {
        return names;
    }
    if let Some((_, rest)) = name.split_once('.').filter(|(_, rest)| rest.contains('.')) {
        names.push(format!("*.{rest}"));
    }
    if let Some((rest, _)) = name.rsplit_once('.') {
        names.push(format!("{rest}.*"));
    }
    names
}
