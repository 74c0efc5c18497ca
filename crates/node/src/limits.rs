//! The system's limits on this process.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::Error;

/// Raises the number of files that may be open to `wanted`, or to the most that the system allows.
///
/// A number that the system does not allow is not worth staying down for, as nginx sees it as well: the node takes what
/// it can get, and says so.
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
    match setrlimit(Resource::RLIMIT_NOFILE, target, hard.max(target)) {
        Err(nix::Error::EPERM) if target > hard => {
            tracing::warn!(
                "nginx_main_worker_rlimit_nofile asks for {target} open files, and the system allows {hard}; \
                 raise the limit of the user or the service (ulimit -Hn, LimitNOFILE) for more"
            );
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed)
        }
        done => done.map_err(failed),
    }
}
