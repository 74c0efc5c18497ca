//! The dialects of tags.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum TagStyle {
    Dogstatsd,
    Influxdb,
    Librato,
    Signalfx,
}

impl TagStyle {
    /// A metric with its tags; `value` appends the value.
    pub(super) fn line(
        self,
        name: String,
        tags: &[(&'static str, String)],
        value: impl FnOnce(&mut String),
    ) -> String {
        let mut line = name;
        if tags.is_empty() {
            value(&mut line);
            return line;
        }
        let between = if self == Self::Dogstatsd { ':' } else { '=' };
        let written: Vec<String> = tags
            .iter()
            .map(|(name, value)| format!("{name}{between}{value}"))
            .collect();
        let written = written.join(",");
        match self {
            Self::Dogstatsd => {
                value(&mut line);
                line.push_str("|#");
                line.push_str(&written);
            }
            Self::Influxdb => {
                line.push(',');
                line.push_str(&written);
                value(&mut line);
            }
            Self::Librato => {
                line.push('#');
                line.push_str(&written);
                value(&mut line);
            }
            Self::Signalfx => {
                line.push('[');
                line.push_str(&written);
                line.push(']');
                value(&mut line);
            }
        }
        line
    }
}
