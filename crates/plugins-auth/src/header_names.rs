//! Names of headers as configuration writes them.

/// The name with dashes in place of underscores, if it has any.
///
/// Compat: a header whose name has dashes may be configured with underscores
/// (pinned by `a_dash_in_a_header_may_be_written_as_an_underscore`).
pub(crate) fn dashed(name: &str) -> Option<String> {
    name.contains('_').then(|| name.replace('_', "-"))
}
