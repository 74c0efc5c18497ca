//! Which parts of requests the node wants spans of, and when plugins had their turns, for those who make them.

use std::time::SystemTime;

use crate::Phase;

/// The node's settings for traces.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Spans {
    /// Of requests as a whole; without it there is no other.
    pub request: bool,
    /// Of attempts to reach an upstream.
    pub balancer: bool,
    /// Of plugins in the phase `rewrite`.
    pub plugin_rewrite: bool,
    /// Of plugins in the phase `access`.
    pub plugin_access: bool,
    /// Of plugins in the phase `header_filter`.
    pub plugin_header_filter: bool,
    /// The share of the traces that is recorded, from 0 to 1.
    pub sampling_rate: f64,
}

impl Spans {
    /// Whether the turns of plugins in a phase are wanted.
    pub fn plugins_in(&self, phase: Phase) -> bool {
        match phase {
            Phase::Rewrite => self.plugin_rewrite,
            Phase::Access => self.plugin_access,
            Phase::HeaderFilter => self.plugin_header_filter,
            _ => false,
        }
    }

    /// Whether any turns of plugins are wanted.
    pub fn plugins(&self) -> bool {
        self.plugin_rewrite || self.plugin_access || self.plugin_header_filter
    }
}

/// One turn of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    pub plugin: Box<str>,
    pub phase: Phase,
    pub began: SystemTime,
    pub ended: SystemTime,
}
