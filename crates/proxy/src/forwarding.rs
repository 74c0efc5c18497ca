//! The request head as the upstream gets it: what the client may not say, and what we say about the client.

use http1::{Connection, Headers, Known, Version};

use crate::error::Error;
use crate::exchange::Exchange;

impl Exchange {
    /// Edits the head. What does not depend on the target is done here, once for all tries.
    pub fn prepare_head(&mut self) -> Result<(), Error> {
        let edited = self.edit_head();
        // The edits are ours, or copies of what came in a head that was valid.
        edited.map_err(|_| Error::Internal("a header that cannot be forwarded"))
    }

    fn edit_head(&mut self) -> Result<(), http1::Error> {
        let trusted = self.peer_is_trusted();
        let settings = self.published.settings.clone();
        let via = self.via(self.head.headers.get(Known::Via));
        let forwarded_for = self.forwarded_for();
        let proto = self.forwarded_proto().to_vec();
        let path = self.head.path().to_vec();
        let Some(chosen) = &self.chosen else {
            return Ok(());
        };
        self.head.strip_hop_by_hop()?;
        let headers = &mut self.head.headers;
        if !trusted {
            strip_identity(headers);
        }
        headers.set(Known::Via, via)?;
        headers.set(Known::XForwardedFor, forwarded_for)?;
        headers.set(Known::XForwardedProto, proto)?;
        let keep = |headers: &Headers, known: Known| trusted && headers.contains(known);
        if !keep(headers, Known::XForwardedHost) {
            headers.set(Known::XForwardedHost, &self.host)?;
        }
        if !keep(headers, Known::XForwardedPort) {
            headers.set(Known::XForwardedPort, &*self.peer.port)?;
        }
        if !keep(headers, Known::XForwardedPath) {
            headers.set(Known::XForwardedPath, path)?;
        }
        if !keep(headers, Known::XForwardedPrefix) {
            match &chosen.prefix {
                Some(prefix) => headers.set(Known::XForwardedPrefix, prefix)?,
                None => headers.remove(Known::XForwardedPrefix),
            }
        }
        match self.client {
            Some(client) if Some(client) != self.peer.address => {
                headers.set(Known::XRealIp, client.ip().to_string())?
            }
            _ => headers.set(Known::XRealIp, &*self.peer.text)?,
        }
        if settings.upstream_request_id {
            headers.set(Known::XKongRequestId, self.id.as_bytes())?;
        }
        Ok(())
    }

    /// Compat: only the first line of several counts, as in Kong.
    fn forwarded_for(&self) -> Vec<u8> {
        match self.head.headers.get(Known::XForwardedFor) {
            Some(so_far) => [so_far, b", ", self.peer.text.as_bytes()].concat(),
            None => match self.client {
                Some(client) if Some(client) != self.peer.address => {
                    client.ip().to_string().into_bytes()
                }
                _ => self.peer.text.as_bytes().to_vec(),
            },
        }
    }

    fn via(&self, so_far: Option<&[u8]>) -> Vec<u8> {
        let version: &[u8] = match (self.http2, self.head.version()) {
            (true, _) => b"2 ",
            (false, Version::Http10) => b"1 ",
            (false, Version::Http11) => b"1.1 ",
            (false, Version::Later) => b"",
        };
        let token = &self.published.settings.server_token;
        match so_far {
            Some(so_far) => [so_far, b", ", version, token].concat(),
            None => [version, token].concat(),
        }
    }

    /// How the upstream is asked to go on after this exchange: a protocol change is passed on, but for one to HTTP/2,
    /// which would get requests past the router.
    pub fn upstream_connection(&self) -> Connection<'_> {
        match self.head.upgrade() {
            Some(protocol) if is_tunnelled(protocol) => Connection::KeepAliveUpgrade(protocol),
            _ => Connection::KeepAlive,
        }
    }
}

/// Whether a change to this protocol may be asked of an upstream.
pub(crate) fn is_tunnelled(protocol: &[u8]) -> bool {
    let mut wanted = protocol.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    !wanted.any(|name| {
        name.get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"h2"))
            || name
                .get(..4)
                .is_some_and(|start| start.eq_ignore_ascii_case(b"http"))
    })
}

/// Removes what only the gateway may say about who the client is. A dash and an underscore are the same to many upstreams.
fn strip_identity(headers: &mut Headers) {
    const NAMES: [&[u8]; 8] = [
        b"x-consumer-id",
        b"x-consumer-custom-id",
        b"x-consumer-username",
        b"x-credential-identifier",
        b"x-credential-username",
        b"x-anonymous-consumer",
        b"x-authenticated-scope",
        b"x-authenticated-userid",
    ];
    let same = |name: &[u8], wanted: &[u8]| {
        name.len() == wanted.len()
            && name
                .iter()
                .zip(wanted)
                .all(|(a, b)| a.to_ascii_lowercase() == *b || (*a == b'_' && *b == b'-'))
    };
    // Perf: nearly all requests have none of them, and nothing is allocated then.
    let mut found: Vec<Vec<u8>> = Vec::new();
    for field in headers.iter() {
        let begins_with_x = field.known == Known::Other
            && field
                .name
                .first()
                .is_some_and(|first| *first | 0x20 == b'x');
        if begins_with_x && NAMES.iter().any(|wanted| same(field.name, wanted)) {
            found.push(field.name.to_vec());
        }
    }
    for name in found {
        headers.remove(name.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identity_headers_go_in_every_spelling() {
        let mut headers = Headers::new();
        for name in [
            "X-Consumer-Username",
            "x_consumer_id",
            "X-Anonymous-Consumer",
            "X-Consumers",
            "X-Kept",
        ] {
            headers.append(name, "1").expect("a header");
        }
        strip_identity(&mut headers);
        let left: Vec<_> = headers.iter().map(|field| field.name.to_vec()).collect();
        assert_eq!(left, [b"X-Consumers".to_vec(), b"X-Kept".to_vec()]);
    }

    #[test]
    fn a_change_to_http2_is_not_passed_on() {
        assert!(is_tunnelled(b"websocket") && is_tunnelled(b"foo/2"));
        for protocol in [&b"h2c"[..], b"H2C", b"websocket, h2c", b"HTTP/2.0"] {
            assert!(!is_tunnelled(protocol));
        }
    }
}
