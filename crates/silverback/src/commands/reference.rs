//! Prints the reference documents that `docs/` keeps.

use std::process::ExitCode;

use node::DeclaredEntities;

use crate::arguments::{Document, Reference};
use crate::output::Output;

/// Prints one document.
pub fn reference(options: &Reference, output: &Output) -> anyhow::Result<ExitCode> {
    let text = match options.document {
        Document::Settings => config::reference_markdown(),
        Document::Openapi => serde_json::to_string_pretty(&admin::openapi::document(
            DeclaredEntities::default().schemas(),
        ))?,
    };
    output.say(text.trim_end());
    Ok(ExitCode::SUCCESS)
}
