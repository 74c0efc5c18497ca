//! The addresses of an upstream, and all upstreams of a node.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use balancer::Address;
use parking_lot::Mutex;
use serde_json::Value;
use stdx::Clock;
use uuid::Uuid;

use crate::address::Common;
use crate::{AddressHealth, Checks, Queue};

/// How long what is known is kept without checks: for an upstream that turns them off, and for one of the same name as one
/// that is gone.
///
/// Compat: as long as in Kong, so that who deletes an upstream and creates it anew, as tools do that synchronise a
/// configuration, does not send traffic to targets that are down.
const KEPT: Duration = Duration::from_secs(300);

/// What is known of all addresses of all upstreams.
#[derive(Debug)]
pub struct Registry {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    groups: HashMap<Uuid, Arc<Group>>,
    by_name: HashMap<Box<str>, Uuid>,
    /// Of upstreams that are gone, by their names.
    former: HashMap<Box<str>, (Arc<Known>, Instant)>,
}

/// The addresses of one upstream under one state of its settings. A change of the settings makes another group, which
/// shares what is known; verdicts are forgotten when health checks have been off for a while.
#[derive(Debug)]
pub struct Group {
    name: Box<str>,
    field: Arc<Value>,
    checks: Checks,
    known: Arc<Known>,
}

#[derive(Debug)]
struct Known {
    /// Since when there are no checks.
    off: Mutex<Option<Instant>>,
    addresses: Mutex<HashMap<Key, Arc<AddressHealth>>>,
    common: Arc<Common>,
    queue: Arc<Queue>,
}

/// What an address is known by: its target's name, where it is, and its port.
type Key = (Arc<str>, Arc<str>, u16);

fn key(address: &Address) -> Key {
    (address.target.clone(), address.host.clone(), address.port)
}

impl Registry {
    /// Nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            state: Mutex::default(),
        }
    }

    /// The group of an upstream whose field `healthchecks` is `field`.
    pub fn group(&self, upstream: Uuid, name: &str, field: &Arc<Value>) -> Arc<Group> {
        let state = &mut *self.state.lock();
        let before = state.groups.get(&upstream);
        if let Some(before) = before
            && (Arc::ptr_eq(&before.field, field) || before.field == *field)
            && *before.name == *name
        {
            return before.clone();
        }
        let checks = Checks::read(field);
        let known = match before {
            Some(before) => before.known.clone(),
            None => state.inherited(name).unwrap_or_else(|| self.nothing()),
        };
        known.turn(checks.is_on(), self.clock.monotonic());
        let group = Arc::new(Group {
            name: name.into(),
            known,
            field: field.clone(),
            checks,
        });
        state.by_name.insert(name.into(), upstream);
        state.groups.insert(upstream, group.clone());
        group
    }

    /// Forgets upstreams that are gone, but for what an upstream of the same name may go on with.
    pub fn retain(&self, exists: impl Fn(Uuid) -> bool) {
        let now = self.clock.monotonic();
        let state = &mut *self.state.lock();
        let gone = state.groups.extract_if(|upstream, _| !exists(*upstream));
        for (upstream, group) in gone {
            if state.by_name.get(&group.name) == Some(&upstream) {
                state.by_name.remove(&group.name);
            }
            if group.is_on() || group.known.has_verdicts() {
                let until = group.known.off.lock().unwrap_or(now) + KEPT;
                let known = (group.known.clone(), until);
                state.former.insert(group.name.clone(), known);
            }
        }
        state.former.retain(|_, (_, until)| *until > now);
    }

    /// All groups, by the ids of their upstreams.
    pub fn groups(&self) -> Vec<(Uuid, Arc<Group>)> {
        let state = self.state.lock();
        let groups = state.groups.iter();
        groups.map(|(id, group)| (*id, group.clone())).collect()
    }

    fn nothing(&self) -> Arc<Known> {
        Arc::new(Known {
            off: Mutex::default(),
            addresses: Mutex::default(),
            common: Common::new(self.clock.clone()),
            queue: Arc::default(),
        })
    }
}

impl State {
    /// What was known of an upstream with this name.
    fn inherited(&mut self, name: &str) -> Option<Arc<Known>> {
        // Names are unique, so whoever has it now is gone, though nobody said so yet.
        let namesake = self.by_name.get(name).and_then(|id| self.groups.get(id));
        let namesake = namesake.filter(|namesake| *namesake.name == *name);
        match namesake {
            Some(namesake) => Some(namesake.known.clone()),
            None => self.former.remove(name).map(|(known, _)| known),
        }
    }
}

impl Known {
    fn has_verdicts(&self) -> bool {
        let addresses = self.addresses.lock();
        addresses.values().any(|address| !address.is_healthy())
    }

    /// Notes whether there are checks from now on.
    fn turn(&self, on: bool, now: Instant) {
        let mut off = self.off.lock();
        if !on {
            off.get_or_insert(now);
            return;
        }
        let since = off.take();
        if since.is_some_and(|since| now.saturating_duration_since(since) >= KEPT) {
            for address in self.addresses.lock().values() {
                address.forget();
            }
        }
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
        self.known.common.turns()
    }

    /// Resolves when a verdict has changed since the last time. For one waiter.
    pub(crate) async fn turned(&self) {
        self.known.common.turned.notified().await;
    }

    /// Where requests wait for an address that takes another one.
    pub fn queue(&self) -> &Arc<Queue> {
        &self.known.queue
    }

    /// What is known of addresses, in their order; new ones are healthy.
    pub fn health(&self, addresses: &[Address]) -> Vec<Arc<AddressHealth>> {
        let mut known = self.known.addresses.lock();
        let common = &self.known.common;
        let joins = !known.is_empty();
        let health = addresses.iter().map(|address| {
            let entry = known.entry(key(address));
            entry
                .or_insert_with(|| Arc::new(AddressHealth::new(common.clone(), joins)))
                .clone()
        });
        health.collect()
    }

    /// What is known of one address: its target's name, its host and its port.
    pub fn address(&self, target: &str, host: &str, port: u16) -> Arc<AddressHealth> {
        let mut known = self.known.addresses.lock();
        let common = &self.known.common;
        let joins = !known.is_empty();
        let entry = known.entry((target.into(), host.into(), port));
        entry
            .or_insert_with(|| Arc::new(AddressHealth::new(common.clone(), joins)))
            .clone()
    }

    /// Every address that something is known of: its target's name, its host and its port.
    pub fn known(&self) -> Vec<(Key, Arc<AddressHealth>)> {
        let known = self.known.addresses.lock();
        let known = known.iter();
        known
            .map(|(key, health)| (key.clone(), health.clone()))
            .collect()
    }

    /// Forgets all other addresses.
    pub fn retain(&self, addresses: &[Address]) {
        let present: HashSet<Key> = addresses.iter().map(key).collect();
        let mut known = self.known.addresses.lock();
        known.retain(|key, _| present.contains(key));
    }
}
