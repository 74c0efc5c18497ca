//! Tests the Admin API of a real node against its own OpenAPI document, with schemathesis.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use crate::node::{self, Store};
use crate::python;
use crate::steps::{cargo, root, run as run_command};

const VERSION: &str = "4.32.5";

/// Not among them: that generated data is accepted, for no schema says which certificate belongs to which key.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_schema_conformance";

/// Generated requests for every operation: no server error, and only documented statuses, types and bodies.
pub fn run(args: &[String]) -> anyhow::Result<()> {
    let stores = match args {
        [] => vec![Store::Sqlite, Store::Postgres],
        [option, name] if option == "--store" => vec![Store::parse(name)?],
        _ => bail!("usage: cargo xtask schemathesis [--store postgres|sqlite]"),
    };
    run_command("build", cargo().args(["build", "--quiet"]))?;
    let program = python::tool("schemathesis", VERSION, "schemathesis")?;
    stores
        .into_iter()
        .try_for_each(|store| test(&program, store))
}

fn test(program: &Path, store: Store) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let started = node::start("debug", store)?;
    run_command(
        &format!("schemathesis, {store:?}"),
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
            // A version that is always there: reads that ask for one of the future wait, and end with 503.
            .args(["--header", "X-Silverback-Config-Version: 1"])
            .current_dir(folder.path()),
    )
}
