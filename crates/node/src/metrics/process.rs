//! The process as the system sees it.

use std::time::SystemTime;

use metrics::Page;
use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeVal;

use super::families::{
    CPU_SECONDS, MOST_FILES, OPEN_FILES, RESIDENT_MEMORY, STARTED, WORKER_MEMORY,
};
use crate::info::resident_memory;

/// Writes what the system tells; what it does not tell is left out.
pub fn write(page: &mut Page, id: &str, started_at: SystemTime) {
    let resident = resident_memory();
    let pid = std::process::id().to_string();
    page.sample(&RESIDENT_MEMORY, &[], resident);
    page.sample(&WORKER_MEMORY, &[id, &pid, "http"], resident);
    let since = started_at.duration_since(SystemTime::UNIX_EPOCH);
    page.sample(&STARTED, &[], since.unwrap_or_default().as_secs_f64());
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let used = seconds(usage.user_time()) + seconds(usage.system_time());
        page.sample(&CPU_SECONDS, &[], used);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.sample(&OPEN_FILES, &[], open.count());
    }
    if let Ok((most, _)) = getrlimit(Resource::RLIMIT_NOFILE) {
        page.sample(&MOST_FILES, &[], most);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a sample is a float by its format"
)]
fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}
