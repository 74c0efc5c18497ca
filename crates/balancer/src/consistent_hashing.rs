//! Consistent hashing after Ketama, with Kong's own points, so that a key goes where a Kong node would send it.

use std::fmt::Write as _;

use crate::hash::xxhash32;
use crate::{Address, Shape};

/// Points of an address when all have the same weight.
const POINTS: f64 = 160.0;
/// Kong's ring is never smaller; a smaller setting means this size.
const MIN_SLOTS: u32 = 1000;

/// A ring of slots, some of them owned by addresses.
#[derive(Debug)]
pub(crate) struct ConsistentHashing {
    slots: u32,
    /// Owned slots in ascending order, and their owners. Perf: small numbers, because a key finds its point by a search.
    points: Vec<(u32, u32)>,
}

impl ConsistentHashing {
    pub(crate) fn new(addresses: &[Address], shape: Shape) -> Self {
        let slots = shape.slots.max(MIN_SLOTS);
        let total: u64 = addresses
            .iter()
            .map(|address| u64::from(address.weight))
            .sum();
        let mut owners: Vec<Option<usize>> = vec![None; slots as usize];
        let mut name = String::new();
        for index in kong_order(addresses) {
            let address = &addresses[index];
            if address.weight == 0 {
                continue;
            }
            let mut wanted = points(address.weight, total, shape.targets);
            let mut point = 0;
            // A slot that is taken costs a further point, up to the size of the ring.
            while point < wanted && point < slots {
                point += 1;
                name.clear();
                // Compat: Kong joins address and port with two colons.
                let _ = write!(name, "{}::{} {point}", address.record, address.port);
                let slot = &mut owners[(xxhash32(name.as_bytes()) % slots) as usize];
                match slot {
                    None => *slot = Some(index),
                    Some(_) => wanted += 1,
                }
            }
        }
        let points = (0..slots)
            .zip(owners)
            .filter_map(|(slot, owner)| Some((slot, u32::try_from(owner?).ok()?)))
            .collect();
        Self { slots, points }
    }

    /// The owner of the key's slot, or of the nearest below it that is allowed, around the ring.
    pub(crate) fn pick(&self, key: &[u8], allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let slot = xxhash32(key) % self.slots;
        let above = self.points.partition_point(|(owned, _)| *owned <= slot);
        let (at_or_below, above) = self.points.split_at(above);
        let walk = at_or_below.iter().rev().chain(above.iter().rev());
        walk.map(|(_, owner)| *owner as usize)
            .find(|owner| allowed(*owner))
    }
}

/// How many points an address gets for its weight; at least one.
///
/// Compat: Kong calculates with doubles, in this order, and rounds down, so that 49 equal targets get 159 points each; a
/// point more or less would send keys elsewhere than a Kong node does.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sums of 16-bit weights and numbers of targets are far below 2^52, and what is too large is cut at 2^32"
)]
fn points(weight: u32, total: u64, targets: usize) -> u32 {
    let share = f64::from(weight) / total as f64;
    ((share * targets as f64 * POINTS).floor() as u32).max(1)
}

/// The order in which Kong gives out slots: by target, then by the text of the address.
fn kong_order(addresses: &[Address]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_by_cached_key(|index| {
        let address = &addresses[*index];
        let endpoint = format!("{}:{}", address.record, address.port);
        (address.target.clone(), address.target_port, endpoint)
    });
    order
}
