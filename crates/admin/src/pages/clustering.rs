//! `/clustering`: the pages of a hybrid control plane, which a node of equals is not.

use axum::response::Response;
use http::StatusCode;

use super::{Call, Error};

/// Compat: the answer of a traditional Kong node.
pub async fn refuse(_call: Call<'_>) -> Result<Response, Error> {
    let message = "this endpoint is only available when Kong is configured to run as Control Plane for the cluster";
    Err(Error::Refused(StatusCode::BAD_REQUEST, message.to_owned()))
}
