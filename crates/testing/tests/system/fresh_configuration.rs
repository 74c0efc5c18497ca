//! Read your writes: what the Admin API has confirmed, the proxy obeys, on every worker.

use serde_json::{Value, json};
use testing::{Backend, Client, Place, admin};

const ROUTES: usize = 500;
const THREADS: usize = 4;

#[test]
fn five_hundred_routes_in_a_row_serve_as_soon_as_they_are_confirmed() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let node = place.start();
    node.configure(
        "POST",
        "/services",
        &json!({ "name": "s", "url": backend.url() }),
    );
    let mut api = Client::connect(place.admin);
    for number in 0..ROUTES {
        add_and_ask(&mut api, &place, &format!("/r{number}/"));
    }
}

#[test]
fn routes_of_several_clients_serve_as_soon_as_they_are_confirmed() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let node = place.start();
    node.configure(
        "POST",
        "/services",
        &json!({ "name": "s", "url": backend.url() }),
    );
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let place = &place;
            scope.spawn(move || {
                let mut api = Client::connect(place.admin);
                for number in 0..ROUTES / THREADS {
                    add_and_ask(&mut api, place, &format!("/t{thread}r{number}/"));
                }
            });
        }
    });
}

#[test]
fn changes_and_deletions_hold_as_soon_as_they_are_confirmed() {
    let (one, two) = (Backend::saying("one"), Backend::saying("two"));
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &one.url(), &Value::Null);
    let mut proxies: Vec<Client> = (0..8).map(|_| node.client()).collect();
    for _ in 0..20 {
        for (backend, text) in [(&two, "two"), (&one, "one")] {
            node.configure("PATCH", "/services/r", &json!({ "url": backend.url() }));
            for proxy in &mut proxies {
                assert_eq!(proxy.get("/r").text(), text);
            }
        }
    }
    node.configure("DELETE", "/routes/r", &Value::Null);
    for proxy in &mut proxies {
        assert_eq!(proxy.get("/r").status, 404);
    }
}

fn add_and_ask(api: &mut Client, place: &Place, path: &str) {
    let route = json!({ "paths": [path] });
    let made = admin(api, "POST", "/services/s/routes", &route).unwrap();
    assert_eq!(made.status, 201, "{}", made.text());
    // A new connection may come to either worker.
    let answer = Client::connect(place.proxy).get(path);
    assert_eq!(answer.status, 200, "{path}");
}
