//! The commands on PostgreSQL: migrations with Kong's words and exit statuses, and nodes that refuse what they cannot use.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::process::Stdio;

use fleet::{Durability, Postgres};
use serde_json::{Value, json};

use crate::place::{Place, request, texts};

/// A server with an empty database, and a place whose node is to use it.
fn database() -> (Postgres, Place) {
    let server = Postgres::start(Durability::Fast).expect("a server");
    server.create_database("gateway").expect("a database");
    let place = Place::new()
        .with("DATABASE", "postgres")
        .with("PG_HOST", "127.0.0.1")
        .with("PG_PORT", &server.port().to_string())
        .with("PG_PASSWORD", "{vault://env/the-password}")
        .with("PG_DATABASE", "gateway");
    let place = place.with_variable("THE_PASSWORD", server.password());
    (server, place)
}

fn exit_status(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = place.run(arguments);
    let (out, err) = texts(&output);
    (output.status.code(), out + &err)
}

#[test]
fn migrations_speak_like_kong() {
    let (_server, place) = database();
    let (status, said) = exit_status(&place, &["migrations", "list"]);
    assert_eq!(status, Some(3), "{said}");
    assert!(said.contains("Database needs bootstrapping"), "{said}");
    assert_eq!(
        serde_json::from_str::<Value>(&place.succeed(&["migrations", "status"])).expect("JSON"),
        json!({ "needs_bootstrap": true })
    );
    for command in ["up", "finish"] {
        let said = place.fail(&["migrations", command]);
        let expected = "Cannot run migrations: Database needs bootstrapping";
        assert!(said.contains(expected), "{said}");
    }

    let said = place.succeed(&["migrations", "bootstrap"]);
    assert!(said.starts_with("Bootstrapping database..."), "{said}");
    assert!(said.ends_with("Database is up-to-date\n"), "{said}");
    let said = place.succeed(&["migrations", "bootstrap"]);
    assert_eq!(said, "Database already bootstrapped\n");
    let said = place.succeed(&["migrations", "up"]);
    assert_eq!(said, "Database is already up-to-date\n");
    let said = place.succeed(&["migrations", "finish"]);
    assert_eq!(said, "No pending migrations to finish\n");
    let said = place.succeed(&["migrations", "list"]);
    assert!(said.starts_with("Executed migrations:\n"), "{said}");
    assert!(said.contains("core: 000_base, "), "{said}");
    let status = place.succeed(&["migrations", "status"]);
    let status: Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["needs_bootstrap"], false);
    assert_eq!(status["executed_migrations"][0]["subsystem"], "core");
    assert!(status.get("new_migrations").is_none(), "{status}");

    let output = place
        .command(&["migrations", "reset"])
        .stdin(Stdio::null())
        .output()
        .expect("the program runs");
    let (_, said) = texts(&output);
    assert!(
        said.contains("non-interactively with the --yes flag"),
        "{said}"
    );
    let said = place.succeed(&["migrations", "reset", "--yes"]);
    assert_eq!(said, "Resetting database...\nDatabase successfully reset\n");
    let (status, said) = exit_status(&place, &["migrations", "reset", "--yes"]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("nothing to reset"), "{said}");
    assert_eq!(place.succeed(&["migrations", "bootstrap", "-q"]), "");
    let said = place.succeed(&["migrations", "bootstrap", "--force"]);
    assert!(said.contains("Database successfully reset"), "{said}");
    assert!(said.contains("Database is up-to-date"), "{said}");
}

#[test]
fn nodes_that_migrate_at_once_wait_for_each_other() {
    let (_server, place) = database();
    let running: Vec<_> = (0..3)
        .map(|_| {
            place
                .command(&["migrations", "bootstrap"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("the program runs")
        })
        .collect();
    let mut done = 0;
    for command in running {
        let output = command.wait_with_output().expect("it ends");
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{out}{err}");
        let finished = out.ends_with("Database is up-to-date\n");
        assert!(
            finished || out.ends_with("Database already bootstrapped\n"),
            "{out}"
        );
        done += usize::from(finished);
    }
    assert_eq!(done, 1, "only one of them makes the tables");
}

#[test]
fn a_node_starts_on_a_database_that_is_bootstrapped_and_on_no_other() {
    let (server, place) = database();
    let said = place.fail(&["start"]);
    assert!(said.contains("Database needs bootstrapping"), "{said}");
    place.succeed(&["migrations", "bootstrap"]);
    place.succeed(&["start"]);
    let answer = request(place.admin, "GET", "/", "");
    assert!(
        answer.body.contains(r#""database":"postgres""#),
        "{answer:?}"
    );
    assert!(!answer.body.contains(server.password()), "{answer:?}");
    place.succeed(&["stop"]);
}

#[test]
fn a_node_without_its_database_and_without_a_copy_says_so() {
    let (server, place) = database();
    server.stop(fleet::Stop::Fast).expect("it stops");
    let said = place.fail(&["start"]);
    assert!(said.contains("out of reach"), "{said}");
    assert!(!said.contains(server.password()), "{said}");
}
