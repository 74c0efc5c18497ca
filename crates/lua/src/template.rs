//! Text with `$(…)` in it: parts of the request, or Lua expressions.
//!
//! Perf: text without `$(` and parts that are plain names, such as `$(headers.host)`, never enter Lua.

use plugin_api::{Exchange, UntrustedLua, arguments};

use crate::scene::Scene;
use crate::script::{Kind, Script, Values};
use crate::{Error, syntax};

/// A text to fill in.
#[derive(Debug)]
pub struct Template(Form);

#[derive(Debug)]
enum Form {
    Text(Box<str>),
    Plain(Vec<Piece>),
    Lua(Script),
}

#[derive(Debug)]
enum Piece {
    Text(Box<str>),
    /// A header, by its name.
    Header(Box<str>),
    /// A query argument.
    Argument(Box<str>),
    /// What the route's expression caught under a name.
    Capture(Box<str>),
}

/// A template cut at its `$(…)`.
enum Cut<'a> {
    Text(&'a str),
    Expression(&'a str),
}

/// Whether a text is a template.
///
/// # Errors
/// What is wrong with an expression in it.
pub fn check_template(text: &str) -> Result<(), String> {
    let cuts = cut(text);
    if cuts.iter().all(|cut| matches!(cut, Cut::Text(_))) {
        return Ok(());
    }
    syntax::check_named(&code(&cuts), "TMP")
}

impl Template {
    /// Compiles a text.
    ///
    /// # Errors
    /// When there is an expression in it and the settings allow none, or when one is no Lua.
    pub fn compile(text: &str, settings: &UntrustedLua) -> Result<Self, Error> {
        let cuts = cut(text);
        if cuts.iter().all(|cut| matches!(cut, Cut::Text(_))) {
            return Ok(Self(Form::Text(text.into())));
        }
        let code = code(&cuts);
        syntax::check_named(&code, "TMP").map_err(Error::Failed)?;
        let script = Script::of(&code, "TMP", Kind::Template, settings)?;
        let plain = cuts.iter().map(Piece::of).collect::<Option<Vec<_>>>();
        Ok(Self(match plain {
            Some(pieces) => Form::Plain(pieces),
            None => Form::Lua(script),
        }))
    }

    /// The text itself, if there is nothing to fill in.
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Form::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Fills in the text. `values` is kept for all templates of one exchange that are to see the same request.
    ///
    /// # Errors
    /// When an expression fails or reaches a limit.
    pub fn fill(&self, scene: &mut Scene<'_, '_>, values: &mut Values) -> Result<Vec<u8>, Error> {
        match &self.0 {
            Form::Text(text) => Ok(text.as_bytes().to_vec()),
            Form::Plain(pieces) => {
                let mut out = Vec::new();
                for piece in pieces {
                    piece.fill(scene.exchange, &mut out);
                }
                Ok(out)
            }
            Form::Lua(script) => script.fill(scene, values),
        }
    }
}

/// Cuts a text at its balanced `$(…)`.
fn cut(text: &str) -> Vec<Cut<'_>> {
    let mut cuts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|tail| tail.find("$(")) {
        let start = from + at;
        let Some(length) = balanced(&rest[start + 1..]) else {
            from = start + 2;
            continue;
        };
        if start > 0 {
            cuts.push(Cut::Text(&rest[..start]));
        }
        cuts.push(Cut::Expression(&rest[start + 2..start + length]));
        rest = &rest[start + 1 + length..];
        from = 0;
    }
    if !rest.is_empty() || cuts.is_empty() {
        cuts.push(Cut::Text(rest));
    }
    cuts
}

/// How long the text in parentheses is that begins here, parentheses included.
fn balanced(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' => {
                open = open.checked_sub(1)?;
                if open == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// A function that puts the pieces together. It is given `tostring`.
fn code(cuts: &[Cut<'_>]) -> String {
    let mut code = "local __tostring = ... return \"\"".to_owned();
    for cut in cuts {
        match cut {
            Cut::Text(text) => code.push_str(&format!(" .. {}", quoted(text))),
            Cut::Expression(expression) => {
                code.push_str(&format!(" .. __tostring(({expression}) or \"\")"));
            }
        }
    }
    code
}

/// A text as Lua writes it.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:03}")),
        }
    }
    out.push('"');
    out
}

impl Piece {
    /// The piece without Lua; `None` for an expression that needs it.
    fn of(cut: &Cut<'_>) -> Option<Self> {
        let expression = match cut {
            Cut::Text(text) => return Some(Self::Text((*text).into())),
            Cut::Expression(expression) => expression.trim(),
        };
        let (of, name) = member(expression)?;
        match of {
            "headers" => Some(Self::Header(name.into())),
            "query_params" => Some(Self::Argument(name.into())),
            "uri_captures" => Some(Self::Capture(name.into())),
            _ => None,
        }
    }

    /// Of a header or an argument that came several times, the first value.
    fn fill(&self, exchange: &Exchange<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Header(name) => {
                let headers = &exchange.head.headers;
                let value = headers.get(&**name);
                let value = value.or_else(|| headers.get(&*name.replace('_', "-")));
                out.extend_from_slice(value.unwrap_or_default());
            }
            Self::Argument(name) => {
                let mut given = arguments(exchange.query());
                let found = given.find(|argument| *argument.name == *name.as_bytes());
                match found.map(|argument| argument.value) {
                    Some(Some(value)) => out.extend_from_slice(&value),
                    Some(None) => out.extend_from_slice(b"true"),
                    None => {}
                }
            }
            Self::Capture(name) => {
                let captured = exchange.matched.captures;
                let value = captured.and_then(|captures| captures.name(name));
                out.extend_from_slice(value.unwrap_or_default().as_bytes());
            }
        }
    }
}

/// The table and the name of `table.name`, `table["name"]` or `table['name']`.
fn member(expression: &str) -> Option<(&str, &str)> {
    let end = expression.find(|c: char| !is_word(c))?;
    let (table, rest) = expression.split_at(end);
    if let Some(name) = rest.strip_prefix('.') {
        let is_name = name.chars().all(is_word) && !name.starts_with(|c: char| c.is_ascii_digit());
        return (is_name && !name.is_empty()).then_some((table, name));
    }
    let inner = rest.strip_prefix('[')?.strip_suffix(']')?;
    let quote = inner.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let name = inner.strip_prefix(quote)?.strip_suffix(quote)?;
    let plain = name
        .chars()
        .all(|c| is_word(c) || matches!(c, '-' | '.' | ' '));
    plain.then_some((table, name))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}
