//! Entries that are sent together, in one piece of memory.
//!
//! Perf: an entry is copied once, behind the one before it, so that the text of a batch is ready when the batch is full;
//! the benchmark of http-log shows it.

use std::collections::VecDeque;

use bytes::{Buf as _, Bytes, BytesMut};

/// The largest memory that is kept for another batch.
const MOST_KEPT: usize = 4 << 20;

/// How the entries of a batch stand in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each with a line feed behind it.
    Lines,
    /// As a JSON list; the entries are JSON.
    List,
}

impl Framing {
    fn opening(self) -> u8 {
        match self {
            Self::Lines => b'\n',
            Self::List => b'[',
        }
    }

    fn between(self) -> u8 {
        match self {
            Self::Lines => b'\n',
            Self::List => b',',
        }
    }

    fn closing(self) -> u8 {
        match self {
            Self::Lines => b'\n',
            Self::List => b']',
        }
    }
}

/// A batch that grows.
///
/// Invariant: the text is one byte, and for each length that many bytes of an entry and one more.
#[derive(Debug)]
pub struct Growing {
    framing: Framing,
    text: BytesMut,
    lengths: VecDeque<usize>,
}

impl Growing {
    /// An empty one, in memory that was used before.
    pub fn new(framing: Framing, mut memory: BytesMut) -> Self {
        memory.clear();
        memory.extend_from_slice(&[framing.opening()]);
        Self {
            framing,
            text: memory,
            lengths: VecDeque::new(),
        }
    }

    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    pub fn push(&mut self, entry: &[u8]) {
        self.text.reserve(entry.len() + 1);
        self.text.extend_from_slice(entry);
        self.text.extend_from_slice(&[self.framing.between()]);
        self.lengths.push_back(entry.len());
    }

    /// Forgets the oldest entry, and gives its length.
    pub fn drop_oldest(&mut self) -> Option<usize> {
        let length = self.lengths.pop_front()?;
        self.text.advance(length + 1);
        Some(length)
    }

    /// The batch as it is to be sent.
    pub fn finish(mut self) -> Batch {
        if let Some(first) = self.text.first_mut() {
            *first = self.framing.opening();
        }
        if let Some(last) = self.text.last_mut() {
            *last = self.framing.closing();
        }
        Batch {
            framing: self.framing,
            text: self.text.freeze(),
            lengths: self.lengths,
        }
    }
}

/// A batch on its way. It is never empty.
#[derive(Debug, Clone)]
pub struct Batch {
    framing: Framing,
    text: Bytes,
    lengths: VecDeque<usize>,
}

impl Batch {
    /// How many entries it has.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// How many bytes its entries have.
    pub fn bytes(&self) -> usize {
        self.text.len() - 1 - self.lengths.len()
    }

    /// The entries one by one.
    pub fn entries(&self) -> impl Iterator<Item = Bytes> {
        let mut start = 1;
        self.lengths.iter().map(move |length| {
            let entry = self.text.slice(start..start + length);
            start += length + 1;
            entry
        })
    }

    /// All entries in the framing of the collector.
    pub fn text(&self) -> Bytes {
        match self.framing {
            Framing::Lines => self.text.slice(1..),
            Framing::List => self.text.clone(),
        }
    }

    /// Two batches of about the same number of entries; `None` if there is only one entry.
    pub fn halves(&self) -> Option<[Batch; 2]> {
        let middle = self.len() / 2;
        if middle == 0 {
            return None;
        }
        let gather = |entries: &mut dyn Iterator<Item = Bytes>| {
            let mut half = Growing::new(self.framing, BytesMut::new());
            entries.for_each(|entry| half.push(&entry));
            half.finish()
        };
        let first = gather(&mut self.entries().take(middle));
        let second = gather(&mut self.entries().skip(middle));
        Some([first, second])
    }

    /// Whether it is short enough for its memory to be kept.
    pub fn is_modest(&self) -> bool {
        self.text.len() <= MOST_KEPT
    }

    /// The memory for another batch, if nobody holds it and it is not too much to keep.
    pub fn into_memory(self) -> Option<BytesMut> {
        let memory = self.text.try_into_mut().ok()?;
        (memory.capacity() <= MOST_KEPT).then_some(memory)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(framing: Framing, dropped: usize, entries: &[&str]) -> Batch {
        let mut growing = Growing::new(framing, BytesMut::new());
        for entry in entries {
            growing.push(entry.as_bytes());
        }
        for _ in 0..dropped {
            growing.drop_oldest().unwrap();
        }
        growing.finish()
    }

    #[test]
    fn a_batch_is_a_list_or_lines_and_its_entries() {
        for dropped in 0..2 {
            let entries = &["{\"a\":1}", "", "{}"][..];
            let list = batch(Framing::List, dropped, entries);
            let expected = format!("[{}]", entries[dropped..].join(","));
            assert_eq!(list.text(), expected);
            let lines = batch(Framing::Lines, dropped, entries);
            let expected = format!("{}\n", entries[dropped..].join("\n"));
            assert_eq!(lines.text(), expected);
            for batch in [list, lines] {
                assert_eq!(batch.entries().collect::<Vec<_>>(), entries[dropped..]);
                assert_eq!(batch.bytes(), 9 - 7 * dropped);
            }
        }
    }

    #[test]
    fn halves_have_all_entries_in_their_order() {
        let whole = batch(Framing::List, 0, &["1", "2", "3"]);
        let [first, second] = whole.halves().unwrap();
        assert_eq!(
            (&*first.text(), &*second.text()),
            (&b"[1]"[..], &b"[2,3]"[..])
        );
        assert!(first.halves().is_none());
    }

    #[test]
    fn memory_is_used_again_once_nobody_holds_it() {
        let whole = batch(Framing::Lines, 1, &["1", "2"]);
        let held = whole.text();
        assert!(whole.clone().into_memory().is_none());
        drop(held);
        let mut again = Growing::new(Framing::List, whole.into_memory().unwrap());
        again.push(b"3");
        assert_eq!(again.finish().text(), "[3]");
    }
}
