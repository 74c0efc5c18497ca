//! Routes and paths.

use std::sync::LazyLock;

use router::{
    Change, Flavor, HeaderRule, Protocol, RareRules, Request, RouteSpec, Router, escape_path,
    normalize_path,
};
use uuid::Uuid;

pub const REQUESTS: &[&[u8]] = &[
    b"GET\na.test\n/users/1",
    b"POST\nb.a.test:8443\n/v1/orders/..%2Fx",
    b"DELETE\n\n/",
    b"GET\nxn--caf-dma.test\n/caf%C3%A9\nX-Version: 2",
];

pub const PATHS: &[&[u8]] = &[
    b"/",
    b"/a/b/../c",
    b"/a//b/./%7Euser/%2e%2e/%2F",
    b"/caf%c3%a9/%20",
    b"/..;/x#y",
];

pub const WORDS: &[&[u8]] = &[
    b"/",
    b"//",
    b".",
    b"..",
    b"/../",
    b"%2e",
    b"%2F",
    b"%",
    b"%00",
    b"%zz",
    b"%25",
    b"\n",
    b"a.test",
    b"*.",
    b":80",
    b"/users",
    b"/v1",
    b"\xff",
    b"\xc3\xa9",
    b"GET",
    b"X-Version: 2",
    b"[::1]",
    b"#",
    b"?",
];

const FLAVORS: [Flavor; 3] = [
    Flavor::TraditionalCompatible,
    Flavor::Traditional,
    Flavor::Expressions,
];

static ROUTERS: LazyLock<Vec<Router<RouteSpec>>> = LazyLock::new(|| FLAVORS.map(router).into());

fn router(flavor: Flavor) -> Router<RouteSpec> {
    let hosts = [
        &[][..],
        &["a.test"],
        &["*.a.test"],
        &["b.*"],
        &["a.test:8443", "[::1]"],
    ];
    let paths = [
        &[][..],
        &["/"],
        &["/users"],
        &["/users/1", "/v1/orders"],
        &["~/v[0-9]+/(?<rest>.*)$"],
        &["/caf%C3%A9"],
    ];
    let mut specs = Vec::new();
    for hosts in hosts {
        for paths in paths {
            specs.push(RouteSpec {
                id: Uuid::from_u128(specs.len() as u128 + 1),
                protocols: [Protocol::Http, Protocol::Https].into_iter().collect(),
                hosts: hosts.iter().map(|host| Box::from(*host)).collect(),
                paths: paths.iter().map(|path| Box::from(*path)).collect(),
                rare: rare(specs.len()),
                ..RouteSpec::default()
            });
        }
    }
    let changes = specs.into_iter().map(|spec| Change {
        before: None,
        after: Some(spec),
    });
    Router::new(flavor).update(changes).0
}

fn rare(number: usize) -> Option<Box<RareRules>> {
    let header = HeaderRule {
        name: "x-version".into(),
        values: vec!["2".into(), "~*^v".into()],
    };
    match number % 4 {
        1 => Some(RareRules {
            methods: vec!["GET".into(), "POST".into()],
            ..RareRules::default()
        }),
        2 => Some(RareRules {
            headers: vec![header],
            ..RareRules::default()
        }),
        3 => Some(RareRules {
            expression: Some(r#"http.path ^= "/v1" && http.host == "a.test""#.into()),
            priority: number as u64,
            ..RareRules::default()
        }),
        _ => None,
    }
    .map(Box::new)
}

/// The input is a method, a host, a path and header lines, a line each.
pub fn route_match(input: &[u8]) {
    let mut lines = input.split(|&byte| byte == b'\n');
    let method = lines.next().unwrap_or_default();
    let host = lines.next().filter(|host| !host.is_empty());
    let path = normalize_path(lines.next().unwrap_or(b"/"));
    let headers: Vec<(&[u8], &[u8])> = lines
        .filter_map(|line| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            Some((&line[..colon], line[colon + 1..].trim_ascii()))
        })
        .collect();
    let request = Request {
        headers: &headers.as_slice(),
        ..Request::http(method, host, &path)
    };
    for router in ROUTERS.iter() {
        let found = router.find(&request);
        let again = router.find(&request);
        assert_eq!(
            found.as_ref().map(|found| found.route.id),
            again.as_ref().map(|found| found.route.id),
            "a request matches differently the second time"
        );
        if let Some(found) = found {
            assert!(
                found.matched_len().is_none_or(|len| len <= path.len()),
                "more was matched than there is"
            );
        }
    }
}

/// The normal form has no dot segments and no empty ones, and can be escaped into a request target.
pub fn path_normalise(input: &[u8]) {
    let path = [b"/", input].concat();
    let normal = normalize_path(&path);
    assert_eq!(normal.first(), Some(&b'/'), "the path is not absolute");
    let segments: Vec<&[u8]> = normal.split(|&byte| byte == b'/').collect();
    assert!(
        !segments
            .iter()
            .any(|segment| matches!(segment, [b'.'] | [b'.', b'.'])),
        "a dot segment is left"
    );
    assert!(
        !normal.windows(2).any(|pair| pair == b"//"),
        "an empty segment is left"
    );
    let escaped = escape_path(&normal);
    assert!(
        escaped.iter().all(|&byte| byte > b' ' && byte < 0x7f),
        "the target would break the request line"
    );
}
