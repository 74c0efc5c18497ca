//! Plugins that change requests and answers. One folder each.

pub mod correlation_id;
mod grpc;
pub mod grpc_gateway;
pub mod grpc_web;
pub mod request_transformer;
pub mod response_transformer;

mod lists;
