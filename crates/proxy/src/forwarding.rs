//! The request head as the upstream gets it: what the client may not say, and what we say about the client.

use std::borrow::Cow;

use http1::{Connection, Headers, Known, OwnLines, Version};

use crate::error::Error;
use crate::exchange::Exchange;

impl Exchange {
    /// Removes from the head what the client may not say to an upstream.
    pub fn prepare_head(&mut self) -> Result<(), Error> {
        let stripped = self.head.strip_hop_by_hop();
        stripped.map_err(|_| Error::Internal("a header that cannot be forwarded"))?;
        if !self.peer_is_trusted() {
            strip_identity(&mut self.head.headers);
        }
        Ok(())
    }

    /// The lines that we add to the head for an upstream which is called `host`.
    pub fn add_request_lines(&self, host: &str, own: &mut OwnLines) -> Result<(), Error> {
        let added = self.add_lines(host, own);
        // They are ours, or copies of what came in a head that was valid.
        added.map_err(|_| Error::Internal("a header that cannot be forwarded"))
    }

    fn add_lines(&self, host: &str, own: &mut OwnLines) -> Result<(), http1::Error> {
        let (headers, peer) = (&self.head.headers, &*self.peer);
        let chosen = self.chosen.as_ref();
        own.add(Known::Host, host.as_bytes())?;
        self.add_via(own)?;
        let direct = self.client.is_none() || self.client == peer.address;
        let client = match self.client {
            Some(client) if !direct => Cow::Owned(client.ip().to_string()),
            _ => Cow::Borrowed(&*peer.text),
        };
        // Compat: only the first line of several counts, as in Kong.
        let so_far = headers.get(Known::XForwardedFor);
        let trusted = self.peer_is_trusted();
        let said = |known: Known| trusted && headers.contains(known);
        if direct && !trusted && so_far.is_none() {
            own.add_all(&peer.lines);
        } else {
            match so_far {
                Some(so_far) => {
                    let text = peer.text.as_bytes();
                    own.add_joined(Known::XForwardedFor, &[so_far, b", ", text])?;
                }
                None => own.add(Known::XForwardedFor, client.as_bytes())?,
            }
            if !said(Known::XForwardedProto) {
                let proto: &[u8] = if peer.tls { b"https" } else { b"http" };
                own.add(Known::XForwardedProto, proto)?;
            }
            if !said(Known::XForwardedPort) {
                own.add(Known::XForwardedPort, peer.port.as_bytes())?;
            }
            own.add(Known::XRealIp, client.as_bytes())?;
        }
        if !said(Known::XForwardedHost) {
            own.add(Known::XForwardedHost, self.host.as_bytes())?;
        }
        if !said(Known::XForwardedPath) {
            own.add(Known::XForwardedPath, self.head.path())?;
        }
        if !said(Known::XForwardedPrefix) {
            match chosen.and_then(|chosen| chosen.prefix.as_ref()) {
                Some(prefix) => own.add(Known::XForwardedPrefix, prefix)?,
                None => own.leave_out(Known::XForwardedPrefix),
            }
        }
        if self.published.settings.upstream_request_id {
            own.add(Known::XKongRequestId, self.id.as_bytes())?;
        }
        Ok(())
    }

    /// Adds `Via`: what it was, and that the request came to us with this version.
    fn add_via(&self, own: &mut OwnLines) -> Result<(), http1::Error> {
        let version: &[u8] = match (self.http2, self.head.version()) {
            (true, _) => b"2 ",
            (false, Version::Http10) => b"1 ",
            (false, Version::Http11) => b"1.1 ",
            (false, Version::Later) => b"",
        };
        let token = &*self.published.settings.server_token;
        match self.head.headers.get(Known::Via) {
            Some(so_far) => own.add_joined(Known::Via, &[so_far, b", ", version, token]),
            None if version == b"1.1 " => {
                own.add_all(&self.published.via);
                Ok(())
            }
            None => own.add_joined(Known::Via, &[version, token]),
        }
    }

    /// How the upstream is asked to go on after this exchange.
    pub fn upstream_connection(&self) -> Connection<'_> {
        match self.asks_for_websocket() {
            true => Connection::KeepAliveUpgrade(WEBSOCKET),
            false => Connection::KeepAlive,
        }
    }

    /// Whether the upstream is asked to change the protocol, which is passed on for WebSocket alone: requests in any other
    /// protocol would get past the router.
    pub fn asks_for_websocket(&self) -> bool {
        let protocol = self.head.upgrade();
        protocol.is_some_and(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
    }
}

/// The protocol that may follow a request.
const WEBSOCKET: &[u8] = b"websocket";

/// Removes what only the gateway may say about who the client is. A dash and an underscore are the same to many upstreams.
fn strip_identity(headers: &mut Headers) {
    const KNOWN: [Known; 5] = [
        Known::XAnonymousConsumer,
        Known::XConsumerCustomId,
        Known::XConsumerId,
        Known::XConsumerUsername,
        Known::XCredentialIdentifier,
    ];
    const OTHERS: [&[u8]; 3] = [
        b"x-credential-username",
        b"x-authenticated-scope",
        b"x-authenticated-userid",
    ];
    // Perf: nearly all requests have none of them, and many have no name at all that could be one.
    if headers.may_contain(&KNOWN) {
        for known in KNOWN {
            headers.remove(known);
        }
    }
    if !headers.may_contain(&[Known::Other]) {
        return;
    }
    let same = |name: &[u8], wanted: &[u8]| {
        name.len() == wanted.len()
            && name
                .iter()
                .zip(wanted)
                .all(|(a, b)| a.eq_ignore_ascii_case(b) || (*a == b'_' && *b == b'-'))
    };
    let mut found: Vec<Vec<u8>> = Vec::new();
    for field in headers.iter() {
        let begins_with_x = field.known == Known::Other
            && field
                .name
                .first()
                .is_some_and(|first| *first | 0x20 == b'x');
        let mut names = KNOWN
            .iter()
            .map(|known| known.name().as_bytes())
            .chain(OTHERS);
        if begins_with_x && names.any(|wanted| same(field.name, wanted)) {
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
}
