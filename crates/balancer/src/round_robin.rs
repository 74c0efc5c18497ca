//! Weighted round robin, smoothly: an address of twice the weight comes up twice as often, and evenly spread.

use stdx::SeededRandom;

use crate::heap::IndexedHeap;

/// Each address is due at the times `1/w, 2/w, …`; the earliest is next. Once every address has had its share, the
/// round starts anew.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    weights: Vec<u32>,
    picks: Vec<u32>,
    due: IndexedHeap,
    /// Turns taken in this round, and how many it has.
    turn: u64,
    turns: u64,
}

impl RoundRobin {
    pub(crate) fn new(weights: impl Iterator<Item = u32>, random: &mut SeededRandom) -> Self {
        let mut weights: Vec<u32> = weights.collect();
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        for weight in &mut weights {
            *weight /= divisor;
        }
        let turns = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut this = Self {
            picks: vec![0; weights.len()],
            due: IndexedHeap::new(weights.iter().map(|weight| due(0, *weight))),
            weights,
            turn: 0,
            turns,
        };
        // Workers start at different points of the round, so that few requests do not all meet the same address.
        let addresses = this.weights.iter().filter(|weight| **weight > 0).count() as u64;
        for _ in 0..random.below(addresses) {
            this.pick(|_| true);
        }
        this
    }

    /// What is passed over because it is not allowed loses its turns.
    pub(crate) fn pick(&mut self, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let next = self.due.first(|_| true)?;
        if allowed(next) {
            self.advance(next, 1);
            return Some(next);
        }
        let mut found = self.due.first(&allowed)?;
        if self.picks[found] == self.weights[found] {
            // Only addresses that are not allowed have turns left.
            self.start_round();
            found = self.due.first(&allowed)?;
        }
        let limit = due(self.picks[found], self.weights[found])?;
        while let Some(passed) = self.due.first(|_| true).filter(|passed| *passed != found) {
            let turns = turns_until(limit, self.weights[passed]).saturating_sub(self.picks[passed]);
            self.advance(passed, turns.max(1));
        }
        self.advance(found, 1);
        Some(found)
    }

    fn advance(&mut self, index: usize, turns: u32) {
        self.turn += u64::from(turns);
        if self.turn >= self.turns {
            self.start_round();
            return;
        }
        self.picks[index] += turns;
        if let Some(key) = due(self.picks[index], self.weights[index]) {
            self.due.set(index, key);
        }
    }

    fn start_round(&mut self) {
        self.turn = 0;
        self.picks.fill(0);
        self.due = IndexedHeap::new(self.weights.iter().map(|weight| due(0, *weight)));
    }
}

/// How often an address is due until a time within the round.
fn turns_until(limit: f64, weight: u32) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the time is between 0 and 1, so the product is between 0 and the weight"
    )]
    let turns = (limit * f64::from(weight)).floor() as u32;
    turns.min(weight)
}

/// When an address that was picked so often is due; `None` for one without weight.
///
/// Quotients of small integers are equal as floating point numbers exactly if they are equal.
fn due(picks: u32, weight: u32) -> Option<f64> {
    (weight > 0).then(|| (f64::from(picks) + 1.0) / f64::from(weight))
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
