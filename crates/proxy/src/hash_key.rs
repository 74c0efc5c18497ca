//! What consistent hashing goes by: the part of a request that an upstream's policy names.
//!
//! Compat: nodes of Kong and of ours that share a configuration send equal requests to equal targets, so every input is
//! read as nginx and Kong read it.

use balancer::HashInput;
use http1::Known;
use percent_encoding::percent_decode;
use snapshot::Upstream;

use crate::exchange::Exchange;

impl Exchange {
    /// What consistent hashing goes by: the policy's first input, else its fallback, else nothing.
    pub fn hash_key(&mut self, upstream: &Upstream) -> Vec<u8> {
        for input in [&upstream.policy.on, &upstream.policy.fallback] {
            if let Some(key) = self.hash_input(input) {
                return key;
            }
        }
        Vec::new()
    }

    fn hash_input(&mut self, input: &HashInput) -> Option<Vec<u8>> {
        let headers = &self.head.headers;
        match input {
            HashInput::None => None,
            HashInput::Consumer => {
                let work = &self.plugged.as_ref()?.work;
                let consumer = work.consumer.as_ref();
                let consumer = consumer.map(|consumer| consumer.id.to_string());
                let credential = || work.credential.as_ref().map(|one| one.id.to_string());
                consumer.or_else(credential).map(String::into_bytes)
            }
            HashInput::Ip => self
                .client
                .map(|client| client.ip().to_string().into_bytes()),
            HashInput::Path => Some(plain_path(self.head.path())),
            HashInput::Header(name) => {
                let values: Vec<&[u8]> = headers.get_all(&**name).collect();
                (!values.is_empty()).then(|| values.join(&b", "[..]))
            }
            HashInput::QueryArg(name) => {
                let mut values = query_values(self.head.query().unwrap_or_default(), name);
                values.sort();
                (!values.is_empty()).then(|| values.join(&b","[..]))
            }
            HashInput::UriCapture(name) => {
                let captures = self.chosen.as_ref()?.captures.as_deref()?;
                let value = name
                    .parse()
                    .ok()
                    .and_then(|number| captures.number(number))
                    .or_else(|| captures.name(name));
                value.map(|value| value.as_bytes().to_vec())
            }
            HashInput::Cookie { name, path } => {
                Some(match cookie(headers.get_all(&Known::Cookie), name) {
                    Some(value) => value.to_vec(),
                    None => {
                        let value = self.worker.new_uuid().to_string();
                        let line = format!("{name}={value}; Path={path}; Same-Site=Lax; HttpOnly");
                        self.set_cookie.get_or_insert(line);
                        value.into_bytes()
                    }
                })
            }
        }
    }
}

/// The path as nginx's `$uri` has it: decoded, without dot segments and repeated slashes.
fn plain_path(path: &[u8]) -> Vec<u8> {
    let decoded: Vec<u8> = percent_decode(path).collect();
    let mut plain = Vec::with_capacity(decoded.len());
    let mut segments = decoded
        .split(|byte| *byte == b'/')
        .filter(|segment| !segment.is_empty())
        .peekable();
    let mut ends_in_slash = decoded.last() == Some(&b'/');
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." => ends_in_slash |= is_last,
            b".." => {
                let parent = plain.iter().rposition(|byte| *byte == b'/');
                plain.truncate(parent.unwrap_or(0));
                ends_in_slash |= is_last;
            }
            _ => {
                plain.push(b'/');
                plain.extend_from_slice(segment);
            }
        }
    }
    if plain.is_empty() || ends_in_slash {
        plain.push(b'/');
    }
    plain
}

/// The values of a query argument, decoded; one without `=` is true, as in Lua.
fn query_values(query: &[u8], name: &str) -> Vec<Vec<u8>> {
    let decode = |text: &[u8]| -> Vec<u8> {
        let plus: Vec<u8> = text
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        percent_decode(&plus).collect()
    };
    let arguments = query.split(|byte| *byte == b'&');
    arguments
        .filter_map(|argument| {
            let mut parts = argument.splitn(2, |byte| *byte == b'=');
            let key = decode(parts.next()?);
            let value = parts.next().map_or_else(|| b"true".to_vec(), decode);
            (key == name.as_bytes()).then_some(value)
        })
        .collect()
}

/// The value of a cookie, whose name may be written in any letter case.
fn cookie<'a>(lines: impl Iterator<Item = &'a [u8]>, name: &str) -> Option<&'a [u8]> {
    let mut pairs = lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii);
    pairs.find_map(|pair| {
        let (own, value) = pair.split_at_checked(name.len())?;
        let value = value.trim_ascii_start().strip_prefix(b"=")?;
        own.eq_ignore_ascii_case(name.as_bytes())
            .then(|| value.trim_ascii_start())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_arguments_are_decoded_and_may_repeat() {
        let values = |query: &str, name| -> Vec<String> {
            let values = query_values(query.as_bytes(), name).into_iter();
            values
                .map(|value| String::from_utf8_lossy(&value).into_owned())
                .collect()
        };
        assert_eq!(values("a=1&b=%32+x&b&b=&a=", "b"), ["2 x", "true", ""]);
        assert_eq!(values("", "b"), Vec::<String>::new());
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name_in_any_case() {
        let lines = [&b"ab=1; A = 2"[..], b"b=3"];
        assert_eq!(cookie(lines.into_iter(), "a"), Some(&b"2"[..]));
        assert_eq!(cookie(lines.into_iter(), "b"), Some(&b"3"[..]));
        assert_eq!(cookie(lines.into_iter(), "c"), None);
    }

    #[test]
    fn a_path_is_hashed_as_nginx_shows_it() {
        for (path, plain) in [
            ("/", "/"),
            ("/a//b/", "/a/b/"),
            ("/a/./b/../c", "/a/c"),
            ("/a/b/..", "/a/"),
            ("/%61%2fb", "/a/b"),
            ("/../x", "/x"),
            ("/a/.", "/a/"),
        ] {
            assert_eq!(plain_path(path.as_bytes()), plain.as_bytes(), "{path}");
        }
    }
}
