//! The normal form of a path: what a request path is turned into before routing, and what route paths must be in.

/// Characters that mean something in a URI, whose escapes are kept.
const RESERVED: &[u8] = b"!*'();:@&=+$,/?%#[]";

/// Decodes escapes that carry no meaning, writes the others in upper case, resolves `.` and `..`, and merges slashes.
///
/// The result may hold bytes that are no UTF-8; they are replaced, which never happens for a path that was normal.
pub fn normalize_path(path: &str) -> String {
    let decoded = decode(path.as_bytes());
    String::from_utf8_lossy(&resolve(&decoded)).into_owned()
}

fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        let escape = (*byte == b'%')
            .then(|| path.get(at + 1..at + 3))
            .flatten()
            .and_then(hex_pair);
        match escape {
            Some(decoded) if RESERVED.contains(&decoded) => {
                out.extend(format!("%{decoded:02X}").into_bytes());
                at += 3;
            }
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    out
}

fn hex_pair(pair: &[u8]) -> Option<u8> {
    let text = std::str::from_utf8(pair)
        .ok()
        .filter(|text| text.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u8::from_str_radix(text, 16).ok()
}

fn resolve(path: &[u8]) -> Vec<u8> {
    let absolute = path.first() == Some(&b'/');
    let trailing = matches!(
        path.rsplit(|byte| *byte == b'/').next(),
        Some(b"" | b"." | b"..")
    );
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in path.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    let mut out = Vec::with_capacity(path.len());
    for (at, segment) in segments.iter().enumerate() {
        if at > 0 || absolute {
            out.push(b'/');
        }
        out.extend_from_slice(segment);
    }
    if trailing && (absolute || !segments.is_empty()) {
        out.push(b'/');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_brought_into_their_normal_form() {
        for (path, normal) in [
            ("", ""),
            ("/", "/"),
            ("/a/../b", "/b"),
            ("/a/./b", "/a/b"),
            ("/a/..", "/"),
            ("/a/.", "/a/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a//b/", "/a/b/"),
            ("/%61bc", "/abc"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%2", "/a%2"),
            ("/%2e%2e/a", "/a"),
            ("/a b", "/a b"),
            ("/%e4%bd%a0", "/你"),
        ] {
            assert_eq!(normalize_path(path), normal, "{path}");
        }
    }
}
