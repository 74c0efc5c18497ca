//! How long building, changing and asking a router takes, with 1 and with 100,000 routes: `cargo bench -p router`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it prints its figures and may fail loudly"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use router::{Change, Flavor, Protocol, Request, Routable, RouteSpec, Router};
use uuid::Uuid;

const ROUTES: usize = 100_000;
const BATCH: usize = 20_000;
const BATCHES: usize = 100;

#[derive(Debug)]
struct Route(RouteSpec);

impl Routable for Route {
    fn spec(&self) -> &RouteSpec {
        &self.0
    }
}

/// What the routes of a router have.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Hosts,
    Paths,
    HostsAndPaths,
    Expressions,
}

impl Shape {
    fn host(self, n: usize) -> Option<String> {
        (!matches!(self, Self::Paths)).then(|| format!("service-{n}.region-{}.example.com", n % 7))
    }

    fn path(self, n: usize) -> Option<String> {
        (!matches!(self, Self::Hosts)).then(|| format!("/team-{}/service-{n}", n % 100))
    }

    fn route(self, n: usize, random: &mut u64) -> Arc<Route> {
        *random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut spec = RouteSpec {
            id: Uuid::from_u64_pair(*random, n as u64),
            protocols: [Protocol::Http, Protocol::Https].into_iter().collect(),
            ..RouteSpec::default()
        };
        if let Self::Expressions = self {
            let (host, path) = (
                self.host(n).unwrap_or_default(),
                self.path(n).unwrap_or_default(),
            );
            let rare = spec.rare.get_or_insert_default();
            rare.expression =
                Some(format!("http.host == \"{host}\" && http.path ^= \"{path}\"").into());
        } else {
            spec.hosts = self
                .host(n)
                .into_iter()
                .map(String::into_boxed_str)
                .collect();
            spec.paths = self
                .path(n)
                .into_iter()
                .map(String::into_boxed_str)
                .collect();
        }
        Arc::new(Route(spec))
    }
}

fn add(route: &Arc<Route>) -> Change<Arc<Route>> {
    Change {
        before: None,
        after: Some(route.clone()),
    }
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm
        .split_ascii_whitespace()
        .nth(1)
        .unwrap()
        .parse::<usize>()
        .unwrap()
        * 4096
}

/// The time of a lookup: the mean of the fastest batch, since others use the machine as well. Targets are visited in
/// an order that caches cannot foresee.
fn lookup(router: &Router<Arc<Route>>, shape: Shape, among: usize) -> Duration {
    let questions: Vec<(String, String)> = (0..BATCH)
        .map(|n| {
            let n = n * 7919 % among;
            let path = shape.path(n).unwrap_or_default() + "/items/42";
            (
                shape.host(n).unwrap_or_else(|| "other.test".to_owned()),
                path,
            )
        })
        .collect();
    let batch = || {
        let start = Instant::now();
        for (host, path) in &questions {
            let request = Request::http(b"GET", Some(host.as_bytes()), path.as_bytes());
            assert!(black_box(router.find(black_box(&request))).is_some());
        }
        start.elapsed()
    };
    let fastest = (0..BATCHES).map(|_| batch()).min().unwrap();
    fastest / u32::try_from(BATCH).unwrap()
}

fn main() {
    let mut random = 1;
    for (shape, flavor) in [
        (Shape::HostsAndPaths, Flavor::TraditionalCompatible),
        (Shape::Hosts, Flavor::TraditionalCompatible),
        (Shape::Paths, Flavor::TraditionalCompatible),
        (Shape::HostsAndPaths, Flavor::Traditional),
        (Shape::Expressions, Flavor::Expressions),
    ] {
        let (one, _) = Router::new(flavor).update([add(&shape.route(0, &mut random))]);
        let with_one = lookup(&one, shape, 1);
        let routes: Vec<_> = (0..ROUTES).map(|n| shape.route(n, &mut random)).collect();
        let before = resident_bytes();
        let start = Instant::now();
        let (all, rejected) = Router::new(flavor).update(routes.iter().map(add));
        let build = start.elapsed();
        assert!(rejected.is_empty());
        let size = resident_bytes().saturating_sub(before) / ROUTES;
        let same = lookup(&all, shape, 1);
        let any = lookup(&all, shape, ROUTES);
        let mut times = Vec::new();
        let mut current = all.clone();
        for n in 0..1000 {
            let start = Instant::now();
            let (next, _) = current.update([add(&shape.route(ROUTES + n, &mut random))]);
            times.push(start.elapsed());
            current = next;
        }
        times.sort_unstable();
        println!(
            "{flavor:?} {shape:?}: lookup {with_one:?} with 1 route; with {ROUTES} {same:?} of the same, {any:?} \
             of any; build {build:?}; \
             one more route {:?}, 99 % within {:?}; {size} bytes a route in the index",
            times[500], times[990]
        );
    }
}
