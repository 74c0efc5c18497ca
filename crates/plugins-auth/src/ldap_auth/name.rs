//! Names of entries.

use std::fmt::Write as _;

/// The name of the entry of a user below another one (RFC 4514), such as `uid=alice,ou=people,dc=example`.
///
/// What a client calls itself is a value and nothing else: no user reaches another branch or attribute by a name.
/// Compat: Kong takes what the client says as it is.
pub(super) fn entry_of(user: &str, attribute: &str, base: &str) -> String {
    let mut name = format!("{attribute}=");
    let last = user.chars().count().saturating_sub(1);
    for (at, character) in user.chars().enumerate() {
        let is_edge = at == 0 || at == last;
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=' => name.extend(['\\', character]),
            '#' if at == 0 => name.push_str("\\#"),
            ' ' if is_edge => name.push_str("\\ "),
            control if control.is_ascii_control() => {
                // Writing to a string does not fail.
                let _ = write!(name, "\\{:02X}", u32::from(control));
            }
            other => name.push(other),
        }
    }
    name.push(',');
    name.push_str(base);
    name
}
