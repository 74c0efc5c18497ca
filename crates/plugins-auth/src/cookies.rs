//! Cookies of requests.

use http1::RequestHead;

/// The first cookie of a request with this name.
///
/// Compat: the name is found in any case, as nginx finds it.
pub(crate) fn cookie<'a>(head: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    let lines = head.headers.get_all("cookie");
    let mut pairs = lines.flat_map(|line| line.split(|byte| *byte == b';'));
    pairs.find_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (given, value) = (pair.get(..at)?.trim_ascii(), pair.get(at + 1..)?);
        given
            .eq_ignore_ascii_case(name.as_bytes())
            .then(|| value.trim_ascii())
    })
}

#[cfg(test)]
mod tests {
    use super::cookie;
    use plugin_api::testing::Sample;

    #[test]
    fn a_cookie_is_found_among_others_in_any_line() {
        let lines = [("Cookie", "x=1; Auth=a=b ;y"), ("Cookie", "z=3; auth=2")];
        let sample = Sample::new("GET", "/", &lines);
        assert_eq!(cookie(&sample.head, "auth"), Some(&b"a=b"[..]));
        assert_eq!(cookie(&sample.head, "z"), Some(&b"3"[..]));
        assert_eq!(cookie(&sample.head, "y"), None);
    }
}
