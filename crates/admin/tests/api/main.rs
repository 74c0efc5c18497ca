//! The Admin and Status APIs as function calls, over a real embedded store in a folder of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails like a test"
)]

mod bodies;
mod cluster;
mod connection;
mod declarative;
mod entities_and_relations;
mod pages;
mod status;

use std::sync::Arc;
use std::time::Duration;

use admin::node::{
    AddressReport, AvailablePlugin, BalancerReport, Health, Memory, MetricsPage, TargetReport,
    Traffic, WeightReport,
};
use admin::{DeclarativeConfig, NodeInfo, Options, State, TargetHealth};
use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use observe::logging::Level;
use serde_json::{Map, Value, json};
use std::sync::{Mutex, OnceLock};
use tower::ServiceExt;
use uuid::Uuid;

/// An Admin API and a Status API on an empty store.
pub struct Api {
    pub admin: Router,
    pub status: Router,
    pub node: Arc<TestNode>,
    pub cluster: Arc<cluster::TestCluster>,
    _folder: tempfile::TempDir,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        if self.body.is_empty() {
            Value::Null
        } else {
            self.json()
        }
    }
}

impl Api {
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    pub fn with(options: Options) -> Self {
        Self::build(options, None)
    }

    pub fn without_database(declarative: Arc<dyn DeclarativeConfig>) -> Self {
        Self::build(Options::default(), Some(declarative))
    }

    fn build(options: Options, declarative: Option<Arc<dyn DeclarativeConfig>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let declarations = entities::for_flavor(entities::RouterFlavor::default());
        let catalog = store::Catalog::new(declarations.all());
        let path = folder.path().join("test.sqlite");
        let store = store_sqlite::SqliteStore::open(&path, catalog.clone(), Default::default());
        let clock = Arc::new(stdx::SystemClock);
        let subschemas = Arc::new(CoreSubschemas(declarations));
        let node = Arc::new(TestNode::default());
        let cluster = Arc::new(cluster::TestCluster::default());
        let state = State {
            repository: store::Repository::new(
                Arc::new(store.unwrap()),
                catalog,
                clock.clone(),
                subschemas.clone(),
            ),
            schemas: declarations.all(),
            subschemas,
            node: node.clone(),
            health: node.clone(),
            cluster: cluster.clone(),
            plugins: Arc::new(admin::NoPluginEndpoints),
            declarative,
            clock,
            options: Arc::new(options),
        };
        Self {
            admin: admin::router(state.clone()),
            status: admin::status::router(state),
            node,
            cluster,
            _folder: folder,
        }
    }

    /// A request to the Admin API; a body is JSON.
    pub async fn call(&self, line: &str, body: Option<Value>) -> Answer {
        let mut request = request(line);
        if let Some(body) = body {
            request = request.header("content-type", "application/json");
            return send(
                &self.admin,
                request.body(Body::from(body.to_string())).unwrap(),
            )
            .await;
        }
        send(&self.admin, request.body(Body::empty()).unwrap()).await
    }

    /// A request with a body of any type.
    pub async fn post(&self, path: &str, media_type: &str, body: impl Into<Body>) -> Answer {
        let request = request(&format!("POST {path}")).header("content-type", media_type);
        send(&self.admin, request.body(body.into()).unwrap()).await
    }
}

/// `GET /path` as the start of a request.
pub fn request(line: &str) -> http::request::Builder {
    let (method, path) = line.split_once(' ').unwrap();
    Request::builder().method(method).uri(path)
}

pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    }
}

struct CoreSubschemas(&'static entities::Catalog);

impl schema::Subschemas for CoreSubschemas {
    fn find(&self, entity: &str, choice: &str) -> Option<&schema::Subschema> {
        match (entity, choice) {
            ("plugins", "nothing") => Some(plugin_without_settings()),
            _ => self.0.find(entity, choice),
        }
    }

    fn entity(&self, name: &str) -> Option<&schema::Schema> {
        self.0.entity(name)
    }
}

/// The plugin `nothing`.
fn plugin_without_settings() -> &'static schema::Subschema {
    static PLUGIN: OnceLock<schema::Subschema> = OnceLock::new();
    PLUGIN.get_or_init(|| {
        let config = schema::Field::record("No settings.", Vec::new()).required();
        schema::Subschema::new("nothing").field_as("config", config)
    })
}

/// A node that proxies nothing.
#[derive(Default)]
pub struct TestNode {
    level: Mutex<Option<Level>>,
    draining: Mutex<bool>,
    /// What was marked: target, address, healthy.
    pub marks: Mutex<Vec<(String, Option<String>, bool)>>,
}

impl NodeInfo for TestNode {
    fn id(&self) -> Uuid {
        Uuid::from_u128(1)
    }

    fn hostname(&self) -> String {
        "gateway-1".to_owned()
    }

    fn configuration(&self) -> Map<String, Value> {
        json!({ "pg_password": "******" })
            .as_object()
            .cloned()
            .unwrap()
    }

    fn plugins(&self) -> Vec<AvailablePlugin> {
        vec![AvailablePlugin {
            name: "cors".to_owned(),
            version: "3.9.1".to_owned(),
            priority: 2000,
        }]
    }

    fn traffic(&self) -> Traffic {
        Traffic {
            accepted: 3,
            ..Traffic::default()
        }
    }

    fn memory(&self) -> Memory {
        Memory {
            resident: 3 * 1024 * 1024,
            caches: vec![("kong_db_cache".to_owned(), 1024, 1024 * 1024)],
            workers: vec![(7, 1024 * 1024)],
        }
    }

    fn log_level(&self) -> Level {
        self.level.lock().unwrap().unwrap_or(Level::Notice)
    }

    fn set_log_level(&self, level: Level, _timeout: Duration) {
        *self.level.lock().unwrap() = Some(level);
    }

    fn readiness(&self) -> Result<(), String> {
        if *self.draining.lock().unwrap() {
            return Err("draining".to_owned());
        }
        Ok(())
    }

    fn drain(&self) {
        *self.draining.lock().unwrap() = true;
    }

    fn metrics(&self, accept: Option<&str>) -> Option<MetricsPage> {
        let is_open = accept.is_some_and(|accept| accept.contains("openmetrics"));
        Some(MetricsPage {
            media_type: if is_open {
                "application/openmetrics-text"
            } else {
                "text/plain; charset=UTF-8"
            },
            text: "# TYPE kong_node_info gauge\n".to_owned(),
        })
    }

    fn cached(&self, key: &str) -> Option<Value> {
        (key == "known").then(|| json!({ "id": 1 }))
    }

    fn drop_cached(&self, _key: Option<&str>) {}
}

#[async_trait::async_trait]
impl TargetHealth for TestNode {
    async fn targets(&self, _upstream: Uuid) -> Option<Vec<TargetReport>> {
        Some(vec![report()])
    }

    async fn balancer(&self, _upstream: Uuid) -> Option<BalancerReport> {
        Some(BalancerReport {
            health: Health::Unhealthy,
            healthy: false,
            targets: vec![report()],
            weight: WeightReport::default(),
        })
    }

    async fn mark(
        &self,
        _upstream: Uuid,
        target: &str,
        address: Option<&str>,
        healthy: bool,
    ) -> Result<(), String> {
        let mark = (target.to_owned(), address.map(str::to_owned), healthy);
        self.marks.lock().unwrap().push(mark);
        Ok(())
    }
}

fn report() -> TargetReport {
    TargetReport {
        target: "127.0.0.1:81".to_owned(),
        host: "127.0.0.1".to_owned(),
        port: 81,
        dns: "A".to_owned(),
        node_weight: 100,
        weight: WeightReport {
            total: 100,
            available: 0,
            unavailable: 100,
        },
        addresses: vec![AddressReport {
            ip: "127.0.0.1".to_owned(),
            port: 81,
            weight: 100,
            health: Health::Unhealthy,
            reason: None,
        }],
    }
}
