//! The free lists that let an idle connection hold no memory.

use std::cell::RefCell;

use bytes::BytesMut;

use crate::headers::Index;

/// The capacity of a buffer that heads are read into.
pub const HEAD_BUFFER: usize = 16 * 1024;

/// The capacity of a buffer that bodies are read into: a piece of 64 KiB and a head before it come in one read.
pub const BODY_BUFFER: usize = 68 * 1024;

/// The free lists of one thread: read buffers of both sizes, and the indexes of heads.
///
/// A connection takes a buffer when bytes arrive and gives it back when it waits for the next request, so that memory
/// follows the number of busy connections and not of open ones.
pub struct BufferPool {
    heads: RefCell<Vec<BytesMut>>,
    bodies: RefCell<Vec<BytesMut>>,
    #[allow(clippy::vec_box, reason = "the boxes themselves are reused")]
    indexes: RefCell<Vec<Box<Index>>>,
    keep: usize,
}

impl BufferPool {
    /// Makes a pool that keeps at most `keep` free buffers of each kind and lets the allocator have the rest.
    pub fn new(keep: usize) -> BufferPool {
        BufferPool {
            heads: RefCell::new(Vec::new()),
            bodies: RefCell::new(Vec::new()),
            indexes: RefCell::new(Vec::new()),
            keep,
        }
    }

    /// An empty buffer of [`HEAD_BUFFER`] bytes.
    pub fn take_head(&self) -> BytesMut {
        let free = self.heads.borrow_mut().pop();
        free.unwrap_or_else(|| BytesMut::with_capacity(HEAD_BUFFER))
    }

    /// An empty buffer of [`BODY_BUFFER`] bytes.
    pub fn take_body(&self) -> BytesMut {
        let free = self.bodies.borrow_mut().pop();
        free.unwrap_or_else(|| BytesMut::with_capacity(BODY_BUFFER))
    }

    /// Takes a buffer back, whichever size it has.
    ///
    /// What is left in it is thrown away. A buffer that grew, or of which a head or a slice is still alive, is not kept.
    pub fn give(&self, mut buffer: BytesMut) {
        buffer.clear();
        // Asking for all of its room moves an empty buffer back to its start.
        if !(buffer.try_reclaim(BODY_BUFFER) || buffer.try_reclaim(HEAD_BUFFER)) {
            return;
        }
        if buffer.capacity() >= BODY_BUFFER {
            self.keep(&self.bodies, buffer, BODY_BUFFER);
        } else {
            self.keep(&self.heads, buffer, HEAD_BUFFER);
        }
    }

    fn keep(&self, list: &RefCell<Vec<BytesMut>>, buffer: BytesMut, size: usize) {
        let mut list = list.borrow_mut();
        if list.len() < self.keep && buffer.capacity() < 2 * size {
            list.push(buffer);
        }
    }

    pub(crate) fn take_index(&self) -> Box<Index> {
        let free = self.indexes.borrow_mut().pop();
        free.unwrap_or_default()
    }

    pub(crate) fn give_index(&self, mut index: Box<Index>) {
        let mut list = self.indexes.borrow_mut();
        if list.len() < self.keep && index.is_modest() {
            index.clear();
            list.push(index);
        }
    }
}

impl Default for BufferPool {
    /// A pool that keeps up to 256 free buffers of each kind.
    fn default() -> BufferPool {
        BufferPool::new(256)
    }
}
