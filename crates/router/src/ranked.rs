//! A persistent list of postings, best first.

use std::sync::Arc;

/// Chunks are split beyond this, so that a change of a long list copies little.
const CHUNK: usize = 128;

/// What can stand in a [`Ranked`] list.
pub(crate) trait HasRank: Clone {
    type Rank: Ord + Copy;
    fn rank(&self) -> Self::Rank;
}

/// Elements in descending order of rank; equal ranks keep the order of insertion.
#[derive(Debug, Clone)]
pub(crate) enum Ranked<P> {
    One(P),
    Many(Vec<Arc<Vec<P>>>),
}

impl<P: HasRank> Ranked<P> {
    /// Best first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &P> {
        let (one, many): (_, &[Arc<Vec<P>>]) = match self {
            Self::One(posting) => (Some(posting), &[]),
            Self::Many(chunks) => (None, chunks),
        };
        one.into_iter()
            .chain(many.iter().flat_map(|chunk| chunk.iter()))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(chunks) => chunks.iter().map(|chunk| chunk.len()).sum(),
        }
    }

    /// Puts an element where it belongs.
    pub(crate) fn insert(slot: &mut Option<Self>, element: P) {
        let mut chunks = match slot.take() {
            None => {
                *slot = Some(Self::One(element));
                return;
            }
            Some(Self::One(first)) => vec![Arc::new(vec![first])],
            Some(Self::Many(chunks)) => chunks,
        };
        let rank = element.rank();
        let at = chunks
            .partition_point(|chunk| chunk.last().is_some_and(|last| last.rank() >= rank))
            .min(chunks.len().saturating_sub(1));
        if let Some(chunk) = chunks.get_mut(at) {
            let list = Arc::make_mut(chunk);
            let within = list.partition_point(|e| e.rank() >= rank);
            list.insert(within, element);
            if list.len() > CHUNK {
                let upper = list.split_off(list.len() / 2);
                chunks.insert(at + 1, Arc::new(upper));
            }
        }
        *slot = Some(Self::Many(chunks));
    }

    /// Takes every element with the rank out.
    pub(crate) fn remove(slot: &mut Option<Self>, rank: P::Rank) {
        match slot {
            Some(Self::One(only)) if only.rank() == rank => *slot = None,
            Some(Self::Many(chunks)) => {
                for chunk in chunks.iter_mut() {
                    let spans = chunk.first().is_some_and(|e| e.rank() >= rank)
                        && chunk.last().is_some_and(|e| e.rank() <= rank);
                    if spans {
                        Arc::make_mut(chunk).retain(|e| e.rank() != rank);
                    }
                }
                chunks.retain(|chunk| !chunk.is_empty());
                let only = match chunks.as_slice() {
                    [] => None,
                    [chunk] if chunk.len() == 1 => chunk.first().cloned().map(Self::One),
                    _ => return,
                };
                *slot = only;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "ranked/tests.rs"]
mod tests;
