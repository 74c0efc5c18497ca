//! Which formats a record reads and writes.

use plugin_api::{Configured, Failure};
use serde::Deserialize;

use super::{Context, Format};

/// The formats in which older records seek a context. Compat: in the order of Kong's.
const SOUGHT: [Format; 7] = [
    Format::B3,
    Format::W3c,
    Format::Jaeger,
    Format::Ot,
    Format::Datadog,
    Format::Aws,
    Format::Gcp,
];

/// What becomes of trace contexts.
#[derive(Debug, Clone, PartialEq)]
pub struct Propagation {
    /// The formats in which a context is sought, in this order.
    pub(super) extract: Vec<Format>,
    /// Headers that the upstream does not get.
    pub(super) clear: Vec<String>,
    inject: Vec<Injected>,
    default_format: Format,
}

/// A format that is written.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Injected {
    /// That in which the context came.
    Preserved,
    Always(Format),
}

#[derive(Deserialize)]
struct Settings {
    propagation: Option<Formats>,
    header_type: Option<String>,
    default_header_type: Option<Format>,
}

#[derive(Deserialize)]
struct Formats {
    extract: Option<Vec<Format>>,
    clear: Option<Vec<String>>,
    inject: Option<Vec<String>>,
    default_format: Option<Format>,
}

impl Propagation {
    /// That of a record: its field `propagation`, or the older fields if that says nothing but a default.
    ///
    /// # Errors
    /// When the configuration is not what its declaration says.
    pub fn read(record: &Configured<'_>) -> Result<Self, Failure> {
        let settings: Settings = record.read()?;
        let said = settings.propagation.as_ref();
        let default_format = said.and_then(|said| said.default_format);
        if let Some(said) = settings.propagation
            && (said.extract.is_some() || said.clear.is_some() || said.inject.is_some())
        {
            let inject = said.inject.into_iter().flatten();
            return Ok(Self {
                extract: said.extract.unwrap_or_default(),
                clear: said.clear.unwrap_or_default(),
                inject: inject
                    .map(|name| read_injected(&name))
                    .collect::<Result<_, _>>()?,
                default_format: default_format.unwrap_or(Format::W3c),
            });
        }
        // The older field counts once somebody has set it.
        let older = settings.default_header_type;
        let default_format = match older {
            Some(older) if older != Format::B3 => older,
            _ => default_format.or(older).unwrap_or(Format::W3c),
        };
        let header_type = settings.header_type;
        let (extract, inject) = match header_type.as_deref() {
            None => (vec![], vec![]),
            Some("ignore") => (vec![], vec![Injected::Always(default_format)]),
            Some("preserve") => (SOUGHT.to_vec(), vec![Injected::Preserved]),
            Some(name) => (
                SOUGHT.to_vec(),
                vec![Injected::Preserved, read_injected(name)?],
            ),
        };
        Ok(Self {
            extract,
            clear: Vec::new(),
            inject,
            default_format,
        })
    }

    /// The formats in which the place of a request is written, each once.
    pub(super) fn formats(&self, context: &Context) -> Vec<Format> {
        let mut formats = Vec::new();
        for injected in &self.inject {
            let format = match injected {
                Injected::Preserved => context.format.unwrap_or(self.default_format),
                Injected::Always(format) => *format,
            };
            if !formats.contains(&format) {
                formats.push(format);
            }
        }
        formats
    }
}

fn read_injected(name: &str) -> Result<Injected, Failure> {
    if name == "preserve" {
        return Ok(Injected::Preserved);
    }
    let format = Format::deserialize(serde::de::value::StrDeserializer::new(name));
    let format: Result<Format, serde::de::value::Error> = format;
    format
        .map(Injected::Always)
        .map_err(|error| Failure::new(format!("a format of traces: {error}")))
}
