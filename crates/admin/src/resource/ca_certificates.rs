//! A CA certificate that something trusts cannot be deleted.

use async_trait::async_trait;
use schema::{Record, Schema};
use serde_json::Value;
use store::{PageRequest, Version};

use super::{Error, Located, Plain, Resource, id_of};
use crate::State;
use crate::error::{Failure, Kind};

/// Services hold the ids of CA certificates in a list, which no foreign key watches.
pub struct CaCertificates(pub &'static Schema);

#[async_trait]
impl Resource for CaCertificates {
    fn schema(&self) -> &'static Schema {
        self.0
    }

    async fn delete(&self, state: &State, located: &Located) -> Result<Version, Error> {
        if let Located::Id(id) = located
            && let Some(service) = find_service(state, &id.to_string()).await?
        {
            let user = id_of(&service).unwrap_or_default();
            let message =
                format!("ca certificate {id} is still referenced by services (id = {user})");
            return Err(Failure::new(Kind::ReferencedByOthers, message).into());
        }
        Plain(self.0).delete(state, located).await
    }
}

/// The first service that trusts the certificate.
async fn find_service(state: &State, id: &str) -> Result<Option<Record>, Error> {
    let Some(services) = state.schema("services") else {
        return Ok(None);
    };
    let mut request = PageRequest {
        size: PageRequest::MAX_SIZE,
        ..PageRequest::default()
    };
    loop {
        let page = state.repository.page(services, &request).await?;
        let trusts = |service: &Record| {
            let list = service.get("ca_certificates").and_then(Value::as_array);
            list.is_some_and(|list| list.iter().any(|entry| entry == id))
        };
        if let Some(service) = page.records.into_iter().find(trusts) {
            return Ok(Some(service));
        }
        match page.offset {
            Some(offset) => request.offset = Some(offset),
            None => return Ok(None),
        }
    }
}
