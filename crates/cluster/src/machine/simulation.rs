//! A cluster in virtual time: a database, writers, nodes that run the [`Machine`], and everything that goes wrong.
//!
//! One seed makes one schedule: which writes happen when, which words are late, lost or out of order, when calls fail,
//! nodes crash, the database stops, loses its log, is tampered with, emptied or restored. At the end the faults stop,
//! and every node has to serve what the database has.
//!
//! A failing seed is printed; `SIMULATION_SEED=n cargo test -p cluster simulation` runs it alone and prints its
//! steps (with `-- --nocapture`), and `SIMULATIONS=n` runs that many seeds.

mod answers;
mod database;
mod node;
mod world;

use world::{Flaw, World};

/// Schedules that an ordinary test run tries.
const SCHEDULES: u64 = 3000;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn every_schedule_converges_and_serves_nothing_wrong() {
    let replayed = from_environment("SIMULATION_SEED");
    let seeds = match replayed {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("SIMULATIONS").unwrap_or(SCHEDULES),
    };
    for seed in seeds {
        let mut world = World::new(seed, None);
        world.is_traced = replayed.is_some();
        if let Err(violation) = world.run() {
            panic!("SIMULATION_SEED={seed}: {violation}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_schedule() {
    for seed in 0..20 {
        let trace = || {
            let mut world = World::new(seed, None);
            world.run().unwrap();
            world.steps()
        };
        assert_eq!(trace(), trace());
    }
}

/// Runs schedules of a protocol with a flaw until one shows it.
fn finds(flaw: Flaw) -> String {
    let mut violations = (0..SCHEDULES).filter_map(|seed| World::new(seed, Some(flaw)).run().err());
    violations
        .next()
        .unwrap_or_else(|| panic!("no schedule shows that {flaw:?} is a flaw"))
}

#[test]
fn finds_a_version_that_ignores_open_transactions() {
    // A change that is missed is seen when something is published, or when the replica is compared.
    assert!(!finds(Flaw::NoHorizon).contains("serves nothing"));
}

#[test]
fn finds_a_version_that_was_read_after_the_changes() {
    assert!(finds(Flaw::LaterVersion).contains("has not what version"));
}

#[test]
fn finds_a_copy_that_is_not_one_state() {
    assert!(finds(Flaw::TornCopy).contains("has not what version"));
}

#[test]
fn finds_a_replica_that_knows_its_version_before_its_records() {
    assert!(finds(Flaw::VersionFirst).contains("has not what version"));
}

#[test]
fn finds_a_node_that_trusts_in_words_alone() {
    assert!(finds(Flaw::NoPoll).contains("in the end"));
}

#[test]
fn finds_a_node_that_does_not_tell_histories_apart() {
    assert!(finds(Flaw::NoHistory).contains("in the end"));
}

#[test]
fn finds_a_node_that_never_compares() {
    assert!(finds(Flaw::NoComparison).contains("in the end"));
}

#[test]
fn finds_a_comparison_of_what_was_touched_meanwhile() {
    assert!(finds(Flaw::CompareTouched).contains("differed without a reason"));
}

#[test]
fn finds_a_node_that_believes_an_emptied_database() {
    assert!(finds(Flaw::Gullible).contains("serves nothing"));
}
