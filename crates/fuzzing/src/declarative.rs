//! Declarative configuration.

use std::time::{Duration, UNIX_EPOCH};

use declarative::{Context, Document, Format};
use stdx::ManualClock;
use store::Catalog;

pub const DOCUMENTS: &[&[u8]] = &[
    b"_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://a.test/x\n  routes:\n  - name: r\n    paths: [/a, ~/b$]\n    hosts:\n    - h\n",
    br#"{"_format_version":"1.1","_transform":false,"upstreams":[{"name":"u","targets":[{"target":"a:80","weight":1}]}]}"#,
    b"_format_version: \"2.1\"\nconsumers:\n- username: c\n  tags: &t [x, y]\nservices:\n- {name: s, host: h, tags: *t}\n",
    b"_format_version: \"3.0\"\ncertificates:\n- cert: |\n    -----BEGIN CERTIFICATE-----\n  key: x\n  snis: [a.test]\n",
];

pub const WORDS: &[&[u8]] = &[
    b"- ",
    b": ",
    b"\n",
    b"  ",
    b"\t",
    b"&a ",
    b"*a",
    b"<<: ",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"|\n",
    b"null",
    b"~",
    b"1e999",
    b"_format_version",
    b"services",
    b"routes",
    b"plugins",
    b"service",
    b"id",
    b"tags",
    b"!!str ",
    b"---\n",
    b"\xff",
    b"\0",
];

/// Any text is a configuration or a list of errors, and the same both times.
pub fn document(input: &[u8]) {
    let clock = ManualClock::at(UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    let subschemas = entities::for_flavor(entities::RouterFlavor::default());
    let catalog = Catalog::new(entities::all());
    let context = Context {
        catalog: &catalog,
        subschemas,
        clock: &clock,
    };
    for format in [Format::Auto, Format::Json, Format::Yaml] {
        let Ok(document) = Document::read(input, format) else {
            continue;
        };
        let parsed = document.parse(&context).map(|config| config.to_json());
        let again = declarative::parse(input, format, &context).map(|config| config.to_json());
        assert_eq!(parsed.is_ok(), again.is_ok(), "the second time differs");
    }
}
