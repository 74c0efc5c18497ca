//! The settings of a record, and what they mean.

use std::sync::Arc;
use std::time::Duration;

use aws::{ENCODED, Identity, Keeper, Metadata, Role, TokenService};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{percent_decode_str, percent_encode};
use plugin_api::{Destination, Failure, HttpProxy, Services};
use serde::Deserialize;
use stdx::Secret;
use url::Url;

use crate::outbound;

/// Of the service's interface.
const VERSION: &str = "2015-03-31";

#[derive(Deserialize)]
pub struct Config {
    pub timeout: f64,
    pub keepalive: f64,
    pub aws_key: Option<String>,
    pub aws_secret: Option<String>,
    pub aws_assume_role_arn: Option<String>,
    pub aws_role_session_name: Option<String>,
    pub aws_sts_endpoint_url: Option<String>,
    pub aws_region: Option<String>,
    pub function_name: Option<String>,
    pub qualifier: Option<String>,
    pub invocation_type: String,
    pub log_type: String,
    pub host: Option<String>,
    pub port: Option<u16>,
    pub disable_https: Option<bool>,
    pub unhandled_status: Option<u16>,
    pub forward_request_method: Option<bool>,
    pub forward_request_uri: Option<bool>,
    pub forward_request_headers: Option<bool>,
    pub forward_request_body: Option<bool>,
    pub is_proxy_integration: Option<bool>,
    pub awsgateway_compatible: Option<bool>,
    pub proxy_url: Option<String>,
    pub skip_large_bodies: Option<bool>,
    pub base64_encode_body: Option<bool>,
    pub aws_imds_protocol_version: String,
    pub empty_arrays_mode: String,
}

/// Where the function is.
pub struct Target {
    pub region: String,
    /// With the port where it is not the scheme's.
    pub host: String,
    pub path: String,
    /// As it is signed.
    pub query: String,
    pub url: String,
    /// Whether the server is the region's own, whose certificate is to be verified.
    pub is_amazons: bool,
    pub timeout: Duration,
    pub keep_alive: Duration,
}

impl Config {
    /// The region of the function: of the record, or else of the machine.
    ///
    /// # Errors
    /// When neither names one.
    pub fn region(&self, services: &Services) -> Result<String, Failure> {
        let region = aws::region(self.aws_region.as_deref(), services);
        region.ok_or_else(|| Failure::new("aws_region: no region is known, here or in AWS_REGION"))
    }

    /// # Errors
    /// When the record names no function, or no region.
    pub fn target(&self, services: &Services) -> Result<Target, Failure> {
        let name = self.function_name.as_deref().unwrap_or_default();
        if name.is_empty() {
            return Err(Failure::new("function_name: there is none"));
        }
        let region = self.region(services)?;
        let host = match &self.host {
            Some(host) => host.clone(),
            None => format!("lambda.{region}.{}", aws::domain(&region)),
        };
        let (scheme, usual) = match self.disable_https {
            Some(true) => ("http", 80),
            _ => ("https", 443),
        };
        let host = match self.port.unwrap_or(443) {
            port if port == usual => host,
            port => format!("{host}:{port}"),
        };
        let name = percent_encode(name.as_bytes(), ENCODED);
        let path = format!("/{VERSION}/functions/{name}/invocations");
        let qualifier = self.qualifier.as_deref();
        let qualifier: Vec<_> = qualifier
            .map(|name| ("Qualifier", name))
            .into_iter()
            .collect();
        let query = aws::query(&qualifier);
        let mark = if query.is_empty() { "" } else { "?" };
        let url = format!("{scheme}://{host}{path}{mark}{query}");
        Ok(Target {
            region,
            host,
            path,
            query,
            url,
            is_amazons: self.host.is_none(),
            timeout: outbound::time_limit("timeout", self.timeout)?,
            keep_alive: outbound::keep_alive("keepalive", self.keepalive)?,
        })
    }

    /// The proxy that all connections go through.
    ///
    /// # Errors
    /// When its URL names no host.
    pub fn proxy(&self) -> Result<Option<HttpProxy>, Failure> {
        let Some(url) = &self.proxy_url else {
            return Ok(None);
        };
        let url = Url::parse(url).ok();
        let url = url.filter(|url| url.scheme() == "http");
        let url = url.ok_or_else(|| Failure::new("proxy_url: this is no URL of a proxy"))?;
        let host = url.host_str();
        let host = host.ok_or_else(|| Failure::new("proxy_url: there is no host"))?;
        let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let user = (!url.username().is_empty()).then(|| {
            let password = url.password().map(decoded).unwrap_or_default();
            let both = format!("{}:{password}", decoded(url.username()));
            format!("Basic {}", STANDARD.encode(both))
        });
        Ok(Some(HttpProxy {
            at: Destination {
                host: host.to_owned(),
                port: url.port().unwrap_or(80),
            },
            authorization: user,
        }))
    }

    /// Who signs.
    ///
    /// # Errors
    /// When a key is empty, or without its other half.
    pub fn credentials(&self, services: &Services) -> Result<Arc<Keeper>, Failure> {
        let keys = match (&self.aws_key, &self.aws_secret) {
            (Some(key_id), Some(secret)) if !key_id.is_empty() && !secret.is_empty() => {
                Some((key_id.clone(), Secret::new(secret)))
            }
            (None, None) => None,
            _ => return Err(Failure::new("aws_key, aws_secret: one of them is empty")),
        };
        let session = self.aws_role_session_name.as_deref().unwrap_or("kong");
        let role = self.aws_assume_role_arn.as_ref().map(|arn| Role {
            arn: arn.clone(),
            session: session.to_owned(),
        });
        let identity = Identity {
            keys,
            metadata: match &*self.aws_imds_protocol_version {
                "v1" => Metadata::V1,
                _ => Metadata::V2,
            },
            token_service: TokenService {
                region: self.region(services)?,
                endpoint: self.aws_sts_endpoint_url.clone(),
                proxy: self.proxy()?,
            },
            role,
        };
        Ok(identity.keeper(services))
    }
}
