//! Pipes of a worker, through which long bodies go past the process.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use net::Pipe;

/// The pipes that one worker has. Each costs two descriptors, and memory of the system while it holds something.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    idle: RefCell<Vec<Pipe>>,
    lent: Cell<usize>,
    /// The system has no pipes between sockets, or does not let us have them.
    refused: Cell<bool>,
}

impl Pipes {
    /// Pipes that are in use at most; further bodies are copied.
    const MOST: usize = 256;
    /// Pipes that are kept for later.
    const KEPT: usize = 64;

    /// An empty pipe, if there is one to be had.
    pub fn lend(self: &Rc<Self>) -> Option<Lent> {
        if self.refused.get() || self.lent.get() >= Self::MOST {
            return None;
        }
        let kept = self.idle.borrow_mut().pop();
        // Perf: without a descriptor to spare the body is copied, which always works.
        let pipe = kept.or_else(|| Pipe::new().ok())?;
        self.lent.set(self.lent.get() + 1);
        Some(Lent {
            pipe: Some(pipe),
            pipes: self.clone(),
        })
    }

    /// Takes note that the system does not do it.
    pub fn refuse(&self) {
        self.refused.set(true);
        self.idle.borrow_mut().clear();
    }
}

/// A pipe on loan. It goes back when this is dropped, unless something is left in it.
#[derive(Debug)]
pub(crate) struct Lent {
    /// There until this is dropped.
    pipe: Option<Pipe>,
    pipes: Rc<Pipes>,
}

impl Lent {
    /// The pipe itself.
    pub fn pipe(&mut self) -> io::Result<&mut Pipe> {
        self.pipe
            .as_mut()
            .ok_or_else(|| io::Error::other("a pipe that was given back"))
    }

    /// Takes note that the system does not do it.
    pub fn refuse(&self) {
        self.pipes.refuse();
    }

    /// Bytes that wait in it.
    pub fn held(&self) -> usize {
        self.pipe.as_ref().map_or(0, Pipe::held)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pipes.lent.set(self.pipes.lent.get() - 1);
        let mut idle = self.pipes.idle.borrow_mut();
        if let Some(pipe) = self.pipe.take()
            && pipe.held() == 0
            && idle.len() < Pipes::KEPT
            && !self.pipes.refused.get()
        {
            idle.push(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pipes_are_used_again_and_are_limited() {
        let pipes = Rc::new(Pipes::default());
        let lent: Vec<Lent> = std::iter::from_fn(|| pipes.lend()).collect();
        assert_eq!(lent.len(), Pipes::MOST);
        drop(lent);
        assert_eq!(
            (pipes.lent.get(), pipes.idle.borrow().len()),
            (0, Pipes::KEPT)
        );
        drop(pipes.lend());
        assert_eq!(pipes.idle.borrow().len(), Pipes::KEPT);
        pipes.refuse();
        assert!(pipes.lend().is_none() && pipes.idle.borrow().is_empty());
    }
}
