//! Plugins that run functions, here or elsewhere. One folder each.

pub mod aws_lambda;
pub mod azure_functions;
pub mod post_function;
pub mod pre_function;

mod functions;
mod outbound;
