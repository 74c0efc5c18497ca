//! The algorithms against their definitions, and against points that Kong's own ring gave.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn address(host: &str, port: u16, weight: u32) -> Address {
    Address {
        target: host.into(),
        target_port: port,
        host: host.into(),
        port,
        weight,
    }
}

fn addresses(weights: &[u32]) -> Vec<Address> {
    let one =
        |(n, weight): (usize, &u32)| address(&format!("10.0.{}.{}", n / 250, n % 250), 80, *weight);
    weights.iter().enumerate().map(one).collect()
}

fn over(algorithm: Algorithm, weights: &[u32]) -> Balancer {
    let mut random = SeededRandom::new(7);
    Balancer::new(
        algorithm,
        10_000,
        addresses(weights),
        Instant::now(),
        &mut random,
    )
}

#[derive(Default)]
struct Limits {
    unhealthy: HashSet<usize>,
    tried: HashSet<usize>,
}

impl Eligible for Limits {
    fn is_healthy(&self, address: usize) -> bool {
        !self.unhealthy.contains(&address)
    }

    fn is_tried(&self, address: usize) -> bool {
        self.tried.contains(&address)
    }
}

const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::RoundRobin,
    Algorithm::ConsistentHashing,
    Algorithm::LeastConnections,
    Algorithm::Latency,
];

#[test]
fn hashes_like_the_published_function() {
    let cases = [
        ("", 0x02cc_5d05),
        ("a", 0x550d_7456),
        ("abc", 0x32d1_53ff),
        ("127.0.0.1::8000 1", 0xddc6_df53),
        ("abcdefghijklmnopqrstuvwxyz0123456789", 0x42ae_804d),
        ("[::1]::80 160", 0xdd48_b54d),
        ("10.1.2.3::8080 17", 0xae49_bbb9),
        ("0123456789abcdef", 0xc2c4_5b69),
    ];
    for (text, hash) in cases {
        assert_eq!(xxhash32(text.as_bytes()), hash, "{text:?}");
    }
}

#[test]
fn sends_keys_where_kong_sends_them() {
    let of = |target: &str, host: &str, port, weight| Address {
        target: target.into(),
        target_port: port,
        host: host.into(),
        port,
        weight,
    };
    let addresses = vec![
        of("b.test", "10.0.0.2", 80, 100),
        of("b.test", "10.0.0.10", 80, 100),
        of("10.0.0.1", "10.0.0.1", 8000, 50),
        of("[::1]", "[::1]", 90, 10),
    ];
    let expected = [
        (1000, "", "10.0.0.2:80"),
        (1000, "1.2.3.4", "10.0.0.2:80"),
        (1000, "user-1", "10.0.0.10:80"),
        (1000, "user-3", "10.0.0.1:8000"),
        (10_000, "", "10.0.0.2:80"),
        (10_000, "1.2.3.4", "10.0.0.10:80"),
        (10_000, "user-3", "10.0.0.2:80"),
        (10_000, "abc", "[::1]:90"),
        (10_000, "192.168.0.77", "10.0.0.10:80"),
    ];
    for (slots, key, endpoint) in expected {
        let mut random = SeededRandom::new(1);
        let algorithm = Algorithm::ConsistentHashing;
        let mut balancer = Balancer::new(
            algorithm,
            slots,
            addresses.clone(),
            Instant::now(),
            &mut random,
        );
        let picked = balancer
            .pick(key.as_bytes(), &All)
            .map(|index| &addresses[index]);
        let picked = picked.map(|address| format!("{}:{}", address.host, address.port));
        assert_eq!(
            picked.as_deref(),
            Some(endpoint),
            "{key:?} on {slots} slots"
        );
    }
}

#[test]
fn an_address_without_weight_is_never_picked() {
    for algorithm in ALGORITHMS {
        let mut balancer = over(algorithm, &[0, 5, 0]);
        for key in 0..50_u32 {
            assert_eq!(
                balancer.pick(&key.to_le_bytes(), &All),
                Some(1),
                "{algorithm:?}"
            );
        }
        assert_eq!(
            over(algorithm, &[0, 0]).pick(b"", &All),
            None,
            "{algorithm:?}"
        );
        assert_eq!(over(algorithm, &[]).pick(b"", &All), None, "{algorithm:?}");
    }
}

#[test]
fn a_retry_goes_elsewhere_while_there_is_elsewhere() {
    for algorithm in ALGORITHMS {
        let mut balancer = over(algorithm, &[10, 10, 10]);
        let mut eligible = Limits::default();
        for _ in 0..3 {
            let picked = balancer.pick(b"key", &eligible).expect("an address");
            assert!(
                eligible.tried.insert(picked),
                "{algorithm:?} repeats {picked}"
            );
        }
        assert!(
            balancer.pick(b"key", &eligible).is_some(),
            "{algorithm:?} gives up on tried addresses"
        );
    }
}

#[test]
fn least_connections_honours_weights_and_releases() {
    let mut balancer = over(Algorithm::LeastConnections, &[10, 20]);
    let picks: Vec<_> = (0..6).filter_map(|_| balancer.pick(b"", &All)).collect();
    assert_eq!(picks.iter().filter(|index| **index == 1).count(), 4);
    for index in picks {
        balancer.release(index, None, Instant::now());
    }
    assert_eq!(balancer.pick(b"", &All), Some(1));
}

#[test]
fn latency_prefers_the_faster_and_forgets() {
    let start = Instant::now();
    let mut balancer = over(Algorithm::Latency, &[10, 10]);
    let after = |seconds| start + Duration::from_secs(seconds);
    balancer.release(0, Some(Duration::from_millis(500)), after(20));
    balancer.release(1, Some(Duration::from_millis(50)), after(20));
    assert_eq!(balancer.pick(b"", &All), Some(1));
    balancer.release(1, Some(Duration::from_secs(2)), after(60));
    assert_eq!(balancer.pick(b"", &All), Some(0));
}

#[test]
fn counts_and_measurements_survive_a_change_of_addresses() {
    let mut random = SeededRandom::new(1);
    let now = Instant::now();
    let mut old = over(Algorithm::LeastConnections, &[10, 10]);
    assert_eq!(old.pick(b"", &All), Some(0));
    let mut more = addresses(&[10, 10, 10]);
    more.reverse();
    let mut new = old.with_addresses(Algorithm::LeastConnections, 1000, more, now, &mut random);
    let picks: HashSet<_> = (0..2).filter_map(|_| new.pick(b"", &All)).collect();
    assert_eq!(new.index_of(&old.addresses()[0]), Some(2));
    assert_eq!(
        picks,
        HashSet::from([0, 1]),
        "the one in use is the last of three"
    );
}

#[test]
fn health_is_a_share_of_the_weight() {
    let balancer = over(Algorithm::RoundRobin, &[60, 40]);
    let eligible = Limits {
        unhealthy: HashSet::from([0]),
        tried: HashSet::new(),
    };
    assert!(balancer.is_healthy(39.0, &eligible));
    assert!(!balancer.is_healthy(40.0, &eligible));
    assert!(!over(Algorithm::RoundRobin, &[0]).is_healthy(0.0, &All));
}

proptest! {
    #[test]
    fn round_robin_gives_each_its_share_in_every_round(weights in proptest::collection::vec(0u32..40, 1..12)) {
        let divisor = weights.iter().fold(0, |a, b| gcd(a, *b));
        prop_assume!(divisor > 0);
        let turns = weights.iter().sum::<u32>() / divisor;
        let mut balancer = over(Algorithm::RoundRobin, &weights);
        for _ in 0..turns {
            balancer.pick(b"", &All);
        }
        // Any window as long as a round has the same shares, wherever the round began.
        let mut counts: HashMap<usize, u32> = HashMap::new();
        for _ in 0..turns {
            *counts.entry(balancer.pick(b"", &All).unwrap()).or_default() += 1;
        }
        for (index, weight) in weights.iter().enumerate() {
            prop_assert_eq!(counts.get(&index).copied().unwrap_or(0), weight / divisor);
        }
    }

    #[test]
    fn an_unhealthy_address_is_never_picked(
        weights in proptest::collection::vec(0u32..1000, 1..20),
        sick in proptest::collection::hash_set(0usize..20, 0..20),
        keys in proptest::collection::vec(any::<u32>(), 1..40),
    ) {
        let eligible = Limits { unhealthy: sick, tried: HashSet::new() };
        let possible = |index: usize| weights[index] > 0 && eligible.is_healthy(index);
        let any = (0..weights.len()).any(possible);
        for algorithm in ALGORITHMS {
            let mut balancer = over(algorithm, &weights);
            for key in &keys {
                let picked = balancer.pick(&key.to_le_bytes(), &eligible);
                prop_assert_eq!(picked.is_some(), any, "{:?}", algorithm);
                prop_assert!(picked.is_none_or(possible), "{:?}", algorithm);
            }
        }
    }

    #[test]
    fn least_connections_never_picks_a_fuller_address(weights in proptest::collection::vec(1u32..50, 1..10), picks in 1usize..60) {
        let mut balancer = over(Algorithm::LeastConnections, &weights);
        let mut open = vec![0u32; weights.len()];
        for _ in 0..picks {
            let load = |index: usize, open: &[u32]| f64::from(open[index] + 1) / f64::from(weights[index]);
            let least = (0..weights.len()).map(|index| load(index, &open)).fold(f64::MAX, f64::min);
            let picked = balancer.pick(b"", &All).unwrap();
            prop_assert!(load(picked, &open) <= least);
            open[picked] += 1;
        }
    }

    #[test]
    fn hashing_moves_only_keys_of_the_lost_address(lost in 0usize..8, keys in proptest::collection::vec(any::<u64>(), 1..60)) {
        let mut balancer = over(Algorithm::ConsistentHashing, &[100; 8]);
        let eligible = Limits { unhealthy: HashSet::from([lost]), tried: HashSet::new() };
        for key in keys {
            let key = key.to_string();
            let before = balancer.pick(key.as_bytes(), &All).unwrap();
            let after = balancer.pick(key.as_bytes(), &eligible).unwrap();
            prop_assert!(before == after || before == lost);
        }
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
