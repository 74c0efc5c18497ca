//! Sessions on their way into the database.
//!
//! A client has its cookie as soon as the head of an answer is sent, and a write takes longer than that. Until it is
//! done the node knows the session from here, and a logout meanwhile is not overtaken by the write.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

/// The sessions that are being stored, by id.
#[derive(Default)]
pub(super) struct Underway(Mutex<HashMap<String, Held>>);

struct Held {
    data: String,
    is_over: bool,
}

/// What is known here of a session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Nothing: the database is to be asked.
    Nothing,
    /// It ended before it was stored.
    Ended,
    Data(String),
}

impl Underway {
    /// Notes a session, sealed, until the ticket is gone.
    pub(super) fn begin(self: &Arc<Self>, id: &str, data: &str) -> Ticket {
        let held = Held {
            data: data.to_owned(),
            is_over: false,
        };
        self.0.lock().insert(id.to_owned(), held);
        Ticket {
            underway: self.clone(),
            id: id.to_owned(),
        }
    }

    pub(super) fn find(&self, id: &str) -> Known {
        match self.0.lock().get(id) {
            None => Known::Nothing,
            Some(held) if held.is_over => Known::Ended,
            Some(held) => Known::Data(held.data.clone()),
        }
    }

    /// Ends a session that is being stored; false if there is none with this id.
    pub(super) fn end(&self, id: &str) -> bool {
        let mut sessions = self.0.lock();
        let held = sessions.get_mut(id);
        held.map(|held| held.is_over = true).is_some()
    }
}

/// Keeps a session known, whatever becomes of its write.
pub(super) struct Ticket {
    underway: Arc<Underway>,
    id: String,
}

impl Ticket {
    /// Hands the session over to the database, which has it now; true if it ended meanwhile and must be deleted there.
    /// It stays known as ended until the ticket is gone.
    pub(super) fn hand_over(&self) -> bool {
        let mut sessions = self.underway.0.lock();
        let is_over = sessions.get(&self.id).is_some_and(|held| held.is_over);
        if !is_over {
            sessions.remove(&self.id);
        }
        is_over
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.underway.0.lock().remove(&self.id);
    }
}
