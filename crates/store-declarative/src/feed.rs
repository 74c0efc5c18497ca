//! The newest events, numbered.

use std::collections::VecDeque;

use store::{Changes, Event, EventKind, Version};
use uuid::Uuid;

/// A change log of bounded length.
pub(crate) struct Feed {
    events: VecDeque<Event>,
    newest: Version,
    limit: usize,
}

impl Feed {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            events: VecDeque::new(),
            newest: Version::default(),
            limit,
        }
    }

    pub(crate) fn newest(&self) -> Version {
        self.newest
    }

    /// Adds events and forgets the oldest ones beyond the limit; of more than that at once it keeps none, because whoever
    /// does not know all of them has to reload.
    pub(crate) fn extend(&mut self, changes: Vec<(&'static str, Uuid, EventKind)>) {
        if changes.len() > self.limit {
            self.newest.0 += changes.len() as u64;
            self.events = VecDeque::new();
            return;
        }
        for (entity, id, operation) in changes {
            self.newest.0 += 1;
            self.events.push_back(Event {
                version: self.newest,
                entity: entity.to_owned(),
                id,
                operation,
            });
            if self.events.len() > self.limit {
                self.events.pop_front();
            }
        }
    }

    pub(crate) fn after(&self, since: Version) -> Changes {
        let until = self.newest;
        let missing = until.0.checked_sub(since.0);
        let missing = missing.and_then(|missing| usize::try_from(missing).ok());
        match missing {
            Some(missing) if missing <= self.events.len() => {
                let known = self.events.len() - missing;
                let events = self.events.iter().skip(known).cloned().collect();
                Changes::Events { until, events }
            }
            _ => Changes::Reload { from: until },
        }
    }
}
