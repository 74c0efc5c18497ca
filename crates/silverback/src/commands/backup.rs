//! `backup`, `restore` and `verify`: the whole content of a store in a file.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ::backup::{Backup, Target, folder};
use anyhow::{Context as _, bail, ensure};
use config::{Settings, StoreChoice};
use node::DeclaredEntities;
use stdx::{Clock as _, SystemClock};

use super::{load, runtime};
use crate::arguments;
use crate::output::Output;

/// The version that backups name.
const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Writes a backup, and removes the oldest ones if it is told to.
pub fn backup(options: &arguments::Backup, output: &Output) -> anyhow::Result<ExitCode> {
    let settings = load(&options.place, output)?.settings;
    let to = options.to.as_path();
    // `backups/` says that it is to be a folder, whether it is there or not.
    let is_folder = to.is_dir() || to.as_os_str().to_string_lossy().ends_with('/');
    if is_folder {
        make_folder(to)?;
    }
    ensure!(
        is_folder || options.keep.is_none(),
        "--keep needs a folder: {} is none",
        to.display()
    );
    let target = match is_folder {
        true => Target::Folder(to),
        false => Target::File {
            path: to,
            replace: options.force,
        },
    };
    let catalog = DeclaredEntities::of(&settings).catalog();
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let store = node::offline::store(&settings)?;
    let write = ::backup::write(store.as_ref(), &catalog, &SystemClock, PROGRAM, target);
    let written = runtime.block_on(write)?;
    output.say(format!(
        "{}: {} records of version {}, {} bytes",
        written.path.display(),
        written.footer.records(),
        written.footer.version,
        written.size
    ));
    if let Some(keep) = options.keep {
        for removed in folder::keep_newest(to, keep)? {
            output.say(format!("removed {}", removed.display()));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes a folder that nobody but its owner can look into.
fn make_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    if path.is_dir() {
        return Ok(());
    }
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path);
    made.with_context(|| format!("cannot make the folder {}", path.display()))
}

/// Makes a backup the whole content of the store, if the user means it.
pub fn restore(options: &arguments::Restore, output: &Output) -> anyhow::Result<ExitCode> {
    let settings = load(&options.place, output)?.settings;
    if matches!(settings.store, StoreChoice::Declarative { .. }) {
        bail!(
            "'{} restore' only works with a database.\n\
             When using database=off, the configuration comes from a file or the /config endpoint.",
            output.program()
        );
    }
    let backup = Backup::open(&options.file)?;
    if !options.yes && !is_confirmed(&backup, &settings)? {
        bail!("cancelled");
    }
    let catalog = DeclaredEntities::of(&settings).catalog();
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let store = node::offline::store(&settings)?;
    let now = SystemClock.unix_seconds();
    let restored = runtime.block_on(backup.restore(store.as_ref(), &catalog, now));
    let restored = restored.context("nothing was changed")?;
    let expired = match restored.expired {
        0 => String::new(),
        expired => format!("; {expired} had expired meanwhile"),
    };
    output.say(format!(
        "restored {} records, which is version {}{expired}",
        restored.records, restored.version.0
    ));
    Ok(ExitCode::SUCCESS)
}

/// Restores a backup into a store that is there for nothing else, and compares.
pub fn verify(options: &arguments::Verify, output: &Output) -> anyhow::Result<ExitCode> {
    let settings = load(&options.place, output)?.settings;
    let backup = Backup::open(&options.file)?;
    let catalog = DeclaredEntities::of(&settings).catalog();
    // Beside the backup there is room for its content, and it is as private as the backup.
    let beside = folder_of(&options.file);
    let scratch = tempfile::Builder::new()
        .prefix(".silverback-verify-")
        .tempdir_in(&beside);
    let scratch =
        scratch.with_context(|| format!("cannot make a scratch store in {}", beside.display()))?;
    let file = scratch.path().join("store.db");
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let store = node::offline::scratch_store(&file, catalog.clone(), backup.taken_at())?;
    runtime.block_on(backup.verify(store.as_ref(), &catalog))?;
    let (header, footer) = (backup.header(), backup.footer());
    for (entity, content) in &footer.entities {
        output.verbose(format!(
            "{entity}: {} records, digest {:016x}",
            content.count, content.digest
        ));
    }
    output.say(format!(
        "{} is good: {} records of version {}, taken at {} from a store of the kind {} by Silverback {}",
        options.file.display(),
        footer.records(),
        footer.version,
        backup.taken_at(),
        header.store,
        header.program
    ));
    Ok(ExitCode::SUCCESS)
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn is_confirmed(backup: &Backup, settings: &Settings) -> anyhow::Result<bool> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("not a tty: invoke 'restore' non-interactively with the --yes flag");
    }
    let into = match &settings.store {
        StoreChoice::Sqlite { file, .. } => file.display().to_string(),
        _ => "the database".to_owned(),
    };
    let mut prompt = std::io::stderr();
    write!(
        prompt,
        "> Replace everything in {into} by the {} records of {}? [y/n] ",
        backup.footer().records(),
        backup.taken_at()
    )?;
    prompt.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes" | "YES"))
}
