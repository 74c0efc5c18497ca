//! The beginning of a node: its store is followed, and there is something to serve.

use std::sync::Arc;

use cluster::{Cluster, First, Parts, Timing, Words};
use config::{Settings, StoreChoice};
use stdx::Clock;
use store::{Catalog, Replica};

use crate::publisher::Publisher;
use crate::stores::{DeclaredEntities, OpenStore};
use crate::{Error, postgres};

/// Follows the store and returns when the data plane has a configuration.
///
/// # Errors
/// There is none: the store fails, or the database is away and this node has no copy of it.
pub async fn follow(
    settings: &Settings,
    open: &OpenStore,
    publisher: Publisher,
    words: Arc<Words>,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Cluster>, Error> {
    let catalog = DeclaredEntities::of(settings).catalog();
    let store = open.store();
    let cluster = Cluster::start(Parts {
        replica: replica(settings, &catalog, clock).await,
        publish: Arc::new(publisher),
        catalog,
        clock: clock.clone(),
        timing: Timing::for_store(store.as_ref()),
        words,
        store,
    })
    .await;
    match cluster.first() {
        First::Shared => {}
        First::Replica => {
            tracing::warn!(
                "serving this node's copy of the configuration, for the database gives none: {}",
                trouble(&cluster)
            );
        }
        First::Nothing(error) => return Err(refusal(settings, error.clone(), clock).await),
    }
    Ok(Arc::new(cluster))
}

/// The name of the copy, under the prefix.
const REPLICA: &str = "replica.db";

/// The copy of a shared store; without one the node works for as long as the database does.
async fn replica(
    settings: &Settings,
    catalog: &Catalog,
    clock: &Arc<dyn Clock>,
) -> Option<Arc<dyn Replica>> {
    let StoreChoice::Postgres(place) = &settings.store else {
        return None;
    };
    let path = settings.prefix.join(REPLICA);
    let origin = format!(
        "{}/{}",
        place.place(),
        place.schema.as_deref().unwrap_or_default()
    );
    let (catalog, clock) = (catalog.clone(), clock.clone());
    let opening = tokio::task::spawn_blocking(move || {
        store_sqlite::Replica::open(&path, &catalog, clock, &origin)
    });
    let reason = match opening.await {
        Ok(Ok(replica)) => return Some(Arc::new(replica)),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    tracing::error!(
        "this node has no copy of the configuration, and cannot start or be read without its database: {reason}"
    );
    None
}

/// Why the database is not what is served.
fn trouble(cluster: &Cluster) -> String {
    let status = cluster.status();
    match (status.held, status.contact) {
        (Some(held), _) => held,
        (None, cluster::Contact::Down { reason, .. }) => reason,
        (None, _) => "it has not answered yet".to_owned(),
    }
}

/// Why there is nothing to serve, in words that say what to do.
async fn refusal(settings: &Settings, error: cluster::Error, clock: &Arc<dyn Clock>) -> Error {
    let error = match error {
        cluster::Error::Store(error) => error,
        cluster::Error::Publish(reason) => return Error::Configuration(reason),
    };
    let StoreChoice::Postgres(place) = &settings.store else {
        return error.into();
    };
    if let Ok(options) = postgres::options(settings, place, clock.clone())
        && let Err(obstacle @ Error::Obstacle(_)) = postgres::check(settings, &options).await
    {
        return obstacle;
    }
    match error {
        store::Error::Unavailable(reason) => Error::DatabaseAway {
            place: place.place(),
            reason,
        },
        error => error.into(),
    }
}
