use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::*;
use crate::steps::binary;

/// What a plugin's folder needs of a checkout: manifests, and the crates that a family is built of.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let name = entry.file_name();
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &to.join(name));
        } else {
            fs::copy(entry.path(), to.join(name)).expect("a copy");
        }
    }
}

/// A checkout with nothing but sources, at the same place every time, so that what was compiled is of use.
fn checkout() -> PathBuf {
    let target = binary("debug", "xtask");
    let target = target.ancestors().nth(2).expect("the folder of builds");
    let checkout = target.join("new-plugin");
    let _ = fs::remove_dir_all(&checkout);
    copy(&root().join("crates"), &checkout.join("crates"));
    for file in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(root().join(file), checkout.join(file)).expect("a copy");
    }
    checkout
}

/// Writes the plugin of the walk-through, file by file as the page shows them.
fn follow_the_walk_through(checkout: &Path) {
    let page = root().join("docs/plugin-walkthrough.md");
    let text = fs::read_to_string(page).expect("the walk-through");
    let folder = make(checkout, "maintenance-window", "traffic").expect("a plugin");
    let mut written = Vec::new();
    for part in text.split("```rust\n// ").skip(1) {
        let (file, rest) = part.split_once('\n').expect("the name of a file");
        let (code, _) = rest.split_once("```").expect("the end of the code");
        fs::write(checkout.join(&folder).join(file), code).expect("a file");
        written.push(file);
    }
    assert_eq!(written, ["mod.rs", "handler.rs", "tests.rs"]);
}

#[test]
fn a_new_plugin_and_that_of_the_walk_through_compile_and_pass_their_tests() {
    let checkout = checkout();
    let folder = make(&checkout, "good-morning", "traffic").expect("a plugin");
    assert_eq!(folder, "crates/plugins-traffic/src/good_morning");
    let read = |file: &str| fs::read_to_string(checkout.join(file)).expect(file);
    assert!(read("crates/plugins-traffic/src/lib.rs").contains("\npub mod good_morning;\n"));
    let row = "\n    plugins_traffic::good_morning::PLUGIN,\n];";
    assert!(read("crates/plugins/src/lib.rs").contains(row));
    assert!(
        make(&checkout, "good-morning", "traffic").is_err(),
        "it is there already"
    );
    follow_the_walk_through(&checkout);
    let output = Command::new(env!("CARGO"))
        .current_dir(&checkout)
        .args(["test", "--offline", "--package", "plugins-traffic", "--lib"])
        // A folder of its own: builds of the copy would stand in for those of the checkout, under the same names.
        .arg("--target-dir")
        .arg(checkout.with_file_name("new-plugin-builds"))
        .arg("--")
        .args(["good_morning", "maintenance_window"])
        .output()
        .expect("cargo");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(
        output.status.success() && said.contains("4 passed"),
        "{said}"
    );
}

#[test]
fn names_that_are_no_names_and_unknown_families_are_refused() {
    let nowhere = tempfile::tempdir().expect("a folder");
    for name in ["", "Upper", "under_score", "-a", "a--b", "../a", "1a"] {
        assert!(make(nowhere.path(), name, "traffic").is_err(), "{name}");
    }
    assert!(make(nowhere.path(), "good", "none").is_err());
}
