//! The settings of an upstream that choose an algorithm and its key.

/// An upstream's `algorithm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    #[default]
    RoundRobin,
    ConsistentHashing,
    LeastConnections,
    Latency,
}

impl Algorithm {
    /// Reads the field's value.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "round-robin" => Some(Self::RoundRobin),
            "consistent-hashing" => Some(Self::ConsistentHashing),
            "least-connections" => Some(Self::LeastConnections),
            "latency" => Some(Self::Latency),
            _ => None,
        }
    }
}

/// What of a request is hashed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum HashInput {
    /// Nothing: every request has the same, empty key.
    #[default]
    None,
    /// The consumer's id, or else the credential's.
    Consumer,
    /// The client's address.
    Ip,
    /// A header; several lines are joined by commas.
    Header(Box<str>),
    /// A cookie; a client without it is given one with a random value, for this path.
    Cookie { name: Box<str>, path: Box<str> },
    /// The request path.
    Path,
    /// A query argument; several values are sorted and joined by commas.
    QueryArg(Box<str>),
    /// A group of the route's regular expression, by name or number.
    UriCapture(Box<str>),
}

/// What is hashed, and what instead if a request does not have it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct HashPolicy {
    pub on: HashInput,
    pub fallback: HashInput,
}
