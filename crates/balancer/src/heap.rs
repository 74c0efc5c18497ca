//! A binary heap over indices whose keys can be changed.

/// Indices `0..n`, some of them in the heap, least key first; equal keys go by index.
#[derive(Debug)]
pub(crate) struct IndexedHeap {
    keys: Vec<f64>,
    heap: Vec<usize>,
    /// Where an index stands in `heap`.
    places: Vec<Option<usize>>,
    /// Taken out for the length of a search.
    aside: Vec<usize>,
}

impl IndexedHeap {
    /// A heap of the indices whose key is given.
    pub(crate) fn new(keys: impl Iterator<Item = Option<f64>>) -> Self {
        let mut this = Self {
            keys: Vec::new(),
            heap: Vec::new(),
            places: Vec::new(),
            aside: Vec::new(),
        };
        for (index, key) in keys.enumerate() {
            this.keys.push(key.unwrap_or_default());
            this.places.push(None);
            if key.is_some() {
                this.push(index);
            }
        }
        this
    }

    /// The least index that is allowed.
    pub(crate) fn first(&mut self, allowed: impl Fn(usize) -> bool) -> Option<usize> {
        let mut found = None;
        while let Some(&index) = self.heap.first() {
            if allowed(index) {
                found = Some(index);
                break;
            }
            self.remove_first();
            self.aside.push(index);
        }
        while let Some(index) = self.aside.pop() {
            self.push(index);
        }
        found
    }

    /// Changes the key of an index that is in the heap.
    pub(crate) fn set(&mut self, index: usize, key: f64) {
        if let Some(place) = self.places.get(index).copied().flatten() {
            self.keys[index] = key;
            self.sift_up(place);
            if let Some(place) = self.places[index] {
                self.sift_down(place);
            }
        }
    }

    fn push(&mut self, index: usize) {
        self.heap.push(index);
        self.places[index] = Some(self.heap.len() - 1);
        self.sift_up(self.heap.len() - 1);
    }

    fn remove_first(&mut self) {
        if self.heap.is_empty() {
            return;
        }
        let index = self.heap.swap_remove(0);
        self.places[index] = None;
        if let Some(&moved) = self.heap.first() {
            self.places[moved] = Some(0);
            self.sift_down(0);
        }
    }

    fn precedes(&self, a: usize, b: usize) -> bool {
        self.keys[a]
            .total_cmp(&self.keys[b])
            .then(a.cmp(&b))
            .is_lt()
    }

    fn sift_up(&mut self, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !self.precedes(self.heap[place], self.heap[parent]) {
                break;
            }
            self.swap(place, parent);
            place = parent;
        }
    }

    fn sift_down(&mut self, mut place: usize) {
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
