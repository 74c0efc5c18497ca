//! The system's limits on this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Error;

/// Raises the number of files that may be open to `wanted`, or to the most that the system allows.
///
/// A number that the system does not allow is an error; every connection is an open file.
pub fn raise_open_files(wanted: Option<u64>) -> Result<(), Error> {
    let failed = |errno: nix::Error| Error::System {
        what: "cannot raise the limit of open files (nginx_main_worker_rlimit_nofile)",
        source: errno.into(),
    };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    let target = wanted.unwrap_or(hard);
    if target == soft {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, target, hard.max(target)).map_err(failed)
}
