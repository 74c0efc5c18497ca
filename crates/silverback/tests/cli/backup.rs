//! Backups of real stores by the real program: while a node serves, into another kind of store, and cut off half-way.
#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use fleet::{Durability, Postgres};
use serde_json::Value;

use crate::place::{Place, eventually, request};

/// What a command that is killed half-way has to do: a while of work, also for a fast machine.
const MANY: usize = 20_000;

fn texts_of(place: &Place, file: &str) -> String {
    place.succeed(&["config", "db_export", file, "--force"]);
    fs::read_to_string(file).expect("a file")
}

fn path(place: &Place, name: &str) -> String {
    place.folder().join(name).display().to_string()
}

/// Imports one service with a route, a certificate's worth of text, and as many consumers as wanted.
fn fill(place: &Place, consumers: usize) {
    let mut text = format!(
        "_format_version: \"3.0\"\nservices:\n- name: s\n  url: http://127.0.0.1:{}/status\n  tags: [z, a]\n  \
         routes:\n  - name: r\n    paths: [/first]\nconsumers:\n",
        place.status
    );
    for number in 0..consumers {
        text.push_str(&format!(
            "- username: consumer-{number}\n  tags: [t{number}]\n"
        ));
    }
    let file = path(place, "fill.yml");
    fs::write(&file, text).expect("written");
    place.succeed(&["config", "db_import", &file]);
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let ends = |path: &PathBuf| path.to_string_lossy().ends_with(ending);
    paths.filter(ends).collect()
}

/// Kills a command as soon as something holds; it must not end before.
fn kill_when(mut command: Child, what: &str, mut holds: impl FnMut() -> bool) {
    eventually(what, || {
        let ended = command.try_wait().expect("a process");
        assert!(ended.is_none(), "it ended before: {what}");
        holds()
    });
    command.kill().expect("killed");
    command.wait().expect("ended");
}

#[test]
fn a_node_serves_while_its_store_is_backed_up_and_restored() {
    let place = Place::new();
    place.succeed(&["start"]);
    let upstream = format!("http://127.0.0.1:{}/status", place.status);
    place.add_route("/first", &upstream);
    let folder = path(&place, "backups/");
    let said = place.succeed(&["backup", "--to", &folder]);
    assert!(said.contains(": 2 records of version "), "{said}");
    let backup = said.split_once(": ").map(|(file, _)| file.to_owned());
    let backup = backup.expect("the file comes first");
    let said = place.succeed(&["verify", &backup]);
    assert!(said.contains("is good: 2 records"), "{said}");
    assert!(said.contains("of the kind sqlite"), "{said}");

    place.add_route("/second", &upstream);
    let routes = request(place.admin, "GET", "/services/first/routes", "").body;
    let routes: Value = serde_json::from_str(&routes).expect("JSON");
    let id = routes["data"][0]["id"].as_str().expect("an id");
    let deleted = request(place.admin, "DELETE", &format!("/routes/{id}"), "");
    assert_eq!(deleted.status, 204, "{deleted:?}");
    eventually("the first route is gone", || {
        request(place.proxy, "GET", "/first", "").status == 404
    });
    let complaint = place.fail(&["restore", &backup]);
    assert!(complaint.contains("with the --yes flag"), "{complaint}");
    let said = place.succeed(&["restore", &backup, "--yes"]);
    assert!(said.starts_with("restored 2 records"), "{said}");
    eventually("the node serves what was restored", || {
        request(place.proxy, "GET", "/first", "").status == 200
            && request(place.proxy, "GET", "/second", "").status == 404
    });

    for _ in 0..3 {
        place.succeed(&["backup", "--to", &folder, "--keep", "2"]);
    }
    assert_eq!(files(Path::new(&folder), ".backup").len(), 2);
    assert_eq!(fs::read_dir(&folder).expect("a folder").count(), 2);
    let file = path(&place, "one.backup");
    let complaint = place.fail(&["backup", "--to", &file, "--keep", "2"]);
    assert!(complaint.contains("--keep needs a folder"), "{complaint}");
    place.succeed(&["backup", "--to", &file]);
    let complaint = place.fail(&["backup", "--to", &file]);
    assert!(complaint.contains("exists already"), "{complaint}");
    place.succeed(&["backup", "--to", &file, "--force"]);
    place.succeed(&["stop"]);
}

#[test]
fn a_node_without_a_database_is_backed_up_as_it_serves() {
    let place = Place::new().with("DATABASE", "off");
    let file = path(&place, "one.backup");
    let complaint = place.fail(&["backup", "--to", &file]);
    assert!(
        complaint.contains("no node has had a configuration"),
        "{complaint}"
    );
    let config = path(&place, "kong.yml");
    fs::write(
        &config,
        "_format_version: \"3.0\"\nconsumers:\n- username: one\n",
    )
    .expect("written");
    let place = place.with("DECLARATIVE_CONFIG", &config);
    place.succeed(&["start"]);
    let said = place.succeed(&["backup", "--to", &file]);
    assert!(said.contains(": 1 records"), "{said}");
    assert!(
        place
            .succeed(&["verify", &file])
            .contains("of the kind off")
    );
    let complaint = place.fail(&["restore", &file, "--yes"]);
    assert!(
        complaint.contains("only works with a database"),
        "{complaint}"
    );
    place.succeed(&["stop"]);

    let other = Place::new();
    other.succeed(&["restore", &file, "--yes"]);
    let exported = texts_of(&other, &path(&other, "out.yml"));
    assert!(exported.contains("username: one"), "{exported}");
}

#[test]
fn a_backup_goes_from_one_kind_of_store_into_the_other_and_back() {
    let server = Postgres::start(Durability::Fast).expect("a server");
    server.create_database("gateway").expect("a database");
    let embedded = Place::new();
    fill(&embedded, 1500);
    let mut shared = Place::new();
    for (name, value) in server.node_settings("gateway") {
        shared = shared.with(name, &value);
    }
    shared.succeed(&["migrations", "bootstrap"]);
    let (first, second) = (path(&embedded, "1.backup"), path(&shared, "2.backup"));
    embedded.succeed(&["backup", "--to", &first]);
    shared.succeed(&["restore", &first, "--yes"]);
    let exported = texts_of(&embedded, &path(&embedded, "out.yml"));
    assert_eq!(texts_of(&shared, &path(&shared, "out.yml")), exported);

    let newest = || {
        let newest = server.query("gateway", "SELECT max(version) FROM silverback_changes");
        newest.expect("an answer")
    };
    let version = newest();
    shared.succeed(&["config", "db_import", &path(&embedded, "out.yml")]);
    shared.succeed(&["config", "db_import", &path(&shared, "out.yml")]);
    assert_eq!(newest(), version, "what is there already is left alone");

    shared.succeed(&["backup", "--to", &second]);
    let said = shared.succeed(&["verify", &second]);
    assert!(said.contains("of the kind postgres"), "{said}");
    let other = Place::new();
    other.succeed(&["restore", &second, "--yes"]);
    assert_eq!(texts_of(&other, &path(&other, "out.yml")), exported);
}

#[test]
fn a_backup_that_is_killed_leaves_nothing_that_looks_like_one() {
    let place = Place::new();
    fill(&place, MANY);
    let folder = place.folder().join("backups");
    fs::create_dir(&folder).expect("a folder");
    let to = folder.display().to_string();
    let mut command = place.command(&["backup", "--to", &to, "--keep", "1"]);
    let command = command.stdout(Stdio::null()).spawn().expect("it runs");
    kill_when(command, "the backup has begun", || {
        !files(&folder, ".partial").is_empty()
    });
    assert!(files(&folder, ".backup").is_empty());
    place.succeed(&["backup", "--to", &to]);
    assert_eq!(files(&folder, ".backup").len(), 1);
    assert!(files(&folder, ".partial").is_empty());
}

#[test]
fn a_restore_that_is_killed_changes_nothing() {
    let place = Place::new();
    fill(&place, MANY);
    let file = path(&place, "one.backup");
    place.succeed(&["backup", "--to", &file]);
    let target = Place::new();
    fill(&target, 3);
    let before = texts_of(&target, &path(&target, "out.yml"));
    // Before it commits, the store writes what is new beside its file.
    let log = files(&target.prefix(), "-wal");
    assert!(
        log.iter()
            .all(|log| fs::metadata(log).expect("a file").len() == 0)
    );
    let mut command = target.command(&["restore", &file, "--yes"]);
    let command = command.stdout(Stdio::null()).spawn().expect("it runs");
    let written = || {
        let logs = files(&target.prefix(), "-wal").into_iter();
        logs.filter_map(|log| fs::metadata(log).ok())
            .any(|log| log.len() > 1 << 20)
    };
    kill_when(command, "the restore has written", written);
    assert_eq!(texts_of(&target, &path(&target, "out.yml")), before);
    target.succeed(&["restore", &file, "--yes"]);
    let after = texts_of(&target, &path(&target, "out.yml"));
    assert_eq!(after, texts_of(&place, &path(&place, "out.yml")));
}

#[test]
fn a_restore_into_postgresql_that_is_killed_changes_nothing() {
    let server = Postgres::start(Durability::Fast).expect("a server");
    server.create_database("gateway").expect("a database");
    let source = Place::new();
    fill(&source, MANY);
    let file = path(&source, "one.backup");
    source.succeed(&["backup", "--to", &file]);
    let mut target = Place::new();
    for (name, value) in server.node_settings("gateway") {
        target = target.with(name, &value);
    }
    target.succeed(&["migrations", "bootstrap"]);
    fill(&target, 3);
    let before = texts_of(&target, &path(&target, "out.yml"));
    let mut command = target.command(&["restore", &file, "--yes"]);
    let command = command.stdout(Stdio::null()).spawn().expect("it runs");
    kill_when(command, "the restore holds the tables", || {
        let held = "SELECT count(*) FROM pg_locks WHERE granted AND mode = 'ShareRowExclusiveLock'";
        let held = server.query("gateway", held).expect("an answer");
        held.trim().parse::<u32>().is_ok_and(|held| held > 1)
    });
    assert_eq!(texts_of(&target, &path(&target, "out.yml")), before);
}
