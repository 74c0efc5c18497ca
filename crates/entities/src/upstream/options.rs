//! What Silverback can do for an upstream and Kong cannot: settings of our own, in the upstream's tags.
//!
//! A tag such as `silverback:slow_start=30` is a label to Kong, to decK and to every other tool: it is stored in Kong's own
//! column, dumped, compared and synchronised like any tag, and a Kong node that shares the database ignores it. A field of
//! our own would be refused by their schemas, or lost on the way.

use std::time::Duration;

use schema::Record;
use serde_json::Value;

/// What our own tags begin with.
const PREFIX: &str = "silverback:";

/// The longest slow start: a day.
const LONGEST: f64 = 86_400.0;

/// The settings of an upstream that its tags say. Everything is off by default.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct UpstreamOptions {
    /// While less than this percentage of the weight is healthy, health is ignored: `panic_threshold`.
    pub panic_threshold: Option<f64>,
    /// How long a target that recovers or joins gets less than its share: `slow_start`, in seconds.
    pub slow_start: Option<Duration>,
    /// Requests that an address of a target handles at a time on each node: `max_connections`.
    pub max_connections: Option<u32>,
    /// Requests that wait on each node for every address while all are at `max_connections`: `max_pending`.
    pub max_pending: u32,
}

impl UpstreamOptions {
    /// Reads the tags of an upstream's record. What is no setting, or none that can be read, is left out.
    pub fn of(record: &Record) -> Self {
        let mut options = Self::default();
        let tags = record.get("tags").and_then(Value::as_array);
        for tag in tags.into_iter().flatten().filter_map(Value::as_str) {
            // A record that Kong wrote may hold what our own schema refuses.
            let _ = options.take(tag);
        }
        options
    }

    /// Takes one tag; one that is no setting of ours changes nothing.
    ///
    /// # Errors
    /// The text says what is wrong with a tag that begins like a setting.
    pub fn take(&mut self, tag: &str) -> Result<(), String> {
        let Some(setting) = tag.strip_prefix(PREFIX) else {
            return Ok(());
        };
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        match name {
            "panic_threshold" => self.panic_threshold = Some(within(tag, value, 0.0, 100.0)?),
            "slow_start" => {
                let seconds = within(tag, value, 0.0, LONGEST)?;
                self.slow_start = Some(Duration::from_secs_f64(seconds)).filter(|it| !it.is_zero());
            }
            "max_connections" => self.max_connections = Some(count(tag, value, 1)?),
            "max_pending" => self.max_pending = count(tag, value, 0)?,
            _ => {
                return Err(format!(
                    "invalid tag '{tag}': tags that begin with '{PREFIX}' are settings: panic_threshold, slow_start, max_connections, max_pending"
                ));
            }
        }
        Ok(())
    }
}

fn within(tag: &str, value: &str, least: f64, most: f64) -> Result<f64, String> {
    let number: Option<f64> = value.parse().ok();
    let number = number.filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("invalid tag '{tag}': expected a number from {least} to {most}"))
}

fn count(tag: &str, value: &str, least: u32) -> Result<u32, String> {
    let number: Option<u32> = value.parse().ok();
    let number = number.filter(|number| *number >= least);
    number.ok_or_else(|| format!("invalid tag '{tag}': expected a whole number from {least}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(tags: Value) -> UpstreamOptions {
        let mut record = Record::new();
        record.insert("tags".to_owned(), tags);
        UpstreamOptions::of(&record)
    }

    #[test]
    fn tags_that_begin_with_our_name_are_settings() {
        let tags = json!([
            "blue",
            "silverback:panic_threshold=49.5",
            "silverback:slow_start=30",
            "silverback:max_connections=100",
            "silverback:max_pending=7",
        ]);
        let options = UpstreamOptions {
            panic_threshold: Some(49.5),
            slow_start: Some(Duration::from_secs(30)),
            max_connections: Some(100),
            max_pending: 7,
        };
        assert_eq!(of(tags), options);
    }

    #[test]
    fn without_such_tags_everything_is_off() {
        for tags in [Value::Null, json!([]), json!(["x", "silverback"])] {
            assert_eq!(of(tags), UpstreamOptions::default());
        }
    }

    #[test]
    fn a_setting_that_cannot_be_read_is_named_and_has_no_effect() {
        for tag in [
            "silverback:panic_threshold=101",
            "silverback:panic_threshold=NaN",
            "silverback:slow_start",
            "silverback:slow_start=-1",
            "silverback:max_connections=0",
            "silverback:max_connections=1.5",
            "silverback:max_pending=",
            "silverback:other=1",
        ] {
            let refused = UpstreamOptions::default().take(tag);
            assert!(refused.is_err_and(|text| text.contains(tag)), "{tag}");
            assert_eq!(of(json!([tag])), UpstreamOptions::default());
        }
    }
}
