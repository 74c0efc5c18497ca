//! Log files: what is in them, and what a client cannot make them say.

use serde_json::Value;
use testing::{Backend, Node, Place, Signal, eventually};

fn place() -> Place {
    Place::new().with("PROXY_ACCESS_LOG", "logs/access.log")
}

/// The lines of a log file, once there are so many.
fn lines(place: &Place, name: &str, count: usize) -> Vec<String> {
    let path = place.prefix().join("logs").join(name);
    let read = || -> Vec<String> {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    };
    eventually("the lines are in the log", || read().len() >= count);
    read()
}

fn start<'a>(place: &'a Place, backend: &Backend) -> Node<'a> {
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    node
}

#[test]
fn every_request_has_its_line_in_the_format_of_kong() {
    let backend = Backend::saying("here");
    let place = place();
    let node = start(&place, &backend);
    let answer = node.client().exchange(
        "GET /r?a=b HTTP/1.1\r\nHost: test\r\nUser-Agent: agent\r\nReferer: from\r\n\r\n",
    );
    let id = answer.header("x-kong-request-id").unwrap().to_owned();
    let line = lines(&place, "access.log", 1).remove(0);
    let (client, rest) = line
        .split_once(" - - [")
        .unwrap_or_else(|| panic!("{line}"));
    assert_eq!(client, "127.0.0.1");
    let (_, rest) = rest.split_once("] ").unwrap_or_else(|| panic!("{line}"));
    assert_eq!(
        rest,
        format!("\"GET /r?a=b HTTP/1.1\" 200 4 \"from\" \"agent\" kong_request_id: \"{id}\"")
    );
}

#[test]
fn a_client_cannot_write_lines_of_its_own() {
    let backend = Backend::saying("here");
    let place = place();
    let node = start(&place, &backend);
    let answer = node.client().exchange(
        b"GET /r HTTP/1.1\r\nHost: test\r\nUser-Agent: a\" 200 \\ \x1b[31m \xc3\xa9\r\nReferer: \"\r\n\r\n",
    );
    println!("{}", answer.status);
    node.get("/r");
    let lines = lines(&place, "access.log", 2);
    assert_eq!(lines.len(), 2, "{lines:?}");
    for line in lines {
        assert!(
            line.bytes().all(|byte| (b' '..0x7f).contains(&byte)),
            "{line}"
        );
        assert_eq!(line.matches('"').count(), 8, "{line}");
    }
}

#[test]
fn what_is_refused_is_logged_as_well() {
    let backend = Backend::saying("here");
    let place = place();
    let node = start(&place, &backend);
    for (bytes, status) in [
        ("GET /none HTTP/1.1\r\nHost: test\r\n\r\n", 404),
        ("GET /r HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("nonsense\r\n\r\n", 400),
    ] {
        assert_eq!(node.client().exchange(bytes).status, status);
    }
    // Each worker writes its own lines; in which order theirs meet is open.
    let lines = lines(&place, "access.log", 3);
    for (status, times) in [(" 404 ", 1), (" 400 ", 2)] {
        let found = lines.iter().filter(|line| line.contains(status)).count();
        assert_eq!(found, times, "{lines:?}");
    }
}

#[test]
fn a_log_that_was_moved_away_goes_on_in_a_new_file_and_loses_no_line() {
    const REQUESTS: usize = 50;
    const MOVES: usize = 5;
    let backend = Backend::saying("here");
    let place = place();
    let node = start(&place, &backend);
    let logs = place.prefix().join("logs");
    let mut client = node.client();
    for round in 0..MOVES {
        for _ in 0..REQUESTS {
            assert_eq!(client.get("/r").status, 200);
        }
        std::fs::rename(logs.join("access.log"), logs.join(format!("old-{round}"))).unwrap();
        node.signal(Signal::SIGUSR1);
        eventually("the log is there again", || {
            logs.join("access.log").exists()
        });
    }
    let count = || -> usize {
        std::fs::read_dir(&logs)
            .unwrap()
            .map(|file| file.unwrap().path())
            .filter(|path| !path.ends_with("admin_access.log") && !path.ends_with("error.log"))
            .map(|path| {
                let text = std::fs::read_to_string(&path).unwrap();
                text.matches("GET /r HTTP/1.1").count()
            })
            .sum()
    };
    eventually("every request has its line", || count() == REQUESTS * MOVES);
}

#[test]
fn logs_on_a_full_disk_do_not_stop_the_traffic() {
    let backend = Backend::saying("here");
    let place = Place::new()
        .with("PROXY_ACCESS_LOG", "/dev/full")
        .with("ADMIN_ACCESS_LOG", "/dev/full")
        .with("PROXY_ERROR_LOG", "/dev/full");
    let mut node = start(&place, &backend);
    for _ in 0..20 {
        node.assert_serves("/r");
    }
    assert_eq!(node.get("/none").status, 404);
}
