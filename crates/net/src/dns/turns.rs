//! Taking turns between the records of an answer.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Records, ServiceRecord};

/// A turn counter for one answer.
///
/// Each slot of weight is visited exactly once a round, in an order that spreads the slots of one record over the round:
/// steps of about the golden ratio of the round, made coprime to it. The first turn is the first record.
#[derive(Debug)]
pub(super) struct Turns {
    next: AtomicUsize,
    /// The sum of the weights of the records that take turns.
    round: usize,
    step: usize,
    /// How many records take turns: all addresses, or the services of the best priority.
    candidates: usize,
}

impl Turns {
    pub(super) fn new(records: &Records) -> Self {
        let (candidates, round) = match records {
            Records::Addresses(addresses) => (addresses.len(), addresses.len()),
            Records::Services(services) => {
                let best = services.first().map(|service| service.priority);
                let candidates = services
                    .iter()
                    .take_while(|service| Some(service.priority) == best)
                    .count();
                (
                    candidates,
                    services.iter().take(candidates).map(share).sum(),
                )
            }
        };
        // With few records of equal rank the plain order is the fairest.
        let step = if round == candidates {
            1
        } else {
            coprime_step(round)
        };
        Self {
            next: AtomicUsize::new(0),
            round,
            step,
            candidates,
        }
    }

    /// The index of the record whose turn it is.
    pub(super) fn pick(&self, records: &Records) -> usize {
        if self.candidates <= 1 {
            return 0;
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.round;
        let slot = turn.wrapping_mul(self.step) % self.round;
        match records {
            Records::Addresses(_) => slot,
            Records::Services(services) => {
                let mut left = slot;
                for (index, service) in services.iter().take(self.candidates).enumerate() {
                    match left.checked_sub(share(service)) {
                        Some(rest) => left = rest,
                        None => return index,
                    }
                }
                0
            }
        }
    }
}

/// A weight of zero still gets the smallest share, as in Kong.
fn share(service: &ServiceRecord) -> usize {
    usize::from(service.weight).max(1)
}

/// A step near the golden ratio of the round that has no divisor in common with it.
fn coprime_step(round: usize) -> usize {
    let golden = round.saturating_mul(618) / 1000;
    (golden..round)
        .find(|step| gcd(*step, round) == 1)
        .unwrap_or(1)
}

fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
