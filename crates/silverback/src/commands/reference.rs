//! Prints the reference documents that `docs/` keeps.

use std::process::ExitCode;

use node::DeclaredEntities;

use crate::arguments::{Document, Reference};
use crate::output::Output;

/// Prints one document.
pub fn reference(options: &Reference, output: &Output) -> anyhow::Result<ExitCode> {
    let text = match options.document {
        Document::Settings => config::reference_markdown(),
        Document::Metrics => node::metrics::reference_markdown(),
        Document::Plugins => node::plugins_markdown(),
        Document::Openapi => {
            let declared = DeclaredEntities::default();
            let plugins = declared.plugin_endpoints();
            let document = admin::openapi::document(declared.schemas(), plugins);
            serde_json::to_string_pretty(&document)?
        }
    };
    output.say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}
