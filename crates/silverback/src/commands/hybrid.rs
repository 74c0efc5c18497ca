//! `hybrid gen_cert`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use node::certificates::{Algorithm, self_signed};

use crate::arguments::{Hybrid, HybridCommand};
use crate::output::Output;

/// Makes the pair that Kong's control and data planes share; nothing that exists is written over.
pub fn hybrid(options: &Hybrid, output: &Output) -> anyhow::Result<ExitCode> {
    let HybridCommand::GenCert { files, days } = &options.command;
    let defaults = [
        PathBuf::from("./cluster.crt"),
        PathBuf::from("./cluster.key"),
    ];
    let [certificate_file, key_file] = match files.as_slice() {
        [] => &defaults,
        [certificate, key] => &[certificate.clone(), key.clone()],
        _ => bail!("both cert and key path needs to be provided"),
    };
    for file in [certificate_file, key_file] {
        if file.exists() {
            bail!("{} already exists.\nWill not overwrite it.", file.display());
        }
    }
    let (certificate, key) = self_signed(
        "kong_clustering",
        Algorithm::EcdsaP384,
        *days,
        &stdx::SystemClock,
    )?;
    write_new(certificate_file, &certificate, 0o644)?;
    write_new(key_file, &key, 0o600)?;
    output.say(format!(
        "Successfully generated certificate/key pairs, they have been written to: '{}' and '{}'.",
        certificate_file.display(),
        key_file.display()
    ));
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(mode).open(path);
    let mut file = opened.with_context(|| format!("cannot write {}", path.display()))?;
    file.write_all(text.as_bytes())?;
    Ok(())
}
