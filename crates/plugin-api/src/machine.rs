//! The machine that the node runs on: files, its log and what its environment says.

use std::io;

use bytes::Bytes;

use crate::BoxFuture;

/// Files and the system's log, on the control side.
pub trait Machine: Send + Sync {
    /// Appends to a file, which is made if it is not there. It stays open for the next time, unless `reopen` asks to open
    /// it anew, which follows a rotation. Appends to one file come one after the other.
    fn append(&self, path: &str, reopen: bool, bytes: Bytes) -> BoxFuture<io::Result<()>>;

    /// A file as a whole, of at most `most` bytes.
    fn read(&self, _path: &str, _most: u64) -> BoxFuture<io::Result<Bytes>> {
        let error = io::Error::other("no files are read here");
        Box::pin(std::future::ready(Err(error)))
    }

    /// A variable of the environment that the node was started in; `None` as well if it is no UTF-8, or empty.
    fn environment(&self, _name: &str) -> Option<String> {
        None
    }

    /// Hands one message to the local system log, in the form of RFC 3164 without a time: `<priority>tag: text`.
    fn system_log(&self, message: Bytes) -> BoxFuture<io::Result<()>>;
}
