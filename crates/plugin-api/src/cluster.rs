//! What the nodes of a cluster tell each other beside the configuration.

use std::sync::Arc;

use crate::{BoxFuture, Unavailable};

/// Called with each word of another node, on the control side; it must not block.
pub type Hearer = Arc<dyn Fn(&str) + Send + Sync>;

/// Words between the nodes that share a database, Kong's nodes included: purges of caches, marks by hand.
///
/// A word reaches each other node that is alive within milliseconds, and a node that was cut off from the database for
/// less than an hour when it is back. It may arrive more than once, and what is told twice may arrive in any order. A
/// node that starts hears nothing of what was told before. Without a shared database there is nobody to tell.
pub trait Cluster: Send + Sync {
    /// Tells all other nodes; the teller does not hear it.
    ///
    /// # Errors
    /// When the database is out of reach. The word is kept then, and told when the database is back, unless this node
    /// ends before or very many words wait.
    fn tell(&self, channel: &'static str, text: String) -> BoxFuture<Result<(), Unavailable>>;

    /// Has what others tell on a channel handed to somebody from now on, in place of whoever heard it before.
    ///
    /// Compat: the channels and texts are those of Kong's `cluster_events` where Kong has a word for the same thing, such
    /// as `proxy-cache:purge`, so that its nodes and ours understand each other.
    fn hear(&self, channel: &'static str, hearer: Hearer);
}
