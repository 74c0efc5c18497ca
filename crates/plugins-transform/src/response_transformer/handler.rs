//! Changes answers, whoever made them: their headers, and their bodies if those are JSON.

use std::sync::Arc;

use bytes::Bytes;
use plugin_api::{
    Configured, Exchange, Failure, Handler, Known, Needs, Phase, Phases, ResponseHead, Services,
};
use serde::Deserialize;

use super::json::JsonChanges;
use crate::lists;

#[derive(Deserialize)]
struct Config {
    remove: Names,
    rename: Names,
    replace: Typed,
    add: Typed,
    append: Typed,
}

#[derive(Deserialize)]
struct Names {
    json: Vec<String>,
    headers: Vec<String>,
}

#[derive(Deserialize)]
struct Typed {
    json: Vec<String>,
    json_types: Vec<String>,
    headers: Vec<String>,
}

type Pairs = Vec<(String, String)>;

struct ResponseTransformer {
    remove: Vec<String>,
    rename: Pairs,
    replace: Pairs,
    add: Pairs,
    append: Pairs,
    json: JsonChanges,
}

/// The longest body that is held to be changed.
const MOST: usize = 64 << 20;

/// What is known of one answer.
#[derive(Default)]
struct Answer {
    is_json: bool,
    body: Vec<u8>,
}

pub(crate) fn build(
    record: &Configured<'_>,
    _services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let pairs = |entries: &[String]| {
        let pairs = entries.iter().map(|entry| lists::split(entry));
        // An entry without a value changes nothing.
        let pairs = pairs.filter(|(_, value)| !value.is_empty());
        pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect::<Pairs>()
    };
    let names = |entries: &[String]| {
        let names = entries.iter().map(|entry| lists::split(entry).0.to_owned());
        names.collect::<Vec<_>>()
    };
    Ok(Arc::new(ResponseTransformer {
        remove: names(&config.remove.headers),
        rename: pairs(&config.rename.headers),
        replace: pairs(&config.replace.headers),
        add: pairs(&config.add.headers),
        append: pairs(&config.append.headers),
        json: JsonChanges {
            remove: names(&config.remove.json),
            rename: pairs(&config.rename.json),
            replace: JsonChanges::values(&config.replace.json, &config.replace.json_types),
            add: JsonChanges::values(&config.add.json, &config.add.json_types),
            append: JsonChanges::values(&config.append.json, &config.append.json_types),
        },
    }))
}

impl Handler for ResponseTransformer {
    fn needs(&self) -> Needs {
        let mut needs = Needs::phases(&[Phase::HeaderFilter]);
        if !self.json.is_empty() {
            needs.phases = needs.phases.union(Phases::of(&[Phase::BodyFilter]));
        }
        needs
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        let kind = head.headers.get_str(Known::ContentType);
        let is_json = !self.json.is_empty() && kind.is_some_and(is_json);
        self.change_headers(head)?;
        if is_json {
            exchange.state::<Answer>().is_json = true;
            exchange.work.answer_length_changes = true;
        }
        Ok(())
    }

    fn body_filter(
        &self,
        exchange: &mut Exchange<'_>,
        piece: &mut Bytes,
        last: bool,
    ) -> Result<(), Failure> {
        let answer = exchange.state::<Answer>();
        if !answer.is_json {
            return Ok(());
        }
        if answer.body.len() + piece.len() > MOST {
            return Err(Failure::new("a body that is too long to be changed"));
        }
        answer.body.extend_from_slice(piece);
        *piece = Bytes::new();
        if last {
            let body = std::mem::take(&mut answer.body);
            *piece = match self.json.apply(&body) {
                Some(changed) => changed.into(),
                None => body.into(),
            };
        }
        Ok(())
    }
}

impl ResponseTransformer {
    /// Compat: whether a header is there is asked of the answer as it came, so that one that is removed cannot be added.
    fn change_headers(&self, head: &mut ResponseHead) -> Result<(), Failure> {
        let came = |pairs: &Pairs| {
            let names = pairs
                .iter()
                .map(|(name, _)| head.headers.contains(name.as_str()));
            names.collect::<Vec<_>>()
        };
        let (renamed, replaced, added) = (came(&self.rename), came(&self.replace), came(&self.add));
        let headers = &mut head.headers;
        let values: Vec<Vec<Vec<u8>>> = self
            .rename
            .iter()
            .map(|(old, _)| headers.get_all(old.as_str()).map(<[u8]>::to_vec).collect())
            .collect();
        for name in &self.remove {
            headers.remove(name.as_str());
        }
        for (((old, new), came), values) in self.rename.iter().zip(renamed).zip(values) {
            if came {
                headers.remove(new.as_str());
                for value in values {
                    headers.append(new.as_str(), value)?;
                }
                headers.remove(old.as_str());
            }
        }
        for ((name, value), came) in self.replace.iter().zip(replaced) {
            if came {
                headers.set(name.as_str(), value)?;
            }
        }
        for ((name, value), came) in self.add.iter().zip(added) {
            if !came {
                headers.set(name.as_str(), value)?;
            }
        }
        for (name, value) in &self.append {
            headers.append(name.as_str(), value)?;
        }
        Ok(())
    }
}

/// Whether one of the media types is JSON.
fn is_json(kinds: &str) -> bool {
    kinds.split(',').any(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim();
        essence.eq_ignore_ascii_case("application/json")
    })
}
