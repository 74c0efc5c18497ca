//! The limits of a configuration, with the headers that tell clients about them.

use std::collections::BTreeMap;

use crate::counting::{Limit, PeriodLimits, text_of};

/// What is limited under one name that the upstream uses.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) limits: Vec<Limit>,
    /// The header with what is left of the tightest limit; `None` where the name cannot stand in a header.
    pub(super) left: Option<String>,
    /// The headers of each limit, by its place; none where clients are not told.
    pub(super) shown: Vec<Shown>,
}

/// The two headers of one limit.
pub(super) struct Shown {
    pub(super) limit: String,
    pub(super) left: String,
    /// The limit as text, which does not change.
    pub(super) text: Vec<u8>,
}

impl Named {
    /// All of a configuration.
    pub(super) fn all(limits: BTreeMap<String, PeriodLimits>, is_hidden: bool) -> Vec<Self> {
        let named =
            |(name, limits): (String, PeriodLimits)| Self::new(name, limits.limits(), is_hidden);
        limits.into_iter().map(named).collect()
    }

    fn new(name: String, limits: Vec<Limit>, is_hidden: bool) -> Self {
        let can_be_told = name.bytes().all(is_token);
        let told = limits.iter().filter(|_| can_be_told && !is_hidden);
        let shown = told.map(|limit| {
            let period = limit.period.name();
            Shown {
                limit: format!("X-RateLimit-Limit-{name}-{period}"),
                left: format!("X-RateLimit-Remaining-{name}-{period}"),
                text: text_of(limit.most).to_vec(),
            }
        });
        Self {
            left: can_be_told.then(|| format!("X-RateLimit-Remaining-{name}")),
            shown: shown.collect(),
            name,
            limits,
        }
    }
}

/// Whether a byte can stand in the name of a header (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The units that an answer says were used, by the limits' place: `video=2, image=1`. The last one of a name counts; what
/// is no number of a known name is passed over.
pub(super) fn parse_used<'a>(values: impl Iterator<Item = &'a [u8]>, limits: &[Named]) -> Vec<f64> {
    let mut used = vec![0.0; limits.len()];
    for value in values {
        let Ok(value) = std::str::from_utf8(value) else {
            continue;
        };
        for part in value.split(',') {
            let Some((name, number)) = part.split_once('=') else {
                continue;
            };
            let place = limits.iter().position(|limit| limit.name == name.trim());
            let number = number
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite());
            if let (Some(place), Some(number)) = (place, number) {
                used[place] = number;
            }
        }
    }
    used
}
