//! How long a pick takes with 1,000 targets: `cargo bench -p balancer`.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "it prints its figures and may fail loudly"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use balancer::{Address, Algorithm, All, Balancer, Shape};
use stdx::SeededRandom;

const TARGETS: u32 = 1000;
const BATCH: u32 = 20_000;
const BATCHES: usize = 50;

/// How the targets are.
#[derive(Debug, Clone, Copy)]
enum Case {
    /// All have the same weight and are healthy.
    EqualWeights,
    /// No two in a row have the same weight.
    Weights,
    /// As before, and all but each third one are unhealthy.
    MostUnhealthy,
}

fn main() {
    for algorithm in [
        Algorithm::RoundRobin,
        Algorithm::ConsistentHashing,
        Algorithm::LeastConnections,
        Algorithm::Latency,
    ] {
        for case in [Case::EqualWeights, Case::Weights, Case::MostUnhealthy] {
            let time = measure(algorithm, case);
            println!("{algorithm:?} {case:?}: {time:?} a pick and its release");
        }
    }
}

fn measure(algorithm: Algorithm, case: Case) -> Duration {
    let weight = |n| match case {
        Case::EqualWeights => 100,
        Case::Weights | Case::MostUnhealthy => 50 + n % 100,
    };
    let addresses = (0..TARGETS).map(|n| Address {
        target: format!("target-{n}").into(),
        target_port: 80,
        host: format!("10.0.{}.{}", n / 250, n % 250).into(),
        record: format!("10.0.{}.{}", n / 250, n % 250).into(),
        port: 80,
        weight: weight(n),
    });
    let now = Instant::now();
    let mut random = SeededRandom::new(1);
    let shape = Shape {
        algorithm,
        slots: 1 << 16,
        targets: TARGETS as usize,
    };
    let mut balancer = Balancer::new(shape, addresses.collect(), now, &mut random);
    if matches!(case, Case::MostUnhealthy) {
        balancer.set_healthy(|index| index % 3 == 0);
    }
    let keys: Vec<String> = (0..BATCH).map(|n| format!("client-{n}")).collect();
    let mut batch = || {
        let start = Instant::now();
        for key in &keys {
            let picked = balancer.pick(black_box(key.as_bytes()), &All).unwrap();
            balancer.release(picked, Some(Duration::from_millis(5)), now);
        }
        start.elapsed()
    };
    (0..BATCHES).map(|_| batch()).min().unwrap() / BATCH
}
