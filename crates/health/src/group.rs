//! The addresses of an upstream, and all upstreams of a node.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use balancer::Address;
use parking_lot::Mutex;
use serde_json::Value;
use uuid::Uuid;

use crate::{AddressHealth, Checks};

/// What is known of all addresses of all upstreams.
#[derive(Debug, Default)]
pub struct Registry(Mutex<HashMap<Uuid, Arc<Group>>>);

/// The addresses of one upstream under one state of its settings. A change of the settings makes another group, which
/// shares what is known; turning health checks off forgets it.
#[derive(Debug)]
pub struct Group {
    field: Arc<Value>,
    checks: Checks,
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    addresses: Mutex<HashMap<Key, Arc<AddressHealth>>>,
    turns: Arc<AtomicU64>,
}

/// What an address is known by: its target's name, where it is, and its port.
type Key = (Arc<str>, Arc<str>, u16);

fn key(address: &Address) -> Key {
    (address.target.clone(), address.host.clone(), address.port)
}

impl Registry {
    /// The group of an upstream whose field `healthchecks` is `field`.
    pub fn group(&self, upstream: Uuid, field: &Arc<Value>) -> Arc<Group> {
        let mut groups = self.0.lock();
        let before = groups.get(&upstream);
        if let Some(before) = before
            && (Arc::ptr_eq(&before.field, field) || before.field == *field)
        {
            return before.clone();
        }
        let checks = Checks::read(field);
        let known = before.filter(|before| before.is_on() && checks.is_on());
        let group = Arc::new(Group {
            known: known.map(|before| before.known.clone()).unwrap_or_default(),
            field: field.clone(),
            checks,
        });
        groups.insert(upstream, group.clone());
        group
    }

    /// Forgets upstreams that are gone.
    pub fn retain(&self, exists: impl Fn(Uuid) -> bool) {
        self.0.lock().retain(|upstream, _| exists(*upstream));
    }
}

impl Group {
    /// The settings.
    pub fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Whether anything is checked.
    pub fn is_on(&self) -> bool {
        self.checks.is_on()
    }

    /// A number that is another one whenever the verdict over an address has changed.
    pub fn turns(&self) -> u64 {
        self.known.turns.load(Ordering::Acquire)
    }

    /// What is known of addresses, in their order; new ones are healthy.
    pub fn health(&self, addresses: &[Address]) -> Vec<Arc<AddressHealth>> {
        let mut known = self.known.addresses.lock();
        let turns = &self.known.turns;
        let health = addresses.iter().map(|address| {
            let entry = known.entry(key(address));
            entry
                .or_insert_with(|| Arc::new(AddressHealth::new(turns.clone())))
                .clone()
        });
        health.collect()
    }

    /// Forgets all other addresses.
    pub fn retain(&self, addresses: &[Address]) {
        let present: HashSet<Key> = addresses.iter().map(key).collect();
        let mut known = self.known.addresses.lock();
        known.retain(|key, _| present.contains(key));
    }
}
