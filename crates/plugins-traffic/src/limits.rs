//! Limits by period: the fields and the order that both rate limiting plugins share.

use schema::Field;
use serde_json::Value;

/// The periods, the shortest first.
pub const PERIODS: [&str; 6] = ["second", "minute", "hour", "day", "month", "year"];

/// One limit for each period, all of them optional.
pub fn period_fields() -> Vec<(&'static str, Field)> {
    let limit = |description| Field::number(description).gt(0);
    vec![
        ("second", limit("How many in a second.")),
        ("minute", limit("How many in a minute.")),
        ("hour", limit("How many in an hour.")),
        ("day", limit("How many in a day.")),
        ("month", limit("How many in a month.")),
        ("year", limit("How many in a year.")),
    ]
}

/// Where counters are kept: one of these places.
pub fn policy(places: &[&'static str]) -> Field {
    Field::string("Where counters are kept: on the node, in the database, or in Redis.")
        .one_of(places)
        .default("local")
}

/// A longer period cannot have a lower limit than a shorter one. `article` begins the message.
pub fn check_order(limits: &Value, article: &str) -> Result<(), String> {
    for (at, shorter) in PERIODS.iter().enumerate() {
        for longer in PERIODS.iter().skip(at + 1) {
            let (Some(low), Some(high)) = (limits[*shorter].as_f64(), limits[*longer].as_f64())
            else {
                continue;
            };
            if high < low {
                return Err(format!(
                    "{article} limit for {longer}({high:.1}) cannot be lower than the limit for {shorter}({low:.1})"
                ));
            }
        }
    }
    Ok(())
}

/// Adds the settings of Redis under the names that they had before there was a `redis` record.
macro_rules! old_redis_names {
    ($record:expr, $plugin:literal) => {
        $crate::limits::old_redis_names!(
            $record,
            $plugin,
            "host" => schema::Field::string(""),
            "port" => schema::Field::integer(""),
            "password" => schema::Field::string("").len_min(0),
            "username" => schema::Field::string(""),
            "ssl" => schema::Field::boolean(""),
            "ssl_verify" => schema::Field::boolean(""),
            "server_name" => schema::Field::string(""),
            "timeout" => schema::Field::integer(""),
            "database" => schema::Field::integer("")
        )
    };
    ($record:expr, $plugin:literal, $($name:literal => $field:expr),+) => {
        $record$(.shorthand(plugin_api::fields::old_name(
            concat!("redis_", $name),
            $field,
            &["redis", $name],
            &[&["redis", $name]],
            concat!(
                $plugin, ": config.redis_", $name,
                " is deprecated, please use config.redis.", $name, " instead"
            ),
        )))+
    };
}
pub(crate) use old_redis_names;
