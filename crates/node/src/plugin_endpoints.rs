//! The endpoints of plugins, for the Admin API.

use admin::{PluginAnswer, PluginBody, PluginEndpoint, PluginEndpoints, PluginRequest};
use async_trait::async_trait;
use plugin_api::{Body, Endpoint, EndpointCall, Method, Plugin, Reply, Services};
use plugins::Enabled;
use serde_json::json;

/// What is described about the endpoints of some plugins.
pub fn described(enabled: Enabled) -> Vec<PluginEndpoint> {
    let endpoints = enabled.plugins().flat_map(|plugin| {
        let endpoints = plugin.endpoints.iter();
        endpoints.map(|endpoint| describe(plugin, endpoint))
    });
    endpoints.collect()
}

fn describe(plugin: &Plugin, endpoint: &Endpoint) -> PluginEndpoint {
    let methods = endpoint.methods.iter();
    PluginEndpoint {
        plugin: plugin.declaration.name,
        path: endpoint.path,
        // Every method of ours is one of theirs.
        methods: methods
            .filter_map(|method| method.as_str().parse().ok())
            .collect(),
        summary: endpoint.summary,
    }
}

/// The endpoints of the plugins that can be configured, served.
pub struct ServedEndpoints {
    pub enabled: Enabled,
    pub services: Services,
}

#[async_trait]
impl PluginEndpoints for ServedEndpoints {
    fn all(&self) -> Vec<PluginEndpoint> {
        described(self.enabled)
    }

    async fn call(&self, path: &str, request: PluginRequest) -> Result<PluginAnswer, String> {
        let mut endpoints = self.enabled.plugins().flat_map(|plugin| plugin.endpoints);
        let endpoint = endpoints.find(|endpoint| endpoint.path == path);
        let endpoint = endpoint.ok_or_else(|| format!("no plugin has the endpoint {path}"))?;
        let method = Method::parse(request.method.as_str().as_bytes());
        let call = EndpointCall {
            method: method.map_err(|error| error.to_string())?,
            parameters: request.parameters,
            body: request.body,
            services: self.services.clone(),
        };
        let reply = (endpoint.run)(call).await;
        reply.map(answer).map_err(|failure| failure.to_string())
    }
}

fn answer(reply: Reply) -> PluginAnswer {
    let headers = reply.headers.into_iter();
    PluginAnswer {
        status: reply.status,
        headers: headers
            .map(|(name, value)| (name.into_owned(), value))
            .collect(),
        body: match reply.body {
            Body::Empty => PluginBody::Empty,
            Body::Json(value) => PluginBody::Json(value),
            Body::Error(message) => PluginBody::Json(json!({ "message": message })),
            Body::Bytes(bytes) => PluginBody::Bytes(bytes.into()),
        },
    }
}
