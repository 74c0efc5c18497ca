//! Words between nodes: each other node hears them once, Kong's nodes can, and one that was cut off does when it is back.

use std::time::Duration;

use store::{Catalog, Peers, Word};
use store_postgres::{Options, PostgresStore};
use tokio_postgres::Client;

use crate::server::Server;

const PURGE: &str = "proxy-cache:purge";

fn catalog() -> Catalog {
    Catalog::new(entities::all())
}

fn word(text: &str) -> Word {
    Word {
        channel: PURGE.to_owned(),
        text: text.to_owned(),
    }
}

/// A store that hears from here on: it has heard a first word, which is told again and again until then.
async fn listening(options: &Options, person: &Client) -> PostgresStore {
    let store = PostgresStore::open(catalog(), options.clone()).unwrap();
    store.listen(PURGE);
    let repeat = async {
        loop {
            say(person, PURGE, "hello", "now()").await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        heard = store.told() => assert_eq!(heard[0], word("hello")),
        () = repeat => unreachable!("it repeats for ever"),
    }
    store
}

/// Writes an event as Kong does.
async fn say(person: &Client, channel: &str, text: &str, at: &str) {
    let sql = format!(
        "INSERT INTO cluster_events (id, node_id, at, expire_at, channel, data) \
         VALUES (gen_random_uuid(), gen_random_uuid(), {at}, now() + interval '1 hour', $1, $2)"
    );
    person.execute(&sql, &[&channel, &text]).await.unwrap();
}

/// Hears until a word is `last`; what is left of the first words does not count.
async fn hear(store: &PostgresStore, last: &str) -> Vec<String> {
    let mut heard: Vec<String> = Vec::new();
    let hearing = async {
        while heard.iter().all(|text| text != last) {
            let told = store.told().await.into_iter().map(|word| word.text);
            heard.extend(told.filter(|text| text != "hello"));
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), hearing).await;
    assert!(ended.is_ok(), "never heard {last}");
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_other_node_hears_a_word_once() {
    let server = Server::start();
    let name = server.bootstrapped(&catalog()).await;
    let person = server.client(&name).await;
    let options = server.options(&name);
    let one = listening(&options, &person).await;
    let two = listening(&options, &person).await;
    let texts: Vec<_> = (0..1200).map(|number| number.to_string()).collect();
    for text in &texts {
        one.tell(&word(text)).await.unwrap();
    }
    one.tell(&word("end")).await.unwrap();
    let mut heard = hear(&two, "end").await;
    // What was told within the same millisecond has no order.
    heard.sort_by_key(|text| text.parse().unwrap_or(u32::MAX));
    assert_eq!(heard, [&texts[..], &["end".to_owned()]].concat());
    // Whoever tells does not hear itself, and nothing comes from a channel that nobody listens to.
    let other = Word {
        channel: "other".to_owned(),
        text: "deaf".to_owned(),
    };
    two.tell(&other).await.unwrap();
    two.tell(&word("back")).await.unwrap();
    assert_eq!(hear(&one, "back").await, ["back"]);
    // Kong reads the same rows.
    let sql = "SELECT count(*) FROM cluster_events WHERE channel = $1 AND data <> 'hello' AND nbf IS NULL \
               AND expire_at = at + interval '1 hour' AND at = date_trunc('milliseconds', at)";
    let count: i64 = person.query_one(sql, &[&PURGE]).await.unwrap().get(0);
    assert_eq!(count, 1202);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_of_kong_is_heard_though_it_is_late_and_though_the_line_was_cut() {
    let server = Server::start();
    let name = server.bootstrapped(&catalog()).await;
    let person = server.client(&name).await;
    let options = Options {
        // Kong notifies nobody.
        poll: Duration::from_millis(20),
        ..server.options(&name)
    };
    // The store listens since more than the lateness of these words.
    let store = listening(&options, &person).await;
    say(&person, PURGE, "now", "clock_timestamp()").await;
    assert_eq!(hear(&store, "now").await, ["now"]);
    let late = "(SELECT max(at) FROM cluster_events) - interval '1 millisecond'";
    say(&person, PURGE, "late", late).await;
    assert_eq!(hear(&store, "late").await, ["late"]);
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE application_name = 'silverback'";
    person.batch_execute(cut).await.unwrap();
    say(&person, PURGE, "cut", "clock_timestamp()").await;
    assert_eq!(hear(&store, "cut").await, ["cut"]);
}
