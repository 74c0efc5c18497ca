//! Digests: the same for the same records, and of one state while others write.

use std::time::Duration;

use futures_util::future::join;
use serde_json::json;

use super::schemas::{children, parents, tokens};
use super::{Case, Subject, complete, id_of, record, reference};
use crate::{Digest, Digests, Error, Mutation, Version};

pub(super) async fn cases(subject: &dyn Subject) {
    digests_sum_up_what_is_there(subject).await;
    what_has_expired_does_not_count(subject).await;
    digests_are_of_one_state(subject).await;
}

async fn read(case: &Case) -> (Version, Digests) {
    let schemas = [parents(), children(), tokens()];
    case.store.digests(&schemas).await.unwrap()
}

async fn digests_sum_up_what_is_there(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let (start, nothing) = read(&case).await;
    assert_eq!(start, case.store.version().await.unwrap());
    let names: Vec<_> = nothing.keys().map(String::as_str).collect();
    assert_eq!(names, ["children", "parents", "tokens"]);
    assert!(nothing.values().all(|digest| *digest == Digest::default()));

    let records: Vec<_> = (0..1500)
        .map(|n| record(json!({ "name": format!("n{n}"), "ratio": 0.5, "map": { "k": "v" } })))
        .collect();
    let child = record(json!({ "parent": reference(&records[0]) }));
    let mut mutations: Vec<_> = records
        .iter()
        .map(|record| Mutation::Insert(parents(), record.clone()))
        .collect();
    mutations.push(Mutation::Insert(children(), child.clone()));
    let version = case.store.commit(&mutations).await.unwrap();
    let mut expected = Digest::default();
    for record in &records {
        expected.add(&complete(parents(), record));
    }
    let (at, digests) = read(&case).await;
    assert_eq!((at, digests["parents"]), (version, expected));
    assert_eq!(digests["children"].count, 1);

    // What is gone leaves no trace, and what changed is another sum.
    case.delete(children(), &child).await.unwrap();
    let mut changed = records[7].clone();
    changed.insert("note".to_owned(), "changed".into());
    case.update(parents(), &changed).await.unwrap();
    let (at, digests) = read(&case).await;
    assert!(at > version);
    assert_eq!(digests["children"], Digest::default());
    assert_eq!(digests["parents"].count, expected.count);
    assert_ne!(digests["parents"].sum, expected.sum);
    case.update(parents(), &records[7]).await.unwrap();
    assert_eq!(read(&case).await.1["parents"], expected);
}

async fn what_has_expired_does_not_count(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let token = record(json!({ "name": "short", "ttl": 60 }));
    case.insert(tokens(), &token).await.unwrap();
    let fresh = read(&case).await.1["tokens"];
    assert_eq!(fresh.count, 1);
    case.clock.advance(Duration::from_secs(30));
    assert_eq!(read(&case).await.1["tokens"], fresh);
    case.clock.advance(Duration::from_secs(31));
    assert_eq!(read(&case).await.1["tokens"], Digest::default());
}

async fn digests_are_of_one_state(subject: &dyn Subject) {
    let case = Case::open(subject).await;
    let write = async {
        for _ in 0..30 {
            // Each commit adds a child and its parent.
            let parent = record(json!({}));
            let child = record(json!({ "parent": { "id": id_of(&parent).to_string() } }));
            let pair = [
                Mutation::Insert(parents(), parent),
                Mutation::Insert(children(), child),
            ];
            case.store.commit(&pair).await.unwrap();
        }
    };
    let look = async {
        let mut seen = 0;
        while seen < 30 {
            match case.store.digests(&[parents(), children()]).await {
                Ok((version, digests)) => {
                    seen = digests["parents"].count;
                    assert_eq!(digests["children"].count, seen);
                    assert_eq!(version.0, seen * 2);
                }
                // A store without snapshots says that it could not read one state.
                Err(Error::Conflict) => {}
                Err(other) => panic!("digests failed: {other}"),
            }
        }
    };
    join(write, look).await;
}
