//! Weighted round robin, smoothly: an address of twice the weight comes up twice as often, and evenly spread.

use stdx::SeededRandom;

/// The length of a round, as far as times are concerned.
///
/// Weights have 16 bits, so that quotients of them which differ do so by 2^-32 at least, and are not taken for equal.
const ROUND: u64 = 1 << 40;

/// A round of so many turns is prepared as a whole, however few addresses it has.
const SHORT: u64 = 1024;

/// Each address is due at the times `1/w, 2/w, …` of a round; the earliest is next, and the first of those that are due
/// together. Once every address has had its share, the round starts anew.
///
/// Perf: turns are sorted in advance, a stretch of the round at a time, so that a pick is a step forward. Addresses of
/// equal weight, and few addresses of any weights, have rounds of one stretch, which is sorted once.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    /// Without common divisors.
    weights: Vec<u16>,
    stretches: u64,
    /// The stretch that `order` is about.
    stretch: u64,
    /// The turns of the stretch.
    order: Vec<Turn>,
    /// The next turn.
    at: usize,
}

/// A turn of an address within a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    due: u64,
    index: usize,
}

impl Turn {
    /// Before all turns of a round.
    const BEGIN: Self = Self { due: 0, index: 0 };
}

impl RoundRobin {
    pub(crate) fn new(weights: impl Iterator<Item = u32>, random: &mut SeededRandom) -> Self {
        let weights: Vec<u32> = weights.collect();
        let divisor = weights.iter().copied().fold(0, gcd).max(1);
        let reduced = |weight: &u32| u16::try_from(weight / divisor).unwrap_or(u16::MAX);
        let weights: Vec<u16> = weights.iter().map(reduced).collect();
        let turns: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let length = SHORT.max(weights.len() as u64);
        let mut this = Self {
            weights,
            stretches: turns.div_ceil(length).max(1),
            stretch: 0,
            order: Vec::new(),
            at: 0,
        };
        // Workers start at different points of the round, so that few requests do not all meet the same address.
        this.prepare(random.below(this.stretches));
        let places = this.order.len().max(1) as u64;
        this.at = usize::try_from(random.below(places)).unwrap_or_default();
        this
    }

    /// What is passed over because it is not allowed loses its turns.
    pub(crate) fn pick(&mut self, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let began = self.next()?;
        for _ in 0..self.weights.len() {
            let turn = self.next()?;
            self.at += 1;
            if allowed(turn.index) {
                return Some(turn.index);
            }
        }
        // After so many turns it is quicker to ask each address for its own.
        let least = |from: Turn| {
            let allowed = (0..self.weights.len()).filter(|index| allowed(*index));
            let next = |index| self.turns(index, from.due).find(|turn| *turn >= from);
            allowed.filter_map(next).min()
        };
        let found = least(began).or_else(|| least(Turn::BEGIN));
        self.go_to(found.unwrap_or(began));
        self.at += usize::from(found.is_some());
        found.map(|turn| turn.index)
    }

    /// The turn that is next; `None` without weights.
    fn next(&mut self) -> Option<Turn> {
        if self.at >= self.order.len() {
            self.prepare((self.stretch + 1) % self.stretches);
        }
        self.order.get(self.at).copied()
    }

    fn go_to(&mut self, turn: Turn) {
        let before = (turn.due * self.stretches).div_ceil(ROUND);
        self.prepare(before.saturating_sub(1));
        self.at = self.order.partition_point(|earlier| *earlier < turn);
    }

    /// Goes to the beginning of a stretch.
    ///
    /// None is empty if there are weights: the weightiest address is due more often than stretches begin.
    fn prepare(&mut self, stretch: u64) {
        self.at = 0;
        if self.stretch == stretch && !self.order.is_empty() {
            return;
        }
        self.stretch = stretch;
        let end_of = |stretches| stretches * ROUND / self.stretches;
        let (begin, end) = (end_of(stretch), end_of(stretch + 1));
        let mut order = std::mem::take(&mut self.order);
        order.clear();
        for index in 0..self.weights.len() {
            let turns = self.turns(index, begin + 1);
            order.extend(turns.take_while(|turn| turn.due <= end));
        }
        order.sort_unstable();
        self.order = order;
    }

    /// The turns of an address from a time to the end of the round.
    fn turns(&self, index: usize, from: u64) -> impl Iterator<Item = Turn> + use<> {
        let weight = self.weights.get(index).copied().map_or(0, u64::from);
        let first = (from * weight).div_ceil(ROUND).max(1);
        (first..=weight).map(move |number| Turn {
            due: number * ROUND / weight,
            index,
        })
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}
