use std::sync::Arc;

use plugin_api::testing::{FakeRecords, Sample, build, services};
use plugin_api::{Consumer, Credential, Flow};
use serde_json::{Value, json};

use super::handler;

const ALICE: &str = "00000000-0000-0000-0000-00000000000a";

/// The status of a refusal, or the groups that the upstream is told.
async fn judge(
    config: Value,
    groups: &[&str],
    prepare: impl FnOnce(&mut Sample),
) -> Result<Option<String>, u16> {
    let mut records = FakeRecords::default();
    for (number, group) in groups.iter().enumerate() {
        let record =
            json!({ "id": number.to_string(), "group": group, "consumer": { "id": ALICE } });
        records = records.with("acls", record);
    }
    let mut whole = json!({
        "allow": null, "deny": null, "hide_groups_header": false, "always_use_authenticated_groups": false,
    });
    for (name, value) in config.as_object().expect("an object") {
        whole[name] = value.clone();
    }
    let handler = build(handler::build, &whole, &services(records)).expect("a handler");
    let mut sample = Sample::new("GET", "/", &[]);
    prepare(&mut sample);
    let mut exchange = sample.exchange();
    match handler
        .access(&mut exchange)
        .outcome()
        .await
        .expect("an outcome")
    {
        Flow::Answer(reply) => Err(reply.status),
        Flow::Next => Ok(sample
            .head
            .headers
            .get_str("X-Consumer-Groups")
            .map(str::to_owned)),
    }
}

fn alice(sample: &mut Sample) {
    let record = json!({ "id": ALICE, "username": "alice" });
    let record = Arc::new(record.as_object().cloned().expect("an object"));
    sample.work.consumer = Consumer::read(record).map(Arc::new);
    sample.work.credential = Some(Arc::new(Credential {
        id: "c".into(),
        identifier: None,
        record: None,
    }));
}

#[tokio::test]
async fn allow_lets_members_in_and_deny_keeps_them_out() {
    let allow = || json!({ "allow": ["admins", "ops"] });
    let deny = || json!({ "deny": ["admins"] });
    assert_eq!(
        judge(allow(), &["ops", "x"], alice).await,
        Ok(Some("ops, x".to_owned()))
    );
    assert_eq!(judge(allow(), &["x"], alice).await, Err(403));
    assert_eq!(judge(allow(), &[], alice).await, Err(403));
    assert_eq!(judge(deny(), &["admins"], alice).await, Err(403));
    assert_eq!(judge(deny(), &["x"], alice).await, Ok(Some("x".to_owned())));
    let hidden = json!({ "allow": ["x"], "hide_groups_header": true });
    assert_eq!(judge(hidden, &["x"], alice).await, Ok(None));
}

#[tokio::test]
async fn a_stranger_has_to_say_who_they_are_first() {
    let allow = || json!({ "allow": ["x"] });
    assert_eq!(judge(allow(), &["x"], |_| {}).await, Err(401));
    let anonymous = |sample: &mut Sample| {
        alice(sample);
        sample.work.credential = None;
    };
    assert_eq!(judge(allow(), &[], anonymous).await, Err(401));
    assert_eq!(
        judge(allow(), &["x"], anonymous).await,
        Ok(Some("x".to_owned()))
    );
}
