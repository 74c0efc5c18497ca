//! The request head as the upstream gets it: what the client may not say, and what we say about the client.

use std::borrow::Cow;

use http1::{Connection, Headers, Known, RequestHead, Version};

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
        let settings = &self.published.settings;
        let (head, peer) = (&mut self.head, &*self.peer);
        let client = match self.client {
            Some(client) if Some(client) != peer.address => Cow::Owned(client.ip().to_string()),
            _ => Cow::Borrowed(&*peer.text),
        };
        let Some(chosen) = &self.chosen else {
            return Ok(());
        };
        head.strip_hop_by_hop()?;
        if !trusted {
            strip_identity(&mut head.headers);
        }
        // Perf: values are put together in a buffer of the worker.
        let mut text = self.worker.text.take();
        text.clear();
        write_via(head, self.http2, &settings.server_token, &mut text);
        head.headers.set(Known::Via, &text)?;
        // Compat: only the first line of several counts, as in Kong.
        match head.headers.get(Known::XForwardedFor) {
            Some(so_far) => {
                text.clear();
                text.extend_from_slice(so_far);
                text.extend_from_slice(b", ");
                text.extend_from_slice(peer.text.as_bytes());
                head.headers.set(Known::XForwardedFor, &text)?;
            }
            None => head
                .headers
                .append(Known::XForwardedFor, client.as_bytes())?,
        }
        let said = |headers: &Headers, known: Known| trusted && headers.contains(known);
        if !said(&head.headers, Known::XForwardedProto) {
            let proto = if peer.tls { "https" } else { "http" };
            head.headers.set(Known::XForwardedProto, proto)?;
        }
        if !said(&head.headers, Known::XForwardedHost) {
            head.headers.set(Known::XForwardedHost, &self.host)?;
        }
        if !said(&head.headers, Known::XForwardedPort) {
            head.headers.set(Known::XForwardedPort, &*peer.port)?;
        }
        if !said(&head.headers, Known::XForwardedPath) {
            text.clear();
            text.extend_from_slice(head.path());
            head.headers.set(Known::XForwardedPath, &text)?;
        }
        if !said(&head.headers, Known::XForwardedPrefix) {
            match &chosen.prefix {
                Some(prefix) => head.headers.set(Known::XForwardedPrefix, prefix)?,
                None => head.headers.remove(Known::XForwardedPrefix),
            }
        }
        head.headers.set(Known::XRealIp, client.as_bytes())?;
        if settings.upstream_request_id {
            head.headers
                .set(Known::XKongRequestId, self.id.as_bytes())?;
        }
        self.worker.text.set(text);
        Ok(())
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

/// Appends the value of `Via`: what it was, and that the request came to us with this version.
fn write_via(head: &RequestHead, http2: bool, token: &[u8], to: &mut Vec<u8>) {
    let version: &[u8] = match (http2, head.version()) {
        (true, _) => b"2 ",
        (false, Version::Http10) => b"1 ",
        (false, Version::Http11) => b"1.1 ",
        (false, Version::Later) => b"",
    };
    if let Some(so_far) = head.headers.get(Known::Via) {
        to.extend_from_slice(so_far);
        to.extend_from_slice(b", ");
    }
    to.extend_from_slice(version);
    to.extend_from_slice(token);
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
