use std::sync::Arc;

use parking_lot::Mutex;
use store::{Error, Word};

use crate::fixture::{Node, Shared, eventually};

fn word(channel: &str, text: &str) -> Word {
    Word {
        channel: channel.to_owned(),
        text: text.to_owned(),
    }
}

#[tokio::test]
async fn what_others_tell_is_handed_to_who_hears_its_channel() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let ears = heard.clone();
    node.words.hear(
        "purge",
        Arc::new(move |text| ears.lock().push(text.to_owned())),
    );
    assert!(shared.register.channels.lock().contains(&"purge".into()));
    let told = [word("other", "1"), word("purge", "2"), word("purge", "3")];
    shared.register.others.lock().extend(told);
    eventually("it is heard", async || heard.lock().len() == 2).await;
    assert_eq!(*heard.lock(), ["2", "3"]);
}

#[tokio::test]
async fn a_word_waits_for_the_store_and_keeps_its_place() {
    let shared = Shared::new();
    let folder = tempfile::tempdir().unwrap();
    let node = Node::start(&shared, &folder.path().join("replica.db")).await;
    node.words.tell("c", "1".to_owned()).await.unwrap();
    shared.set_down(true);
    for text in ["2", "3"] {
        let told = node.words.tell("c", text.to_owned()).await;
        assert!(matches!(told, Err(Error::Unavailable(_))), "{told:?}");
    }
    shared.set_down(false);
    eventually("all is told", async || {
        shared.register.said.lock().len() == 3
    })
    .await;
    let said = shared.register.said.lock().clone();
    assert_eq!(said, [word("c", "1"), word("c", "2"), word("c", "3")]);
}
