//! `/tags/{tag}`: who carries a tag.

use axum::response::Response;
use http::Method;

use super::{Call, Error};
use crate::entity;
use crate::paging::Paging;
use crate::resource::{Resource, Tags};

/// Lists the entities; a tag itself cannot be written.
pub async fn page(call: Call<'_>) -> Result<Response, Error> {
    let tags = Tags(call.state.schema("tags").ok_or(Error::NotFound)?);
    if call.method != Method::GET {
        tags.insert(call.state, call.body.clone()).await?;
    }
    let paging = Paging::read(&call.query, tags.schema())?;
    let page = tags.page_of(call.state, call.parameter(0), &paging).await?;
    Ok(entity::shown_page(&paging, &call.path, page))
}
