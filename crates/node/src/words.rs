//! What plugins tell the other nodes, and hear from them.

use std::sync::Arc;

use cluster::Words;
use plugin_api::{BoxFuture, Hearer, Unavailable};

/// The node's words, as plugins use them.
pub struct PluginWords(pub Arc<Words>);

impl plugin_api::Cluster for PluginWords {
    fn tell(&self, channel: &'static str, text: String) -> BoxFuture<Result<(), Unavailable>> {
        let words = self.0.clone();
        Box::pin(async move {
            let told = words.tell(channel, text).await;
            told.map_err(|error| Unavailable(error.to_string()))
        })
    }

    fn hear(&self, channel: &'static str, hearer: Hearer) {
        self.0.hear(channel, hearer);
    }
}
