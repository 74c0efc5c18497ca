//! One listening socket and its options.

use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::{fs, net};

use nix::sys::socket::setsockopt;
use nix::{getsockopt_impl, setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use super::{KeepAlive, ListenAddress, ListenSpec};

/// nginx's NGX_LISTEN_BACKLOG.
const DEFAULT_BACKLOG: u32 = 511;

/// How long the kernel keeps a connection back that has sent nothing, in seconds: nginx's client_header_timeout.
const DEFER_SECONDS: u32 = 60;

/// The mode of a socket file: whoever can reach the folder may connect, as with nginx.
const UNIX_MODE: u32 = 0o666;

sockopt_impl!(
    /// TCP_DEFER_ACCEPT, in seconds; 0 turns it off.
    TcpDeferAccept, Both, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, u32
);

/// A listening socket. The socket file of a unix socket goes when the last owner drops it.
#[derive(Debug)]
pub(super) struct BoundSocket {
    socket: Socket,
    file: Option<SocketFile>,
}

/// A duplicate of a listening socket for a worker.
#[derive(Debug)]
pub(super) enum Handle {
    Tcp(net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl BoundSocket {
    /// Binds and listens.
    pub(super) fn open(spec: &ListenSpec) -> io::Result<Self> {
        match &spec.address {
            ListenAddress::Tcp(address) => Self::open_tcp(*address, spec, spec.reuseport),
            ListenAddress::Unix(path) => Self::open_unix(path, spec),
        }
    }

    /// Binds and listens at an address that more sockets of this process are to join; tells as well whether another
    /// process has it already.
    pub(super) fn open_first(spec: &ListenSpec) -> io::Result<(Self, bool)> {
        if let ListenAddress::Tcp(address) = &spec.address {
            match Self::open_tcp(*address, spec, false) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Ok((Self::open(spec)?, true));
                }
                opened => return Ok((opened?, false)),
            }
        }
        Ok((Self::open(spec)?, false))
    }

    /// `joins` says that other sockets may have the address already.
    fn open_tcp(address: net::SocketAddr, spec: &ListenSpec, joins: bool) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::STREAM,
            Some(Protocol::TCP),
        )?;
        socket.set_nonblocking(true)?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(joins)?;
        if address.is_ipv6() {
            socket.set_only_v6(spec.ipv6only.unwrap_or(true))?;
        }
        socket.bind(&SockAddr::from(address))?;
        let bound = Self { socket, file: None };
        bound.apply(spec)?;
        Ok(bound)
    }

    fn open_unix(path: &Path, spec: &ListenSpec) -> io::Result<Self> {
        remove_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile::at(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(UNIX_MODE))?;
        let bound = Self {
            socket,
            file: Some(file),
        };
        bound.apply(spec)?;
        Ok(bound)
    }

    /// Applies the flags that a socket can change while it listens, and listens. Accepted connections inherit TCP_NODELAY
    /// and the keep-alive options, which saves system calls for each of them.
    pub(super) fn apply(&self, spec: &ListenSpec) -> io::Result<()> {
        let socket = &self.socket;
        if matches!(spec.address, ListenAddress::Tcp(_)) {
            // A socket that was bound alone has to agree before others may join it at its address.
            socket.set_reuse_port(spec.reuseport)?;
            socket.set_tcp_nodelay(true)?;
            setsockopt(
                socket,
                TcpDeferAccept,
                &if spec.deferred { DEFER_SECONDS } else { 0 },
            )?;
            if let Some(keepalive) = spec.keepalive {
                apply_keepalive(socket, keepalive)?;
            }
        }
        let backlog = spec.backlog.unwrap_or(DEFAULT_BACKLOG);
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))
    }

    /// The address that the socket has, in the form of the one that was asked for.
    pub(super) fn local_address(&self, asked: &ListenAddress) -> io::Result<ListenAddress> {
        Ok(match self.socket.local_addr()?.as_socket() {
            Some(address) => ListenAddress::Tcp(address),
            None => asked.clone(),
        })
    }

    /// Another descriptor of the same socket.
    pub(super) fn duplicate(&self) -> io::Result<Handle> {
        let copy = self.socket.try_clone()?;
        Ok(if self.file.is_some() {
            Handle::Unix(copy.into())
        } else {
            Handle::Tcp(copy.into())
        })
    }

    #[cfg(test)]
    pub(super) fn options(&self) -> socket2::SockRef<'_> {
        socket2::SockRef::from(&self.socket)
    }
}

fn apply_keepalive(socket: &Socket, keepalive: KeepAlive) -> io::Result<()> {
    match keepalive {
        KeepAlive::Off => socket.set_keepalive(false),
        KeepAlive::On => socket.set_keepalive(true),
        KeepAlive::Timing {
            idle,
            interval,
            count,
        } => {
            let mut timing = TcpKeepalive::new();
            if let Some(idle) = idle {
                timing = timing.with_time(idle);
            }
            if let Some(interval) = interval {
                timing = timing.with_interval(interval);
            }
            if let Some(count) = count {
                timing = timing.with_retries(count);
            }
            socket.set_tcp_keepalive(&timing)
        }
    }
}

/// Removes a socket file that nobody serves any more, which is what a killed process leaves.
fn remove_stale(path: &Path) -> io::Result<()> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !metadata.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the path exists and is not a socket",
        ));
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// A socket file that this process made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Self {
            path: path.to_owned(),
            device: metadata.dev(),
            inode: metadata.ino(),
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same =
            |metadata: fs::Metadata| metadata.dev() == self.device && metadata.ino() == self.inode;
        if fs::symlink_metadata(&self.path).is_ok_and(same)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the socket file");
        }
    }
}
