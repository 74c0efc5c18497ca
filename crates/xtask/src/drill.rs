//! The drill, with the program of this workspace.

use crate::steps::{binary, cargo, root, run as run_step};

/// Where the full drill writes its table.
const DOCUMENT: &str = "docs/fault-matrix.md";

/// Runs the drill with the caller's arguments: the quick one with the debug build, any other with the release build.
///
/// A full one, of which nothing is left out, writes the table into the document.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let given = |name: &str| arguments.iter().any(|argument| argument == name);
    let mut more: Vec<String> = Vec::new();
    let has_program = given("--binary") || given("--against") || given("--list");
    if !has_program {
        let profile = if given("--quick") { "debug" } else { "release" };
        let mut build = cargo();
        build.args(["build", "--package", "silverback", "--quiet"]);
        if profile == "release" {
            build.arg("--release");
        }
        run_step("build", &mut build)?;
        let program = binary(profile, "silverback");
        more.extend(["--binary".to_owned(), program.display().to_string()]);
    }
    let partial = ["--quick", "--only", "--against", "--list", "--output"];
    if !partial.iter().any(|name| given(name)) {
        let document = root().join(DOCUMENT);
        more.extend(["--output".to_owned(), document.display().to_string()]);
    }
    let mut drill = cargo();
    drill
        .args(["run", "--package", "drill", "--quiet", "--"])
        .args(arguments)
        .args(more);
    run_step("drill", &mut drill)
}
