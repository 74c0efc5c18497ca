//! Whole contents: one state out in spite of writers, all or nothing in.

use std::collections::VecDeque;
use std::sync::Arc;

use schema::{Record, Schema};
use serde_json::json;

use super::schemas::{children, parents};
use super::{Case, Subject, complete, id_of, record, reference};
use crate::bulk::{Sink, Source};
use crate::{Error, Mutation, Store};

pub(super) async fn cases(subject: &dyn Subject) {
    reads_one_state_while_others_write(subject).await;
    a_sink_that_fails_ends_the_reading(subject).await;
    a_new_content_takes_the_place_of_the_old_one(subject).await;
    a_content_that_fails_half_way_changes_nothing(subject).await;
}

/// Keeps what it gets; writes to the store after the first batch.
struct Meddler {
    store: Arc<dyn Store>,
    taken: Vec<(&'static str, Record)>,
    met: bool,
}

#[async_trait::async_trait]
impl Sink for Meddler {
    async fn take(&mut self, schema: &'static Schema, records: Vec<Record>) -> Result<(), Error> {
        let named = records.into_iter().map(|record| (schema.name, record));
        self.taken.extend(named);
        if !self.met {
            self.met = true;
            let parent = record(json!({ "name": "late" }));
            let child = record(json!({ "parent": reference(&parent) }));
            let mutations = [
                Mutation::Insert(parents(), parent),
                Mutation::Insert(children(), child),
            ];
            self.store.commit(&mutations).await?;
        }
        Ok(())
    }
}

/// Gives one record after the other, and fails at the end if it is to.
struct Records {
    left: VecDeque<(&'static Schema, Record)>,
    fails: bool,
}

#[async_trait::async_trait]
impl Source for Records {
    async fn next(&mut self) -> Result<Option<(&'static Schema, Vec<Record>)>, Error> {
        match self.left.pop_front() {
            Some((schema, record)) => Ok(Some((schema, vec![record]))),
            None if self.fails => Err(Error::Database("the source failed".to_owned())),
            None => Ok(None),
        }
    }
}

fn both() -> [&'static Schema; 2] {
    [parents(), children()]
}

async fn reads_one_state_while_others_write(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let parent = record(json!({ "name": "p" }));
    let child = record(json!({ "parent": reference(&parent) }));
    case.insert(parents(), &parent).await.unwrap();
    let version = case.insert(children(), &child).await.unwrap();
    let mut sink = Meddler {
        store: Arc::clone(&case.store),
        taken: Vec::new(),
        met: false,
    };
    let read = case.store.read_all(&both(), &mut sink).await.unwrap();
    assert_eq!(read, version);
    let expected = [
        ("parents", complete(parents(), &parent)),
        ("children", complete(children(), &child)),
    ];
    assert_eq!(sink.taken, expected);
}

async fn a_sink_that_fails_ends_the_reading(subject: &dyn Subject) {
    struct Full;
    #[async_trait::async_trait]
    impl Sink for Full {
        async fn take(&mut self, _: &'static Schema, _: Vec<Record>) -> Result<(), Error> {
            Err(Error::Database("the sink is full".to_owned()))
        }
    }
    let case = Case::open(subject).await;
    case.insert(parents(), &record(json!({}))).await.unwrap();
    let error = case.store.read_all(&both(), &mut Full).await.unwrap_err();
    assert!(error.to_string().contains("the sink is full"), "{error}");
    case.insert(parents(), &record(json!({}))).await.unwrap();
}

async fn a_new_content_takes_the_place_of_the_old_one(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let [kept, gone] = ["kept", "gone"].map(|name| record(json!({ "name": name })));
    for parent in [&kept, &gone] {
        case.insert(parents(), parent).await.unwrap();
        let child = record(json!({ "parent": reference(parent) }));
        case.insert(children(), &child).await.unwrap();
    }
    let before = case.store.version().await.unwrap();
    let new = record(json!({ "name": "gone" }));
    let child = record(json!({ "parent": reference(&new) }));
    let content = [
        (parents(), kept.clone()),
        (parents(), new.clone()),
        (children(), child.clone()),
    ];
    let mut source = Records {
        left: content.into(),
        fails: false,
    };
    let after = case.store.replace_all(&both(), &mut source).await.unwrap();
    assert!(after > before);
    assert_eq!(case.store.version().await.unwrap(), after);
    case.assert_stored(parents(), &kept).await;
    case.assert_stored(parents(), &new).await;
    case.assert_stored(children(), &child).await;
    assert!(case.get(parents(), &gone).await.is_none());
    let page = case.store.page(children(), &Default::default()).await;
    assert_eq!(page.unwrap().records.len(), 1);
}

async fn a_content_that_fails_half_way_changes_nothing(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let old = record(json!({ "name": "old" }));
    case.insert(parents(), &old).await.unwrap();
    let before = case.store.version().await.unwrap();
    let orphan = record(json!({ "parent": reference(&old) }));
    let new = record(json!({ "name": "new" }));
    for (content, fails) in [
        (vec![(parents(), new.clone())], true),
        (vec![(parents(), new.clone()), (children(), orphan)], false),
        (vec![(parents(), new.clone()), (parents(), new)], false),
    ] {
        let mut source = Records {
            left: content.into(),
            fails,
        };
        let replaced = case.store.replace_all(&both(), &mut source).await;
        assert!(replaced.is_err());
        assert_eq!(case.store.version().await.unwrap(), before);
        assert_eq!(
            case.get(parents(), &old).await.map(|r| id_of(&r)),
            Some(id_of(&old))
        );
        let page = case.store.page(parents(), &Default::default()).await;
        assert_eq!(page.unwrap().records.len(), 1);
    }
}
