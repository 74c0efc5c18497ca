//! Plugins that speak to language models. One folder each.

pub mod ai_prompt_decorator;
pub mod ai_prompt_guard;
pub mod ai_prompt_template;
pub mod ai_proxy;
pub mod ai_request_transformer;
pub mod ai_response_transformer;

mod account;
mod coding;
mod conversation;
mod effects;
mod endpoint;
mod events;
mod introspection;
mod model;
mod native;
mod provider;
mod service_account;
mod settings;
mod usage;

#[cfg(test)]
mod tests;
