//! The address with the fewest open exchanges for its weight.

use crate::heap::IndexedHeap;

#[derive(Debug)]
pub(crate) struct LeastConnections {
    weights: Vec<u32>,
    open: Vec<u32>,
    heap: IndexedHeap,
}

impl LeastConnections {
    pub(crate) fn new(weights: impl Iterator<Item = u32>, open: impl Fn(usize) -> u32) -> Self {
        let weights: Vec<u32> = weights.collect();
        let open: Vec<u32> = (0..weights.len()).map(open).collect();
        let keys = open
            .iter()
            .zip(&weights)
            .map(|(open, weight)| load(*open, *weight));
        Self {
            heap: IndexedHeap::new(keys),
            weights,
            open,
        }
    }

    pub(crate) fn connections(&self, index: usize) -> u32 {
        self.open.get(index).copied().unwrap_or_default()
    }

    /// Leaves out what is not healthy.
    pub(crate) fn set_healthy(&mut self, healthy: &[bool]) {
        for (index, (open, weight)) in self.open.iter().zip(&self.weights).enumerate() {
            let is_healthy = healthy.get(index).copied().unwrap_or_default();
            let load = load(*open, *weight).filter(|_| is_healthy);
            self.heap.put(index, load);
        }
    }

    pub(crate) fn pick(&mut self, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let index = self.heap.first(allowed)?;
        self.open[index] = self.open[index].saturating_add(1);
        self.update(index);
        Some(index)
    }

    pub(crate) fn release(&mut self, index: usize) {
        if let Some(open) = self.open.get_mut(index) {
            *open = open.saturating_sub(1);
            self.update(index);
        }
    }

    fn update(&mut self, index: usize) {
        if let Some(load) = load(self.open[index], self.weights[index]) {
            self.heap.set(index, load);
        }
    }
}

/// One more than is open, so that among idle addresses the weightiest comes first; `None` without weight.
fn load(open: u32, weight: u32) -> Option<f64> {
    (weight > 0).then(|| (f64::from(open) + 1.0) / f64::from(weight))
}
