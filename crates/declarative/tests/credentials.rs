//! Credentials make the round trip as well: what is hashed once stays as it is.

#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]

use declarative::{Context, Document, Format, export, import};
use entities::RouterFlavor;
use stdx::SystemClock;
use store::{Catalog, Store};
use store_sqlite::{Options, SqliteStore};

const TEXT: &str = r#"
_format_version: "3.0"
consumers:
- username: bob
  keyauth_credentials: [{key: "007", tags: [a]}]
  basicauth_credentials: [{username: bob, password: "correct horse"}]
  acls: [{group: admins}, {group: "no"}]
  jwt_secrets: [{key: issuer, secret: s, algorithm: HS512}]
  hmacauth_credentials: [{username: bob, secret: shared}]
  oauth2_credentials: [{name: app, client_id: id, client_secret: secret, hash_secret: true, redirect_uris: ["https://app.test/"]}]
"#;

fn catalog() -> Catalog {
    Catalog::new(plugins::catalog(RouterFlavor::default()).all())
}

async fn import_text(store: &SqliteStore, text: &str) {
    let context = Context {
        catalog: &catalog(),
        subschemas: plugins::catalog(RouterFlavor::default()),
        clock: &SystemClock,
    };
    let document = Document::read(text.as_bytes(), Format::Auto).unwrap();
    let config = document.parse(&context).unwrap();
    import(store, &catalog(), &config).await.unwrap();
}

/// The value of a field in the text.
fn value<'t>(text: &'t str, field: &str) -> &'t str {
    let (_, rest) = text.split_once(&format!(" {field}: ")).unwrap();
    rest.lines().next().unwrap().trim_matches('"')
}

#[tokio::test]
async fn hashes_stay_as_they_are_through_two_stores_and_a_second_import() {
    let folder = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        SqliteStore::open(&folder.path().join(name), catalog(), Options::default()).unwrap()
    };
    let (first, second) = (open("first"), open("second"));
    import_text(&first, TEXT).await;
    let exported = export(&first, &catalog()).await.unwrap();
    assert!(!exported.contains("correct horse"), "{exported}");

    let hash = value(&exported, "password");
    assert!(
        hash.len() == 40 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()),
        "{hash}"
    );
    assert_ne!(value(&exported, "client_secret"), "secret");

    import_text(&second, &exported).await;
    assert_eq!(export(&second, &catalog()).await.unwrap(), exported);
    let version = second.version().await.unwrap();
    import_text(&second, &exported).await;
    assert_eq!(second.version().await.unwrap(), version);
}
