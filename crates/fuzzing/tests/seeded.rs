//! A short run of every fuzz target whose inputs follow from a seed.

use fuzzing::{
    ADMIN_BODY, DECLARATIVE, HTTP1_REQUEST, HTTP1_RESPONSE_BODY, PATH_NORMALISE, PROXY_PROTOCOL,
    ROUTE_MATCH, TARGETS, run_seeded,
};

const SEED: u64 = 0x5eed;

#[test]
fn requests_survive_mutation() {
    run_seeded(&HTTP1_REQUEST, SEED, 20_000);
}

#[test]
fn responses_survive_mutation() {
    run_seeded(&HTTP1_RESPONSE_BODY, SEED, 20_000);
}

#[test]
fn route_matching_survives_mutation() {
    run_seeded(&ROUTE_MATCH, SEED, 10_000);
}

#[test]
fn path_normalisation_survives_mutation() {
    run_seeded(&PATH_NORMALISE, SEED, 20_000);
}

#[test]
fn proxy_protocol_survives_mutation() {
    run_seeded(&PROXY_PROTOCOL, SEED, 20_000);
}

#[test]
fn declarative_documents_survive_mutation() {
    run_seeded(&DECLARATIVE, SEED, 2_000);
}

#[test]
fn admin_bodies_survive_mutation() {
    run_seeded(&ADMIN_BODY, SEED, 2_000);
}

#[test]
fn every_target_has_a_program() {
    let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/fuzz_targets");
    let mut found: Vec<String> = std::fs::read_dir(programs)
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    found.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort();
    assert_eq!(found, names);
}
