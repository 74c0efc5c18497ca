//! Arguments in query strings and forms.
//!
//! Values are bytes: nothing says that a client sends UTF-8. An argument may stand there without a value, which is not
//! the same as an empty one.

use std::borrow::Cow;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode, percent_encode};

/// One argument, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument<'a> {
    pub name: Cow<'a, [u8]>,
    /// `None` without an equals sign.
    pub value: Option<Cow<'a, [u8]>>,
}

/// The arguments of a query string or an URL-encoded form, in their order.
pub fn arguments(text: &[u8]) -> impl Iterator<Item = Argument<'_>> {
    pieces(text).map(|piece| {
        let (name, value) = split(piece);
        Argument {
            name: decode(name),
            value: value.map(decode),
        }
    })
}

/// The same text without the arguments of a name; the others stay as they were written.
pub fn without_argument(text: &[u8], name: &[u8]) -> Vec<u8> {
    let others = pieces(text).filter(|piece| *decode(split(piece).0) != *name);
    others.collect::<Vec<_>>().join(&b'&')
}

/// Adds an argument to a query string or form.
pub fn push_argument(text: &mut Vec<u8>, name: &[u8], value: Option<&[u8]>) {
    if !text.is_empty() {
        text.push(b'&');
    }
    text.extend(percent_encode(name, NON_ALPHANUMERIC).flat_map(str::bytes));
    if let Some(value) = value {
        text.push(b'=');
        text.extend(percent_encode(value, NON_ALPHANUMERIC).flat_map(str::bytes));
    }
}

fn pieces(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'&')
        .filter(|piece| !piece.is_empty())
}

fn split(piece: &[u8]) -> (&[u8], Option<&[u8]>) {
    match piece.iter().position(|byte| *byte == b'=') {
        Some(at) => (&piece[..at], piece.get(at + 1..)),
        None => (piece, None),
    }
}

fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'+') {
        return percent_decode(text).into();
    }
    let spaced: Vec<u8> = text
        .iter()
        .map(|byte| if *byte == b'+' { b' ' } else { *byte })
        .collect();
    Cow::Owned(percent_decode(&spaced).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, Option<String>)> {
        let text_of = |bytes: Cow<'_, [u8]>| String::from_utf8_lossy(&bytes).into_owned();
        arguments(text.as_bytes())
            .map(|argument| (text_of(argument.name), argument.value.map(text_of)))
            .collect()
    }

    #[test]
    fn arguments_are_decoded_and_keep_their_order() {
        let value = |text: &str| Some(text.to_owned());
        assert_eq!(
            parsed("a=1&b&c=&a=2+3&%61%20=%26=&&"),
            [
                ("a".to_owned(), value("1")),
                ("b".to_owned(), None),
                ("c".to_owned(), value("")),
                ("a".to_owned(), value("2 3")),
                ("a ".to_owned(), value("&=")),
            ]
        );
    }

    #[test]
    fn an_argument_is_removed_however_it_is_written() {
        assert_eq!(
            without_argument(b"key=1&x=%2F&k%65y=2&y", b"key"),
            b"x=%2F&y"
        );
        assert_eq!(without_argument(b"key", b"key"), b"");
    }

    #[test]
    fn an_argument_that_is_added_comes_back_as_it_was() {
        let mut text = b"a=1".to_vec();
        push_argument(&mut text, b"b c", Some(b"x&y=\xff"));
        push_argument(&mut text, b"d", None);
        let back: Vec<_> = arguments(&text).skip(1).collect();
        assert_eq!(
            (&*back[0].name, back[0].value.as_deref()),
            (&b"b c"[..], Some(&b"x&y=\xff"[..]))
        );
        assert_eq!(
            (&*back[1].name, back[1].value.as_deref()),
            (&b"d"[..], None)
        );
    }
}
