//! The algorithms against their definitions, and against points that Kong's own ring gave.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;

fn address(host: &str, port: u16, weight: u32) -> Address {
    Address {
        target: host.into(),
        target_port: port,
        host: host.into(),
        record: host.into(),
        port,
        weight,
    }
}

fn shape(algorithm: Algorithm, slots: u32, targets: usize) -> Shape {
    Shape {
        algorithm,
        slots,
        targets,
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
        shape(algorithm, 10_000, weights.len()),
        addresses(weights),
        Instant::now(),
        &mut random,
    )
}

#[derive(Default)]
struct Limits {
    tried: HashSet<usize>,
    full: HashSet<usize>,
    spared: HashSet<usize>,
}

impl Eligible for Limits {
    fn is_tried(&self, address: usize) -> bool {
        self.tried.contains(&address)
    }

    fn has_room(&self, address: usize) -> bool {
        !self.full.contains(&address)
    }

    fn is_spared(&self, address: usize) -> bool {
        self.spared.contains(&address)
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
        record: host.into(),
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
            shape(algorithm, slots, 3),
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

/// What Kong's own ring code picked, run on the same targets.
#[test]
fn shares_the_ring_as_kong_does_where_doubles_round_down() {
    let mut balancer = over(Algorithm::ConsistentHashing, &[100; 50]);
    let mut random = SeededRandom::new(1);
    let targets = balancer.addresses()[1..].to_vec();
    let shape = shape(Algorithm::ConsistentHashing, 10_000, 49);
    balancer = balancer.with_addresses(shape, targets, Instant::now(), &mut random);
    let picks: Vec<String> = (1..=3000)
        .filter_map(|key| balancer.pick(format!("key-{key}").as_bytes(), &All))
        .map(|index| (index + 1).to_string())
        .collect();
    assert_eq!(
        picks[..20].join(" "),
        "30 5 17 27 24 10 38 1 42 34 11 10 12 15 7 16 8 43 11 33"
    );
    assert_eq!(xxhash32(picks.join(" ").as_bytes()), 3_062_203_087);
}

/// As above, with names in SRV records, several addresses a target, and a target that does not resolve.
#[test]
fn knows_addresses_by_what_their_records_say() {
    let one = |target: &str, target_port, record: &str, port, weight| Address {
        target: target.into(),
        target_port,
        host: "10.1.1.1".into(),
        record: record.into(),
        port,
        weight,
    };
    let addresses = vec![
        one("b.test", 80, "10.0.0.9", 80, 20),
        one("srv.test", 80, "one.test", 8001, 10),
        one("srv.test", 80, "two.test", 8002, 1),
        one("srv.test", 80, "10.9.9.9", 80, 30),
        one("b.test", 443, "[2001:db8::1]", 443, 7),
        one("b.test", 443, "10.0.0.10", 443, 7),
        one("b.test", 443, "10.0.0.9", 443, 7),
    ];
    let mut random = SeededRandom::new(1);
    let shape = shape(Algorithm::ConsistentHashing, 10_000, 4);
    let mut balancer = Balancer::new(shape, addresses, Instant::now(), &mut random);
    let picks = (1..=40).filter_map(|key| {
        let picked = balancer.pick(format!("key-{key}").as_bytes(), &All)?;
        Some(format!(
            "{}:{}",
            balancer.addresses()[picked].record,
            balancer.addresses()[picked].port
        ))
    });
    assert_eq!(
        picks.collect::<Vec<_>>().join(" "),
        "10.9.9.9:80 10.9.9.9:80 10.0.0.9:80 10.9.9.9:80 10.0.0.9:80 one.test:8001 [2001:db8::1]:443 10.0.0.9:80 [2001:db8::1]:443 10.9.9.9:80 one.test:8001 10.9.9.9:80 10.0.0.9:80 10.0.0.9:80 10.0.0.10:443 10.0.0.10:443 10.9.9.9:80 10.9.9.9:80 one.test:8001 one.test:8001 10.0.0.9:80 10.0.0.9:80 10.0.0.9:80 10.9.9.9:80 10.0.0.9:80 10.0.0.9:443 one.test:8001 [2001:db8::1]:443 one.test:8001 10.0.0.10:443 10.0.0.9:443 10.9.9.9:80 one.test:8001 10.0.0.9:443 [2001:db8::1]:443 10.0.0.9:80 10.0.0.9:80 10.0.0.9:80 10.9.9.9:80 10.0.0.9:80"
    );
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
fn what_is_spared_comes_before_what_was_tried_and_what_is_full_never() {
    for algorithm in ALGORITHMS {
        let mut balancer = over(algorithm, &[10, 10, 10, 10]);
        let mut eligible = Limits {
            tried: HashSet::from([1]),
            full: HashSet::from([0]),
            spared: HashSet::from([2]),
        };
        for expected in [Some(3), Some(2), Some(1), None] {
            for key in 0..20_u32 {
                let picked = balancer.pick(&key.to_le_bytes(), &eligible);
                assert_eq!(picked, expected, "{algorithm:?}");
            }
            eligible.full.extend(expected);
        }
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
    let shape = shape(Algorithm::LeastConnections, 1000, 3);
    let mut new = old.with_addresses(shape, more, now, &mut random);
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
    assert_eq!(balancer.healthy_share(|index| index != 0), Some(40.0));
    let without_weight = over(Algorithm::RoundRobin, &[0]);
    assert_eq!(without_weight.healthy_share(|_| true), None);
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

    /// Whoever has the next turn of those that may have one gets it, however the round is prepared.
    #[test]
    fn round_robin_goes_on_to_the_next_turn_that_is_allowed(
        weights in proptest::collection::vec(0u32..3000, 1..8),
        full in proptest::collection::vec(proptest::collection::hash_set(0usize..8, 0..8), 1..60),
    ) {
        let round = round_of(&weights);
        prop_assume!(!round.is_empty());
        let mut balancer = over(Algorithm::RoundRobin, &weights);
        let picks: Vec<usize> = (0..round.len()).filter_map(|_| balancer.pick(b"", &All)).collect();
        let rotated = |by: usize| round[by..].iter().chain(&round[..by]);
        let mut at = (0..round.len()).find(|by| rotated(*by).eq(&picks)).unwrap();
        for full in full {
            let expected = rotated(at).position(|index| !full.contains(index));
            let picked = balancer.pick(b"", &Limits { full, ..Limits::default() });
            prop_assert_eq!(picked, expected.map(|after| round[(at + after) % round.len()]));
            at = expected.map_or(at, |after| at + after + 1) % round.len();
        }
    }

    /// What is out loses its turns, and the others share them by their weights.
    #[test]
    fn round_robin_starves_nobody_while_others_are_out(
        weights in proptest::collection::vec(1u32..20, 2..10),
        sick in proptest::collection::hash_set(0usize..10, 0..9),
    ) {
        let mut balancer = over(Algorithm::RoundRobin, &weights);
        balancer.set_healthy(|index| !sick.contains(&index));
        let total: u32 = weights.iter().sum();
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..2 * total {
            if let Some(picked) = balancer.pick(b"", &All) {
                counts[picked] += 1;
            }
        }
        for (index, count) in counts.iter().enumerate() {
            prop_assert_eq!(*count > 0, !sick.contains(&index), "{:?} of {:?}", counts, weights);
        }
    }

    #[test]
    fn an_unhealthy_address_is_never_picked(
        weights in proptest::collection::vec(0u32..1000, 1..20),
        sick in proptest::collection::hash_set(0usize..20, 0..20),
        keys in proptest::collection::vec(any::<u32>(), 1..40),
    ) {
        let possible = |index: usize| weights[index] > 0 && !sick.contains(&index);
        let any = (0..weights.len()).any(possible);
        for algorithm in ALGORITHMS {
            let mut balancer = over(algorithm, &weights);
            balancer.set_healthy(|index| !sick.contains(&index));
            for key in &keys {
                let picked = balancer.pick(&key.to_le_bytes(), &All);
                prop_assert_eq!(picked.is_some(), any, "{:?}", algorithm);
                prop_assert!(picked.is_none_or(possible), "{:?}", algorithm);
            }
        }
    }

    /// Whatever falls ill, recovers or is full meanwhile.
    #[test]
    fn least_connections_never_picks_a_fuller_address(
        weights in proptest::collection::vec(0u32..50, 1..10),
        steps in proptest::collection::vec((any::<u16>(), any::<u16>(), any::<bool>()), 1..60),
    ) {
        let mut balancer = over(Algorithm::LeastConnections, &weights);
        let mut open = vec![0u32; weights.len()];
        for (sick, full, is_over) in steps {
            let is_in = |set: u16, index: usize| set >> index & 1 == 1;
            balancer.set_healthy(|index| !is_in(sick, index));
            let full: HashSet<usize> = (0..weights.len()).filter(|index| is_in(full, *index)).collect();
            let load = |index: usize| f64::from(open[index] + 1) / f64::from(weights[index]);
            let possible = |index: &usize| weights[*index] > 0 && !is_in(sick, *index) && !full.contains(index);
            let least = (0..weights.len()).filter(possible).map(load).min_by(f64::total_cmp);
            let picked = balancer.pick(b"", &Limits { full: full.clone(), ..Limits::default() });
            prop_assert_eq!(picked.map(load), least);
            prop_assert!(picked.is_none_or(|index| possible(&index)));
            let Some(picked) = picked else { continue };
            open[picked] += 1;
            if is_over {
                balancer.release(picked, None, Instant::now());
                open[picked] -= 1;
            }
        }
    }

    #[test]
    fn hashing_moves_only_keys_of_the_lost_address(lost in 0usize..8, keys in proptest::collection::vec(any::<u64>(), 1..60)) {
        let mut balancer = over(Algorithm::ConsistentHashing, &[100; 8]);
        for key in keys {
            let key = key.to_string();
            balancer.set_healthy(|_| true);
            let before = balancer.pick(key.as_bytes(), &All).unwrap();
            balancer.set_healthy(|index| index != lost);
            let after = balancer.pick(key.as_bytes(), &All).unwrap();
            prop_assert!(before == after || before == lost);
        }
    }

    /// A target that joins takes keys for itself, about its share of them, and no key moves between the others.
    #[test]
    fn hashing_moves_keys_only_to_the_target_that_joins(count in 1usize..40, at in 0usize..40) {
        let all = addresses(&vec![100; count + 1]);
        let joining = at % (count + 1);
        let mut random = SeededRandom::new(7);
        let ring = |targets: usize| shape(Algorithm::ConsistentHashing, 65_536, targets);
        let mut few = all.clone();
        few.remove(joining);
        let mut before = Balancer::new(ring(count), few, Instant::now(), &mut random);
        let mut after = Balancer::new(ring(count + 1), all, Instant::now(), &mut random);
        let (mut moved, mut astray) = (0, 0);
        const KEYS: u32 = 2000;
        for key in 0..KEYS {
            let key = key.to_string();
            let old = before.pick(key.as_bytes(), &All).unwrap();
            let old = if old >= joining { old + 1 } else { old };
            let new = after.pick(key.as_bytes(), &All).unwrap();
            moved += u32::from(new == joining);
            astray += u32::from(new != old && new != joining);
        }
        // Points that meet in a slot go to whoever comes first, and a target more may move one of them.
        prop_assert!(astray <= KEYS / 25, "{astray} keys move between targets that stay");
        let share = f64::from(KEYS) / (count + 1) as f64;
        prop_assert!(f64::from(moved) <= share * 1.6 + 10.0, "{moved} of {share} keys move");
    }

    /// No target of a weight is left out of the ring, whatever the weights.
    #[test]
    fn hashing_leaves_no_target_without_keys(weights in proptest::collection::vec(1u32..1000, 1..30)) {
        let mut balancer = over(Algorithm::ConsistentHashing, &weights);
        let mut owners = HashSet::new();
        for key in 0..200_000_u32 {
            owners.insert(balancer.pick(&key.to_le_bytes(), &All).unwrap());
            if owners.len() == weights.len() {
                break;
            }
        }
        prop_assert_eq!(owners.len(), weights.len());
    }
}

/// The addresses of all turns of a round, by definition.
fn round_of(weights: &[u32]) -> Vec<usize> {
    let divisor = weights.iter().fold(0, |a, b| gcd(a, *b)).max(1);
    let mut turns = Vec::new();
    for (index, weight) in weights.iter().map(|weight| weight / divisor).enumerate() {
        turns.extend((1..=weight).map(|number| (number, weight, index)));
    }
    turns.sort_by_key(|(.., index)| *index);
    turns.sort_by(|(a, a_of, _), (b, b_of, _)| (a * b_of).cmp(&(b * a_of)));
    turns.into_iter().map(|(.., index)| index).collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
