//! A binary heap over indices whose keys can be changed.

/// Indices `0..n`, some of them in the heap, least key first; equal keys go by index.
#[derive(Debug)]
pub(crate) struct IndexedHeap {
    keys: Vec<f64>,
    heap: Vec<usize>,
    /// Where an index stands in `heap`.
    places: Vec<Option<usize>>,
}

impl IndexedHeap {
    /// A heap of the indices whose key is given.
    pub(crate) fn new(keys: impl Iterator<Item = Option<f64>>) -> Self {
        let keys: Vec<Option<f64>> = keys.collect();
        let mut this = Self {
            keys: vec![0.0; keys.len()],
            heap: Vec::with_capacity(keys.len()),
            places: vec![None; keys.len()],
        };
        for (index, key) in keys.into_iter().enumerate() {
            this.put(index, key);
        }
        this
    }

    /// The least index that is allowed.
    ///
    /// Perf: it looks at no more than those before it that are not allowed, and at what follows them.
    pub(crate) fn first(&self, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let mut least = None;
        self.search(0, &allowed, &mut least);
        least
    }

    /// Makes `least` the least that is allowed from a place downwards, if it is less. As deep as the heap is.
    fn search(&self, place: usize, allowed: &impl Fn(usize) -> bool, least: &mut Option<usize>) {
        let Some(&index) = self.heap.get(place) else {
            return;
        };
        if least.is_some_and(|least| !self.precedes(index, least)) {
            return;
        }
        if allowed(index) {
            *least = Some(index);
            return;
        }
        self.search(2 * place + 1, allowed, least);
        self.search(2 * place + 2, allowed, least);
    }

    /// Changes the key of an index; what is not in the heap stays outside.
    pub(crate) fn set(&mut self, index: usize, key: f64) {
        if let Some(place) = self.places.get(index).copied().flatten() {
            self.keys[index] = key;
            self.sift(place);
        }
    }

    /// Puts an index in, changes its key, or takes it out if it has none.
    pub(crate) fn put(&mut self, index: usize, key: Option<f64>) {
        match (self.places.get(index).copied(), key) {
            (Some(Some(_)), Some(key)) => self.set(index, key),
            (Some(None), Some(key)) => {
                self.keys[index] = key;
                self.places[index] = Some(self.heap.len());
                self.heap.push(index);
                self.sift(self.heap.len() - 1);
            }
            (Some(Some(place)), None) => {
                self.heap.swap_remove(place);
                self.places[index] = None;
                if let Some(&moved) = self.heap.get(place) {
                    self.places[moved] = Some(place);
                    self.sift(place);
                }
            }
            (Some(None), None) | (None, _) => {}
        }
    }

    fn precedes(&self, a: usize, b: usize) -> bool {
        self.keys[a]
            .total_cmp(&self.keys[b])
            .then(a.cmp(&b))
            .is_lt()
    }

    /// Moves what stands at a place to where it belongs.
    fn sift(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !self.precedes(self.heap[place], self.heap[parent]) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
        loop {
            let mut least = place;
            for child in [2 * place + 1, 2 * place + 2] {
                if child < self.heap.len() && self.precedes(self.heap[child], self.heap[least]) {
                    least = child;
                }
            }
            if least == place {
                break;
            }
            self.swap(place, least);
            place = least;
        }
    }

    fn swap(&mut self, a: usize, b: usize) {
        self.heap.swap(a, b);
        self.places[self.heap[a]] = Some(a);
        self.places[self.heap[b]] = Some(b);
    }
}
