//! The parameters of a request to an endpoint: of its query and its body.

use std::borrow::Cow;

use plugin_api::{BodyArguments, Exchange, Method, arguments};
use serde_json::{Map, Value};

/// All that are looked at; what else a request has is left alone.
const NAMES: [&str; 14] = [
    "access_token",
    "authenticated_userid",
    "client_id",
    "client_secret",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "grant_type",
    "provision_key",
    "redirect_uri",
    "refresh_token",
    "response_type",
    "scope",
];

const STATE: &str = "state";

/// The parameters by name. One that is repeated, or that is no UTF-8, is there but has no text.
#[derive(Debug, Default)]
pub(super) struct Parameters(Map<String, Value>);

impl Parameters {
    /// Those of a request; of two with one name, that of the body counts.
    pub(super) fn of(exchange: &Exchange<'_>) -> Self {
        let mut all = Self::default();
        let query = arguments(exchange.head.query().unwrap_or_default());
        all.merge(query.map(|given| (given.name, given.value)));
        if !may_have_body(exchange.head.method()) {
            return all;
        }
        match BodyArguments::of(exchange) {
            Some(BodyArguments::Json(members)) => {
                let known = |(name, value): &(String, Value)| is_known(name) && !value.is_null();
                all.0.extend(members.into_iter().filter(known));
            }
            Some(BodyArguments::Form(pairs)) => {
                let pairs = pairs.into_iter();
                all.merge(pairs.map(|(name, value)| (name.into(), value.map(Cow::Owned))));
            }
            Some(BodyArguments::Multipart { parts, .. }) => {
                let named = parts.into_iter().filter_map(|part| {
                    let name = part.name?.into_bytes();
                    Some((name.into(), Some(part.body.into())))
                });
                all.merge(named);
            }
            None => {}
        }
        all
    }

    fn merge<'a>(&mut self, given: impl Iterator<Item = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>)>) {
        let mut found = Map::new();
        for (name, value) in given {
            let Some(name) = std::str::from_utf8(&name).ok().filter(|n| is_known(n)) else {
                continue;
            };
            let no_text = || Value::Array(Vec::new());
            let text =
                |bytes: &[u8]| std::str::from_utf8(bytes).map_or_else(|_| no_text(), Value::from);
            let value = match value {
                _ if found.contains_key(name) => no_text(),
                Some(value) => text(&value),
                None => no_text(),
            };
            found.insert(name.to_owned(), value);
        }
        self.0.extend(found);
    }

    /// Whether a parameter is there, whatever it is.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The text of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    /// The text of a parameter that is more than blanks.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.text(name).filter(|text| !text.trim().is_empty())
    }

    /// What the client wants to have back unchanged.
    pub(super) fn state(&self) -> Option<&Value> {
        let state = self.0.get(STATE)?;
        (state.is_string() || state.is_number() || state.is_boolean()).then_some(state)
    }
}

fn is_known(name: &str) -> bool {
    name == STATE || NAMES.contains(&name)
}

/// Whether the body of a request with this method is looked at.
pub(super) fn may_have_body(method: &Method) -> bool {
    matches!(method, Method::Post | Method::Put | Method::Patch)
}
