//! The cluster as the Admin API shows it: who is there, who has which version, and what a database that is away does.

use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use admin::Cluster;
use admin::cluster::{ClusterNode, Database, Listing, Standing};
use async_trait::async_trait;
use axum::body::Body;
use observe::logging::Level;
use serde_json::json;
use store::Version;
use uuid::Uuid;

use crate::{Answer, Api, request, send};

/// A cluster whose second node never follows, as far as somebody asks.
#[derive(Default)]
pub struct TestCluster {
    pub standing: Mutex<Standing>,
    pub laggards: Mutex<Vec<ClusterNode>>,
    /// What was waited for.
    pub waited: Mutex<Vec<(Version, Duration)>>,
    pub accepted: Mutex<bool>,
    /// What the others were told of the error log.
    pub levels: Mutex<Vec<(Level, Duration)>>,
}

#[async_trait]
impl Cluster for TestCluster {
    fn standing(&self) -> Standing {
        self.standing.lock().unwrap().clone()
    }

    async fn nodes(&self) -> Result<Listing, store::Error> {
        Ok(Listing {
            nodes: vec![node(1, "gateway-1", 0), node(2, "gateway-2", 3)],
            stale_since: Some(SystemTime::UNIX_EPOCH),
        })
    }

    async fn wait(
        &self,
        version: Version,
        limit: Duration,
    ) -> Result<Vec<ClusterNode>, store::Error> {
        self.waited.lock().unwrap().push((version, limit));
        Ok(self.laggards.lock().unwrap().clone())
    }

    async fn reach(&self, version: Version, _limit: Duration) -> bool {
        self.standing().applied >= Some(version)
    }

    async fn tell_log_level(&self, level: Level, timeout: Duration) {
        self.levels.lock().unwrap().push((level, timeout));
    }

    fn accept_database(&self) {
        *self.accepted.lock().unwrap() = true;
    }
}

fn node(id: u128, hostname: &str, lag: u64) -> ClusterNode {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    ClusterNode {
        id: Uuid::from_u128(id),
        hostname: hostname.to_owned(),
        addresses: vec!["http://10.0.0.1:8000".to_owned()],
        program: "0.1.0".to_owned(),
        started_at: at(1_700_000_000),
        last_seen: at(1_700_000_100),
        alive: true,
        applied: Version(40 - lag),
        lag,
    }
}

async fn write(api: &Api, path: &str) -> Answer {
    let request = request(&format!("POST {path}"))
        .header("content-type", "application/json")
        .header(admin::CONFIG_VERSION, "");
    send(
        &api.admin,
        request
            .body(Body::from("{\"username\":\"alice\"}"))
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn all_nodes_are_shown_with_what_they_lack() {
    let api = Api::start();
    *api.cluster.standing.lock().unwrap() = Standing {
        applied: Some(Version(40)),
        newest: Some(Version(40)),
        behind_since: None,
        database: Database::Away {
            since: SystemTime::UNIX_EPOCH,
            reason: "no route to host".to_owned(),
        },
        held: None,
    };
    let shown = api.call("GET /cluster", None).await.expect(200);
    assert_eq!(shown["node_id"], json!(Uuid::from_u128(1).to_string()));
    assert_eq!(shown["newest_version"], json!(40));
    assert_eq!(shown["stale_since"], json!("1970-01-01T00:00:00Z"));
    assert_eq!(
        shown["database"],
        json!({
            "reachable": false,
            "stale_since": "1970-01-01T00:00:00Z",
            "reason": "no route to host",
        })
    );
    assert_eq!(
        shown["data"][1],
        json!({
            "id": Uuid::from_u128(2).to_string(),
            "hostname": "gateway-2",
            "addresses": ["http://10.0.0.1:8000"],
            "version": "0.1.0",
            "started_at": "2023-11-14T22:13:20Z",
            "last_seen": "2023-11-14T22:15:00Z",
            "alive": true,
            "applied_version": 37,
            "lag": 3,
            "self": false,
        })
    );
    assert_eq!(shown["data"][0]["self"], json!(true));
}

#[tokio::test]
async fn a_write_waits_for_the_cluster_and_names_who_did_not_follow() {
    let api = Api::start();
    write(&api, "/consumers?wait=everybody").await.expect(400);
    write(&api, "/consumers?wait=cluster&wait_timeout=x")
        .await
        .expect(400);
    assert!(api.cluster.waited.lock().unwrap().is_empty());

    *api.cluster.laggards.lock().unwrap() = vec![node(2, "gateway-2", 1)];
    let answer = write(&api, "/consumers?wait=cluster&wait_timeout=1.5").await;
    let laggards = format!("gateway-2/{}", Uuid::from_u128(2));
    assert_eq!(answer.header("x-silverback-laggards"), Some(&*laggards));
    let version: u64 = answer
        .header("x-silverback-config-version")
        .unwrap()
        .parse()
        .unwrap();
    assert_eq!(answer.expect(202)["username"], json!("alice"));
    assert_eq!(
        *api.cluster.waited.lock().unwrap(),
        [(Version(version), Duration::from_millis(1500))]
    );

    api.cluster.laggards.lock().unwrap().clear();
    let answer = api.call("DELETE /consumers/alice?wait=cluster", None).await;
    answer.expect(204);
    assert_eq!(api.cluster.waited.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_read_needs_a_version_that_the_node_has() {
    let api = Api::start();
    api.cluster.standing.lock().unwrap().applied = Some(Version(40));
    let read = |version: &'static str| {
        let request = request("GET /consumers").header(admin::CONFIG_VERSION, version);
        send(&api.admin, request.body(Body::empty()).unwrap())
    };
    let answer = read("39").await;
    assert_eq!(answer.header("x-silverback-config-version"), Some("40"));
    answer.expect(200);
    let answer = read("41").await;
    assert_eq!(answer.header("retry-after"), Some("5"));
    assert!(
        answer.expect(503)["message"]
            .as_str()
            .unwrap()
            .contains("41")
    );
    read("latest").await.expect(400);
}

#[tokio::test]
async fn a_database_that_looks_lost_is_taken_when_somebody_says_so() {
    let api = Api::start();
    api.call("POST /cluster/accept", None).await.expect(204);
    assert!(*api.cluster.accepted.lock().unwrap());
}

#[tokio::test]
async fn the_level_of_the_error_log_is_set_on_all_nodes_if_somebody_asks_for_that() {
    let api = Api::start();
    let changed = json!({ "message": "log level changed" });
    let node = api.call("PUT /debug/node/log-level/debug", None).await;
    assert_eq!(node.expect(200), changed);
    assert!(api.cluster.levels.lock().unwrap().is_empty());
    let path = "PUT /debug/cluster/log-level/warn?timeout=5";
    assert_eq!(api.call(path, None).await.expect(200), changed);
    let told = [(Level::Warn, Duration::from_secs(5))];
    assert_eq!(*api.cluster.levels.lock().unwrap(), told);
    // As Kong does, nobody is told of what is so here already.
    api.call(path, None).await.expect(200);
    assert_eq!(api.cluster.levels.lock().unwrap().len(), 1);
}
