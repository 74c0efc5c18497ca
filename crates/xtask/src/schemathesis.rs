//! Tests the Admin API of a real node against its own OpenAPI document, with schemathesis.
//!
//! The tool lives in a virtual environment under the target folder; it is installed the first time.

use std::process::Command;

use crate::node::{self, Store};
use crate::steps::{binary, cargo, root, run as run_command};

const VERSION: &str = "schemathesis==4.32.5";

/// Not among them: that generated data is accepted, for no schema says which certificate belongs to which key.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

/// Generated requests for every operation: no server error, and only documented statuses, types and bodies.
pub fn run() -> anyhow::Result<()> {
    run_command("build", cargo().args(["build", "--quiet"]))?;
    let environment = binary("", "schemathesis");
    let program = environment.join("bin/schemathesis");
    if !program.exists() {
        run_command(
            "venv",
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )?;
        run_command(
            "pip",
            Command::new(environment.join("bin/pip")).args(["install", "--quiet", VERSION]),
        )?;
    }
    let folder = tempfile::tempdir()?;
    let started = node::start("debug", Store::Sqlite)?;
    run_command(
        "schemathesis",
        Command::new(program)
            .arg("run")
            .arg(root().join("docs/openapi.json"))
            .arg("--url")
            .arg(format!("http://{}", started.node.admin_address()))
            .args([
                "--seed",
                "1",
                "--max-examples",
                "20",
                "--phases",
                "examples,coverage,fuzzing",
            ])
            .args([
                "--suppress-health-check",
                "all",
                "--generation-deterministic",
                "--continue-on-failure",
                "--checks",
                CHECKS,
            ])
            .current_dir(folder.path()),
    )
}
