//! Power failures: the process is killed while Admin requests are under way.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use stdx::SeededRandom;
use testing::{Backend, Client, Node, Place, admin, eventually, self_signed};

/// What the node confirmed: names of services and the text that their `tags` hold, or nothing once they were deleted.
type Confirmed = BTreeMap<String, Option<String>>;

#[test]
fn a_crash_at_any_instant_loses_nothing_that_was_confirmed() {
    const ROUNDS: u64 = 6;
    const WRITERS: u64 = 3;
    let backend = Backend::saying("here");
    let place = Place::new();
    let mut random = SeededRandom::new(20_261_122);
    let confirmed = Mutex::new(Confirmed::new());
    for round in 0..ROUNDS {
        let node = place.start();
        let answers = AtomicUsize::new(0);
        let crash_after = 5 + usize::try_from(random.below(80)).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let seed = random.next_u64();
                let (confirmed, answers, url) = (&confirmed, &answers, backend.url());
                let port = place.admin;
                scope.spawn(move || {
                    let prefix = format!("r{round}w{writer}");
                    // An error is the crash.
                    let _ = write_until_crash(port, &prefix, &url, seed, confirmed, answers);
                });
            }
            eventually("writes are confirmed", || {
                answers.load(Ordering::Relaxed) >= crash_after
            });
            node.crash();
        });
        let mut node = place.start();
        check(&node, &place, &confirmed.lock().unwrap());
        let name = format!("after-{round}");
        node.add_route(&format!("/{name}"), &backend.url(), &Value::Null);
        node.assert_serves(&format!("/{name}"));
        node.crash();
    }
}

/// Makes, changes and deletes services with routes until the node is gone; what was asked last may or may not be done.
fn write_until_crash(
    port: u16,
    prefix: &str,
    url: &str,
    seed: u64,
    confirmed: &Mutex<Confirmed>,
    answers: &AtomicUsize,
) -> std::io::Result<()> {
    let mut random = SeededRandom::new(seed);
    let mut client = Client::try_connect(port)?;
    let mut ask = |method: &str, path: &str, body: Value| {
        let answer = admin(&mut client, method, path, &body)?;
        assert!(
            (200..300).contains(&answer.status),
            "{method} {path}: {}",
            answer.text()
        );
        answers.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(())
    };
    for number in 0.. {
        let name = format!("{prefix}n{number}");
        ask("POST", "/services", json!({ "name": name, "url": url }))?;
        let routes = format!("/services/{name}/routes");
        let path = format!("/{name}/");
        ask("POST", &routes, json!({ "name": name, "paths": [path] }))?;
        confirmed
            .lock()
            .unwrap()
            .insert(name.clone(), Some(String::new()));
        match random.below(4) {
            0 => {
                // From here on until it is confirmed, both states are right.
                confirmed.lock().unwrap().remove(&name);
                ask("DELETE", &format!("/routes/{name}"), Value::Null)?;
                ask("DELETE", &format!("/services/{name}"), Value::Null)?;
                confirmed.lock().unwrap().insert(name, None);
            }
            1 => {
                confirmed.lock().unwrap().remove(&name);
                let tag = format!("t{}", random.below(1000));
                let path = format!("/services/{name}");
                ask("PATCH", &path, json!({ "tags": [tag] }))?;
                confirmed.lock().unwrap().insert(name, Some(tag));
            }
            2 => {
                let pair = self_signed(&[&name]);
                let certificate = json!({
                    "cert": pair.certificate,
                    "key": pair.key,
                    "snis": [format!("a.{name}"), format!("b.{name}")],
                });
                ask("POST", "/certificates", certificate)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn check(node: &Node<'_>, place: &Place, confirmed: &Confirmed) {
    let services = all(node, "/services");
    let by_name: BTreeMap<&str, &Value> = services
        .iter()
        .map(|service| (service["name"].as_str().unwrap(), service))
        .collect();
    let mut proxy = Client::connect(place.proxy);
    for (name, state) in confirmed {
        let stored = by_name.get(name.as_str());
        let answer = proxy.get(&format!("/{name}/"));
        match state {
            None => {
                assert!(stored.is_none(), "{name} was deleted");
                assert_eq!(answer.status, 404, "{name} was deleted");
            }
            Some(tag) => {
                let stored = stored.unwrap_or_else(|| panic!("{name} is lost"));
                let tags = stored["tags"].as_array().cloned().unwrap_or_default();
                let expected: Vec<Value> = Some(tag)
                    .filter(|tag| !tag.is_empty())
                    .map(|tag| json!(tag))
                    .into_iter()
                    .collect();
                assert_eq!(tags, expected, "{name}");
                assert_eq!(answer.status, 200, "{name} is not routed");
            }
        }
    }
    let ids: Vec<&Value> = services.iter().map(|service| &service["id"]).collect();
    for route in all(node, "/routes") {
        assert!(
            ids.contains(&&route["service"]["id"]),
            "a route without its service: {route}"
        );
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for sni in all(node, "/snis") {
        *names
            .entry(sni["certificate"]["id"].to_string())
            .or_default() += 1;
    }
    let certificates = all(node, "/certificates");
    for certificate in &certificates {
        let snis = names.get(&certificate["id"].to_string());
        assert_eq!(snis, Some(&2), "a certificate with some of its names");
    }
    assert_eq!(names.len(), certificates.len());
}

/// Every record of a collection.
fn all(node: &Node<'_>, path: &str) -> Vec<Value> {
    let mut records = Vec::new();
    let mut next = format!("{path}?size=1000");
    loop {
        let page = node.configure("GET", &next, &Value::Null);
        records.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(link) => next = link.to_owned(),
            None => return records,
        }
    }
}
