//! Why a route cannot be compiled.

/// What is wrong with a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The regular expression of a path or header does not compile, or is too big.
    #[error("invalid regular expression '{pattern}': {reason}")]
    Regex { pattern: String, reason: String },
    /// The expression does not parse, or names what does not exist.
    #[error("Router Expression failed validation: {0}")]
    Expression(String),
    /// Nothing in the route can be compared with a request.
    #[error("the route has no matching field")]
    Empty,
    /// A host that is longer than any name can be.
    #[error("the host '{0}' is too long")]
    HostTooLong(String),
}
