//! The settings, as the handler reads them.

use serde::Deserialize;

use super::state::Timeouts;

#[derive(Deserialize)]
pub(super) struct Config {
    pub(super) secret: Option<String>,
    pub(super) storage: String,
    pub(super) audience: String,
    pub(super) idling_timeout: f64,
    pub(super) rolling_timeout: f64,
    pub(super) absolute_timeout: f64,
    pub(super) stale_ttl: f64,
    pub(super) cookie_name: String,
    pub(super) cookie_path: String,
    pub(super) cookie_domain: Option<String>,
    pub(super) cookie_same_site: String,
    pub(super) cookie_http_only: bool,
    pub(super) cookie_secure: bool,
    pub(super) remember: bool,
    pub(super) remember_cookie_name: String,
    pub(super) remember_rolling_timeout: f64,
    pub(super) remember_absolute_timeout: f64,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) response_headers: Vec<String>,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) request_headers: Vec<String>,
    pub(super) read_body_for_logout: bool,
    #[serde(default, deserialize_with = "or_none")]
    pub(super) logout_methods: Vec<String>,
    pub(super) logout_query_arg: Option<String>,
    pub(super) logout_post_arg: Option<String>,
}

fn or_none<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}

impl Config {
    pub(super) fn timeouts(&self) -> Timeouts {
        Timeouts {
            idling: self.idling_timeout,
            rolling: self.rolling_timeout,
            absolute: self.absolute_timeout,
        }
    }

    pub(super) fn remember_timeouts(&self) -> Timeouts {
        Timeouts {
            idling: 0.0,
            rolling: self.remember_rolling_timeout,
            absolute: self.remember_absolute_timeout,
        }
    }

    /// What is said of every cookie after its value.
    pub(super) fn attributes(&self) -> String {
        let mut attributes = format!("; Path={}", self.cookie_path);
        if let Some(domain) = &self.cookie_domain {
            attributes += &format!("; Domain={domain}");
        }
        if self.cookie_same_site != "Default" {
            attributes += &format!("; SameSite={}", self.cookie_same_site);
        }
        if self.cookie_secure {
            attributes += "; Secure";
        }
        if self.cookie_http_only {
            attributes += "; HttpOnly";
        }
        attributes
    }
}
