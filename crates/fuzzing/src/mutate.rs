//! A small mutator whose inputs follow from a seed, so that a failing test fails again.

use stdx::SeededRandom;

use crate::Target;

const LONGEST: usize = 4096;

/// Runs a target over its seeds and over `rounds` mutations of them.
pub fn run_seeded(target: &Target, seed: u64, rounds: usize) {
    let mut random = SeededRandom::new(seed);
    for input in target.seeds {
        (target.run)(input);
    }
    for _ in 0..rounds {
        let mut input = pick(&mut random, target.seeds).to_vec();
        for _ in 0..=random.below(6) {
            mutate(&mut random, target, &mut input);
        }
        input.truncate(LONGEST);
        (target.run)(&input);
    }
}

fn pick<'a>(random: &mut SeededRandom, from: &[&'a [u8]]) -> &'a [u8] {
    let position = below(random, from.len());
    from.get(position).copied().unwrap_or_default()
}

fn below(random: &mut SeededRandom, bound: usize) -> usize {
    random.below(bound as u64) as usize
}

/// Changes the input in one place.
fn mutate(random: &mut SeededRandom, target: &Target, input: &mut Vec<u8>) {
    let at = below(random, input.len() + 1);
    let end = at + below(random, input.len() - at + 1);
    match random.below(7) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random.next_u64() as u8;
            }
        }
        1 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            input.drain(at..end.min(at + 16));
        }
        3 => {
            let copied = input[at..end].to_vec();
            let to = below(random, input.len() + 1);
            input.splice(to..to, copied);
        }
        4 | 5 => {
            input.splice(at..at, pick(random, target.words).iter().copied());
        }
        _ => {
            let other = pick(random, target.seeds);
            let from = below(random, other.len() + 1);
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
