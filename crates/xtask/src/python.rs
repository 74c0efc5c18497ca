//! Tools from PyPI. Each lives in a virtual environment under the target folder; it is installed the first time.

use std::path::PathBuf;
use std::process::Command;

use crate::packages;
use crate::steps::{binary, run};

/// Where a program of a package is, which is installed if it is not there in this version.
pub fn tool(package: &str, version: &str, program: &str) -> anyhow::Result<PathBuf> {
    let environment = binary("tools", &format!("{package}-{version}"));
    let path = environment.join("bin").join(program);
    if !path.exists() {
        // Debian has what makes environments in a package of its own.
        let ensures = Command::new("python3")
            .args(["-c", "import ensurepip"])
            .output();
        if !ensures?.status.success() {
            packages::install_packages(&["python3-venv"])?;
        }
        let mut venv = Command::new("python3");
        run("venv", venv.args(["-m", "venv"]).arg(&environment))?;
        let mut pip = Command::new(environment.join("bin/pip"));
        let wanted = format!("{package}=={version}");
        run("pip", pip.args(["install", "--quiet", &wanted]))?;
    }
    Ok(path)
}
