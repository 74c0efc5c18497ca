use std::sync::Arc;

use parking_lot::Mutex;
use plugin_api::testing::{self, FakeRecords, Sample};
use plugin_api::{By, Epoch, Lookup, Records, Services, Unavailable};
use schema::Record;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Found, Identities, Kind, Sought};
use crate::identity::Denied;

const ALICE: Uuid = Uuid::from_u128(0xa);
const CREDENTIAL: Uuid = Uuid::from_u128(0xc);
const KEYS: Kind = Kind {
    entity: "keyauth_credentials",
    field: "key",
    identifier: "id",
};

/// Records of which a test sees how often they are looked up, and which it can change while somebody waits.
struct Watched {
    records: Mutex<FakeRecords>,
    epoch: Epoch,
    lookups: Mutex<usize>,
    spared: Mutex<u64>,
    /// Whether a lookup has to be waited for.
    slow: bool,
    /// What happens once the next record has been read, before it is handed over.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Watched {
    fn new(records: FakeRecords, slow: bool) -> Arc<Self> {
        Arc::new(Self {
            records: Mutex::new(records),
            epoch: Epoch::default(),
            lookups: Mutex::new(0),
            spared: Mutex::new(0),
            slow,
            meanwhile: Mutex::default(),
        })
    }

    /// Replaces all records, as a change that has come through the feed.
    fn change(&self, records: FakeRecords) {
        *self.records.lock() = records;
        self.epoch.advance();
    }

    fn take_lookups(&self) -> usize {
        std::mem::take(&mut *self.lookups.lock())
    }
}

impl Records for Watched {
    fn find(&self, entity: &'static str, by: By<'_>) -> Lookup<Option<Arc<Record>>> {
        *self.lookups.lock() += 1;
        let found = self.records.lock().find(entity, by);
        if let Some(meanwhile) = self.meanwhile.lock().take() {
            meanwhile();
        }
        match found {
            Lookup::Known(known) if self.slow => {
                Lookup::Fetch(Box::pin(std::future::ready(Ok(known))))
            }
            found => found,
        }
    }

    fn children(
        &self,
        entity: &'static str,
        foreign: &'static str,
        id: Uuid,
    ) -> Lookup<Arc<[Arc<Record>]>> {
        self.records.lock().children(entity, foreign, id)
    }

    fn epoch(&self, _entity: &'static str) -> Epoch {
        self.epoch.clone()
    }

    fn note_hits(&self, spared: u64) {
        *self.spared.lock() += spared;
    }
}

fn consumer(username: &str) -> Value {
    json!({ "id": ALICE.to_string(), "username": username, "custom_id": "a-1" })
}

fn credential(key: &str, ttl: Option<u32>) -> Value {
    let owner = json!({ "id": ALICE.to_string() });
    json!({ "id": CREDENTIAL.to_string(), "key": key, "consumer": owner, "ttl": ttl })
}

fn records(key: &str, username: &str) -> FakeRecords {
    FakeRecords::default()
        .with("consumers", consumer(username))
        .with("keyauth_credentials", credential(key, None))
}

fn services(records: &Arc<Watched>) -> Services {
    Services {
        records: records.clone(),
        ..testing::services(FakeRecords::default())
    }
}

fn identities(records: &Arc<Watched>) -> Identities {
    Identities::of(&services(records), KEYS)
}

async fn find(identities: &Identities, key: &str) -> Result<Found, Denied> {
    match identities.find(key) {
        Sought::Known(found) => found,
        Sought::Fetch(fetch) => fetch.await,
    }
}

/// The name by which the upstream gets to know who has a key.
async fn username(identities: &Identities, key: &str) -> Option<String> {
    let found = find(identities, key).await.ok().flatten()?;
    let mut sample = Sample::new("GET", "/", &[("X-Consumer-Username", "mallory")]);
    found.enter(&mut sample.exchange()).expect("headers");
    let work = sample
        .work
        .consumer
        .as_ref()
        .and_then(|consumer| consumer.username.clone());
    let header = sample
        .head
        .headers
        .get_str("X-Consumer-Username")
        .map(str::to_owned);
    assert_eq!(work.as_deref(), header.as_deref());
    header
}

#[tokio::test]
async fn who_comes_again_is_known_without_a_lookup() {
    for slow in [false, true] {
        let records = Watched::new(records("k1", "alice"), slow);
        let identities = identities(&records);
        assert_eq!(username(&identities, "k1").await.as_deref(), Some("alice"));
        assert_eq!(records.take_lookups(), 2);
        assert_eq!(username(&identities, "k1").await.as_deref(), Some("alice"));
        assert_eq!(records.take_lookups(), 0);
    }
}

#[tokio::test]
async fn handlers_of_the_same_entity_share_what_they_know() {
    let records = Watched::new(records("k1", "alice"), false);
    let services = services(&records);
    let [one, other] = [(); 2].map(|()| Identities::of(&services, KEYS));
    assert!(username(&one, "k1").await.is_some());
    records.take_lookups();
    assert!(username(&other, "k1").await.is_some());
    assert_eq!(records.take_lookups(), 0);
}

#[tokio::test]
async fn who_comes_often_is_looked_up_now_and_then_so_that_the_records_stay_in_use() {
    let records = Watched::new(records("k1", "alice"), false);
    let identities = identities(&records);
    for _ in 0..20_000 {
        assert!(username(&identities, "k1").await.is_some());
    }
    let (lookups, spared) = (records.take_lookups(), *records.spared.lock());
    assert!((20..100).contains(&lookups), "{lookups} lookups");
    assert!(
        (18_000..20_000).contains(&spared),
        "{spared} spared lookups"
    );
}

#[tokio::test]
async fn a_changed_consumer_and_a_deleted_credential_count_at_once() {
    for slow in [false, true] {
        let watched = Watched::new(records("k1", "alice"), slow);
        let identities = identities(&watched);
        assert_eq!(username(&identities, "k1").await.as_deref(), Some("alice"));
        watched.change(records("k1", "alicia"));
        assert_eq!(username(&identities, "k1").await.as_deref(), Some("alicia"));
        watched.change(records("k2", "alicia"));
        assert_eq!(username(&identities, "k1").await, None);
        assert_eq!(username(&identities, "k2").await.as_deref(), Some("alicia"));
    }
}

#[tokio::test]
async fn what_was_read_before_a_change_is_not_kept_after_it() {
    for slow in [false, true] {
        let watched = Watched::new(records("k1", "alice"), slow);
        let identities = identities(&watched);
        let feed = watched.clone();
        let change = move || feed.change(records("k2", "alice"));
        *watched.meanwhile.lock() = Some(Box::new(change));
        // The one request that was under way may still be let in.
        let _ = username(&identities, "k1").await;
        assert_eq!(username(&identities, "k1").await, None, "slow: {slow}");
    }
}

#[tokio::test]
async fn a_key_that_ends_by_itself_is_looked_up_every_time() {
    let temporary = FakeRecords::default()
        .with("consumers", consumer("alice"))
        .with("keyauth_credentials", credential("k1", Some(60)));
    let records = Watched::new(temporary, false);
    let identities = identities(&records);
    for _ in 0..3 {
        assert!(username(&identities, "k1").await.is_some());
        assert_eq!(records.take_lookups(), 2);
    }
}

#[tokio::test]
async fn that_there_is_no_such_key_is_asked_every_time() {
    let watched = Watched::new(FakeRecords::default(), false);
    let identities = identities(&watched);
    for _ in 0..3 {
        assert!(matches!(find(&identities, "k1").await, Ok(None)));
        assert_eq!(watched.take_lookups(), 1);
    }
    watched.change(records("k1", "alice"));
    assert!(username(&identities, "k1").await.is_some());
}

#[tokio::test]
async fn an_outage_is_no_answer_and_is_not_kept() {
    let watched = Watched::new(records("k1", "alice"), false);
    let identities = identities(&watched);
    assert!(username(&identities, "k1").await.is_some());
    watched.records.lock().away = true;
    assert!(
        username(&identities, "k1").await.is_some(),
        "who is known stays known"
    );
    let unknown = find(&identities, "k2").await;
    assert!(matches!(unknown, Err(Denied::Unknown(Unavailable(_)))));
    watched.records.lock().away = false;
    assert!(matches!(find(&identities, "k2").await, Ok(None)));
}

#[tokio::test]
async fn a_credential_without_its_consumer_is_nobodys() {
    let orphan = FakeRecords::default().with("keyauth_credentials", credential("k1", None));
    let records = Watched::new(orphan, false);
    let identities = identities(&records);
    assert!(matches!(
        find(&identities, "k1").await,
        Err(Denied::Failed(_))
    ));
    assert!(matches!(
        find(&identities, "k1").await,
        Err(Denied::Failed(_))
    ));
}
