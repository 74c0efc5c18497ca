//! Files that plugins append to, and the local system log.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use plugin_api::{BoxFuture, Machine};
use tokio::runtime::Handle;

/// Where the system log listens.
const SYSTEM_LOG: &str = "/dev/log";
/// The most files that are kept open; beyond, a file is opened for each write.
const MOST_OPEN: usize = 256;

/// The machine that this process runs on. Cloning shares its open files.
#[derive(Clone)]
pub struct LocalMachine(Arc<Inner>);

/// A file, while it is open.
type Slot = Arc<Mutex<Option<File>>>;

struct Inner {
    /// Writing to a file blocks: it is done on threads for that.
    runtime: Handle,
    files: Mutex<HashMap<Box<str>, Slot>>,
    log: Mutex<Option<UnixDatagram>>,
    log_path: PathBuf,
}

impl LocalMachine {
    /// What blocks is done on threads of `runtime`.
    pub fn on(runtime: Handle) -> Self {
        Self::with_log(runtime, SYSTEM_LOG)
    }

    fn with_log(runtime: Handle, log_path: impl Into<PathBuf>) -> Self {
        Self(Arc::new(Inner {
            runtime,
            files: Mutex::default(),
            log: Mutex::default(),
            log_path: log_path.into(),
        }))
    }

    fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> io::Result<T> + Send + 'static,
    ) -> BoxFuture<io::Result<T>> {
        let inner = self.0.clone();
        let task = self.0.runtime.spawn_blocking(move || work(&inner));
        Box::pin(async move {
            task.await
                .unwrap_or_else(|error| Err(io::Error::other(error)))
        })
    }
}

impl Inner {
    fn append(&self, path: &str, reopen: bool, bytes: &[u8]) -> io::Result<()> {
        let slot = self.slot(path);
        let mut slot = slot.lock();
        if reopen {
            *slot = None;
        }
        let file = match &mut *slot {
            Some(file) => file,
            closed => closed.insert(open(path)?),
        };
        let written = file.write_all(bytes);
        if written.is_err() {
            *slot = None;
        }
        written
    }

    fn slot(&self, path: &str) -> Slot {
        let mut files = self.files.lock();
        if let Some(known) = files.get(path) {
            return known.clone();
        }
        if files.len() >= MOST_OPEN {
            files.retain(|_, slot| Arc::strong_count(slot) > 1);
        }
        let slot = Slot::default();
        files.insert(path.into(), slot.clone());
        slot
    }

    fn system_log(&self, message: &[u8]) -> io::Result<()> {
        let mut log = self.log.lock();
        if let Some(socket) = &*log
            && socket.send(message).is_ok()
        {
            return Ok(());
        }
        // The daemon is started anew now and then, and the socket with it.
        let socket = UnixDatagram::unbound()?;
        socket.connect(&self.log_path)?;
        socket.set_write_timeout(Some(std::time::Duration::from_secs(5)))?;
        socket.send(message)?;
        *log = Some(socket);
        Ok(())
    }
}

/// Compat: a file that is made can be read by everybody, as Kong makes it.
fn open(path: &str) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .open(path)
}

impl Machine for LocalMachine {
    fn append(&self, path: &str, reopen: bool, bytes: Bytes) -> BoxFuture<io::Result<()>> {
        let path: Box<str> = path.into();
        self.blocking(move |inner| inner.append(&path, reopen, &bytes))
    }

    fn read(&self, path: &str, most: u64) -> BoxFuture<io::Result<Bytes>> {
        let path = PathBuf::from(path);
        self.blocking(move |_| stdx::files::read_bounded(&path, most).map(Bytes::from))
    }

    fn environment(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn system_log(&self, message: Bytes) -> BoxFuture<io::Result<()>> {
        self.blocking(move |inner| inner.system_log(&message))
    }
}

#[cfg(test)]
mod tests;
