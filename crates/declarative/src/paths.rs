//! Route paths of the formats before 3.0, where a path was a regular expression if it looked like one.
//!
//! Since 3.0 a regular expression begins with `~`, and a plain path is compared after normalisation.

use serde_json::Value;

/// Characters that stay percent-encoded in a regular expression.
const RESERVED: &[u8] = b"!#$%&'()*+,/:;=?@[]";

/// Characters that must not turn into an operator of the regular expression when they are decoded.
const OPERATORS: &[u8] = b".^-{}\\|";

/// Rewrites the paths of all routes, at the top level and below services.
pub(crate) fn migrate(document: &mut serde_json::Map<String, Value>) {
    migrate_routes(document.get_mut("routes"));
    if let Some(Value::Array(services)) = document.get_mut("services") {
        for service in services {
            migrate_routes(service.get_mut("routes"));
        }
    }
}

fn migrate_routes(routes: Option<&mut Value>) {
    let Some(Value::Array(routes)) = routes else {
        return;
    };
    for route in routes {
        if let Some(Value::Array(paths)) = route.get_mut("paths") {
            for path in paths {
                if let Value::String(text) = path {
                    *text = migrate_path(text);
                }
            }
        }
    }
}

/// One path of format 1.1 or 2.1 as format 3.0 writes it.
pub(crate) fn migrate_path(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_~/%".contains(&byte);
    if path.bytes().all(plain) {
        entities::uri::normalize_path(path)
    } else {
        format!("~{}", decode_unreserved(path))
    }
}

/// Decodes `%41` and the like, except where that would change what the expression means.
fn decode_unreserved(regex: &str) -> String {
    let mut out = Vec::with_capacity(regex.len());
    let mut rest = regex.as_bytes();
    while let [first, tail @ ..] = rest {
        let code = match tail {
            [high, low, ..] if *first == b'%' => hex(*high, *low),
            _ => None,
        };
        match (code, tail) {
            (Some(byte), [high, low, after @ ..]) => {
                if RESERVED.contains(&byte) {
                    out.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                } else if OPERATORS.contains(&byte) {
                    out.extend([b'\\', byte]);
                } else {
                    out.push(byte);
                }
                rest = after;
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(high: u8, low: u8) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

#[cfg(test)]
mod tests {
    use super::migrate_path;

    #[test]
    fn regular_expressions_get_a_tilde_and_plain_paths_are_normalised() {
        let cases = [
            ("/prefix", "/prefix"),
            ("/a-b_c.d~e/%2F", "/a-b_c.d~e/%2F"),
            ("/regex.+", "~/regex.+"),
            (r"/status/\d+", r"~/status/\d+"),
            ("/(a|b)%41%2e%2f", r"~/(a|b)A\.%2F"),
            ("/[a]%zz%4", "~/[a]%zz%4"),
            ("/a//b/../%63", "/a/c"),
            ("/größe", "~/größe"),
            ("", ""),
        ];
        for (path, expected) in cases {
            assert_eq!(migrate_path(path), expected, "{path}");
        }
    }
}
