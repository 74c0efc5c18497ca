//! What `Connection` says, on both sides.

use crate::headers::Headers;
use crate::known::Known;
use crate::token::list;

/// The options that the `Connection` lines of a head name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Options {
    pub close: bool,
    pub keep_alive: bool,
    pub upgrade: bool,
    /// There are names of headers among them.
    pub nominates: bool,
}

impl Options {
    /// Adds the options of one `Connection` line.
    pub fn read(&mut self, value: &[u8]) {
        match value {
            b"keep-alive" => self.keep_alive = true,
            b"close" => self.close = true,
            _ => self.read_list(value),
        }
    }

    fn read_list(&mut self, value: &[u8]) {
        for option in list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.nominates = true;
            }
        }
    }
}

/// The headers that describe one connection or frame one message: they are regenerated and never forwarded.
pub(crate) const FRAMING: u64 = Known::Connection.bit()
    | Known::KeepAlive.bit()
    | Known::ProxyConnection.bit()
    | Known::ContentLength.bit()
    | Known::TransferEncoding.bit()
    | Known::Upgrade.bit();

/// The headers that a client can not have removed by naming them in `Connection`: the proxy or an upstream relies on them.
pub(crate) const PROTECTED: u64 = FRAMING
    | Known::Host.bit()
    | Known::Forwarded.bit()
    | Known::Te.bit()
    | Known::Trailer.bit()
    | Known::Via.bit()
    | Known::XForwardedFor.bit()
    | Known::XForwardedHost.bit()
    | Known::XForwardedPath.bit()
    | Known::XForwardedPort.bit()
    | Known::XForwardedPrefix.bit()
    | Known::XForwardedProto.bit()
    | Known::XKongRequestId.bit()
    | Known::XRealIp.bit();

/// What a written head says about the connection that it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection<'a> {
    /// Nothing.
    Unsaid,
    /// `Connection: keep-alive`.
    KeepAlive,
    /// `Connection: close`.
    Close,
    /// `Connection: upgrade`, and `Upgrade` with this value.
    Upgrade(&'a [u8]),
    /// `Connection: keep-alive, Upgrade`, and `Upgrade` with this value, which is how Kong asks an upstream.
    KeepAliveUpgrade(&'a [u8]),
}

/// Removes the headers that the `Connection` lines name, but for protected ones.
pub(crate) fn strip_nominated(headers: &mut Headers) {
    let options = headers.get_all(&Known::Connection).flat_map(list);
    let mut nominated: Vec<Vec<u8>> = options.map(<[u8]>::to_ascii_lowercase).collect();
    nominated.sort_unstable();
    headers.retain(|field| {
        let protected = field.known != Known::Other && PROTECTED & field.known.bit() != 0;
        protected
            || nominated
                .binary_search(&field.name.to_ascii_lowercase())
                .is_err()
    });
}
