//! Normal forms and upstream paths.

use proptest::prelude::*;

use crate::{PathHandling, UpstreamPath, escape_path, normalize_path};

fn normal(path: &str) -> String {
    String::from_utf8_lossy(&normalize_path(path.as_bytes())).into_owned()
}

#[test]
fn brings_paths_into_the_form_that_kong_matches() {
    let cases = [
        ("/", "/"),
        ("", ""),
        ("/a/b", "/a/b"),
        ("/%61bc", "/abc"),
        ("/%61b%63/%7Euser", "/abc/~user"),
        ("/a%2Fb", "/a%2Fb"),
        ("/a%2fb", "/a%2Fb"),
        ("/a/%2e%2e/b/c", "/b/c"),
        ("/a/%2E./b/d", "/b/d"),
        ("/%2525", "/%2525"),
        ("/100%25", "/100%25"),
        ("/p/../p//%7Ex/./y%2fz", "/p/~x/y%2Fz"),
        ("/../../top/x", "/top/x"),
        ("/a//b///c", "/a/b/c"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/..", "/"),
        ("/a/b/../", "/a/"),
        ("//", "/"),
        ("/a.b/..c/d..", "/a.b/..c/d.."),
        ("/bad%zz%4", "/bad%zz%4"),
        ("*", "*"),
        ("/caf%c3%a9", "/café"),
    ];
    for (path, expected) in cases {
        assert_eq!(normal(path), expected, "{path}");
    }
}

#[test]
fn keeps_bytes_that_are_not_utf8() {
    assert_eq!(&*normalize_path(b"/%ff%FE"), b"/\xff\xfe");
    assert_eq!(&*escape_path(b"/\xff\xfe"), b"/%FF%FE");
}

#[test]
fn encodes_only_what_may_not_stand_in_a_target() {
    let path = b"/r/a\"b<c>d{e}f|g\\h^i`j[k] l%20#";
    assert_eq!(
        &*escape_path(path),
        b"/r/a%22b%3Cc%3Ed%7Be%7Df%7Cg%5Ch%5Ei%60j[k]%20l%20#"
    );
}

proptest! {
    #[test]
    fn agrees_with_the_algorithm_of_rfc3986_with_merged_slashes(path in "(/|\\.|a|b|%2e|%2E|%41|%2f|%5f|%c3){0,14}") {
        prop_assert_eq!(normalize_path(path.as_bytes()).into_owned(), reference(path.as_bytes()));
    }

    #[test]
    fn a_normal_form_has_no_dot_segments_and_climbs_nowhere(path in "/[ab./%2eE]{0,20}") {
        let normal = normalize_path(path.as_bytes()).into_owned();
        prop_assert!(normal.starts_with(b"/"));
        prop_assert!(!normal.windows(2).any(|pair| pair == b"//"));
        prop_assert!(!normal.split(|b| *b == b'/').any(|segment| matches!(segment, b"." | b"..")));
    }

    #[test]
    fn nothing_unsafe_is_left_in_an_upstream_path(
        path in proptest::collection::vec(any::<u8>(), 0..20),
        base in proptest::collection::vec(any::<u8>(), 0..6),
        matched in proptest::option::of(0usize..24),
        strip_path: bool,
        v1: bool,
    ) {
        let handling = if v1 { PathHandling::V1 } else { PathHandling::V0 };
        let mut out = Vec::new();
        UpstreamPath { path: &path, matched, base: &base, strip_path, handling }.write(&mut out);
        prop_assert!(out.iter().all(|byte| byte.is_ascii_graphic()));
    }
}

/// RFC 3986 section 5.2.4 step by step, after decoding; runs of slashes count as one.
fn reference(path: &[u8]) -> Vec<u8> {
    if path.is_empty() || path == b"/" {
        return path.to_vec();
    }
    let mut input = Vec::new();
    let mut at = 0;
    while at < path.len() {
        let digits = path
            .get(at + 1..at + 3)
            .and_then(|d| std::str::from_utf8(d).ok());
        let value = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match value.filter(|_| path[at] == b'%') {
            Some(value) if b"!*'();:@&=+$,/?%#[]".contains(&value) => {
                input.extend(path[at..at + 3].to_ascii_uppercase());
                at += 3;
            }
            Some(value) => {
                input.push(value);
                at += 3;
            }
            None => {
                input.push(path[at]);
                at += 1;
            }
        }
    }
    let mut output: Vec<Vec<u8>> = Vec::new();
    while !input.is_empty() {
        let cut = |n: usize, input: &mut Vec<u8>| drop(input.drain(..n));
        if input.starts_with(b"../") {
            cut(3, &mut input);
        } else if input.starts_with(b"./") || input.starts_with(b"/./") {
            cut(2, &mut input);
        } else if input == b"/." {
            cut(1, &mut input);
            input = b"/".to_vec();
        } else if input.starts_with(b"/../") || input == b"/.." {
            let n = 3.min(input.len());
            cut(n, &mut input);
            if input.is_empty() {
                input = b"/".to_vec();
            }
            output.pop();
        } else if input == b"." || input == b".." {
            input.clear();
        } else if input.starts_with(b"//") {
            cut(1, &mut input);
        } else {
            let end = input
                .iter()
                .skip(1)
                .position(|b| *b == b'/')
                .map_or(input.len(), |n| n + 1);
            output.push(input.drain(..end).collect());
        }
    }
    output.concat()
}

fn upstream(
    base: &str,
    handling: PathHandling,
    strip_path: bool,
    matched: Option<usize>,
    path: &str,
) -> String {
    let mut out = Vec::new();
    let parts = UpstreamPath {
        path: path.as_bytes(),
        matched,
        base: base.as_bytes(),
        strip_path,
        handling,
    };
    parts.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn joins_service_and_request_paths_as_kong_does() {
    use PathHandling::{V0, V1};
    // Service path, handling, strip_path, length of the route's path, request path, upstream path.
    let cases = [
        ("/", V0, true, Some(2), "/r", "/"),
        ("/", V0, true, Some(2), "/r/", "/"),
        ("/", V0, true, Some(2), "/rx", "/x"),
        ("/", V0, true, Some(2), "/r/x/", "/x/"),
        ("/", V0, true, Some(3), "/t/x", "/x"),
        ("/up", V0, true, Some(2), "/r", "/up"),
        ("/up", V0, true, Some(2), "/r/", "/up/"),
        ("/up", V0, true, Some(2), "/rx", "/up/x"),
        ("/up", V0, true, Some(3), "/t/", "/up/"),
        ("/up/", V0, true, Some(2), "/r", "/up"),
        ("/up/", V0, true, Some(2), "/r/", "/up/"),
        ("/up/", V0, true, Some(2), "/r/x", "/up/x"),
        ("/up/", V0, true, Some(3), "/t/x", "/up/x"),
        ("/up", V0, false, Some(2), "/r/x", "/up/r/x"),
        ("/up", V0, false, None, "/", "/up"),
        ("/up/", V0, false, Some(2), "/r", "/up/r"),
        ("/", V0, false, Some(2), "/r/x", "/r/x"),
        ("/up", V0, true, Some(1), "/", "/up"),
        ("/up", V0, true, Some(1), "/x/", "/up/x/"),
        ("/up", V0, true, None, "/x", "/up/x"),
        ("/", V0, true, None, "/", "/"),
        (
            "/a%20b/%C3%A9",
            V0,
            true,
            Some(2),
            "/r/x y",
            "/a%20b/%C3%A9/x%20y",
        ),
        ("/", V0, true, Some(4), "/foo../x", "/x"),
        ("/", V0, true, Some(4), "/foo..", "/"),
        ("/up", V1, true, Some(2), "/r", "/up"),
        ("/up", V1, true, Some(2), "/rx", "/upx"),
        ("/up", V1, true, Some(2), "/r/x", "/up/x"),
        ("/up/", V1, true, Some(2), "/r/x", "/up/x"),
        ("/up/", V1, true, Some(2), "/r", "/up/"),
        ("/up", V1, false, Some(2), "/r/x", "/upr/x"),
        ("/up/", V1, false, Some(2), "/r/x", "/up/r/x"),
        ("/", V1, false, Some(2), "/r", "/r"),
    ];
    for (base, handling, strip, matched, path, expected) in cases {
        let made = upstream(base, handling, strip, matched, path);
        assert_eq!(
            made, expected,
            "{base} {handling:?} strip {strip} {matched:?} {path}"
        );
    }
}
