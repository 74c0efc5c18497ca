//! `/cluster`: the nodes that share the database, and whether they have its newest content.

use axum::response::Response;
use http::StatusCode;
use serde_json::{Map, Value, json};
use stdx::Moment;
use store::Version;

use super::{Call, Error};
use crate::answer;
use crate::cluster::{ClusterNode, Database};

/// All nodes that are known.
pub async fn show(call: Call<'_>) -> Result<Response, Error> {
    let cluster = call.state.cluster.as_ref();
    let own = call.state.node.id();
    let standing = cluster.standing();
    let listing = cluster
        .nodes()
        .await
        .map_err(store::repository::Error::from)?;
    let nodes = listing.nodes.iter();
    let nodes: Vec<Value> = nodes.map(|node| row(node, node.id == own)).collect();
    let mut body = Map::new();
    body.insert("data".to_owned(), nodes.into());
    body.insert("stale_since".to_owned(), time(listing.stale_since));
    body.insert("node_id".to_owned(), own.to_string().into());
    body.insert("newest_version".to_owned(), version(standing.newest));
    body.insert("applied_version".to_owned(), version(standing.applied));
    body.insert("behind_since".to_owned(), time(standing.behind_since));
    body.insert("held".to_owned(), standing.held.into());
    body.insert("database".to_owned(), database(&standing.database));
    Ok(answer::json_body(StatusCode::OK, &Value::Object(body)))
}

/// Takes a database that looks lost for what it is.
pub async fn accept(call: Call<'_>) -> Result<Response, Error> {
    call.state.cluster.accept_database();
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

fn row(node: &ClusterNode, is_own: bool) -> Value {
    json!({
        "id": node.id.to_string(),
        "hostname": node.hostname,
        "addresses": node.addresses,
        "version": node.program,
        "started_at": time(Some(node.started_at)),
        "last_seen": time(Some(node.last_seen)),
        "alive": node.alive,
        "applied_version": node.applied.0,
        "lag": node.lag,
        "self": is_own,
    })
}

fn database(database: &Database) -> Value {
    match database {
        Database::Unknown => json!({ "reachable": null }),
        Database::Reachable => json!({ "reachable": true }),
        Database::Away { since, reason } => json!({
            "reachable": false,
            "stale_since": time(Some(*since)),
            "reason": reason,
        }),
    }
}

fn version(version: Option<Version>) -> Value {
    version.map(|version| version.0).into()
}

fn time(time: Option<std::time::SystemTime>) -> Value {
    time.map(|time| Moment::from(time).to_string()).into()
}
