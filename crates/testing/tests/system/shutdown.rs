//! The ends of a node, and who may run in its folder.

use std::io::Write as _;
use std::sync::Mutex;
use std::sync::mpsc;

use serde_json::Value;
use testing::{Backend, Client, Place, Signal, Then, eventually};

/// An upstream that answers when it is told to.
fn patient_backend() -> (Backend, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let backend = Backend::http(move |_| {
        // The test ended if nobody is there to say so.
        let _ = released.lock().unwrap().recv();
        Then::ok("late")
    });
    (backend, release)
}

#[test]
fn quit_finishes_what_is_in_flight_and_takes_nothing_new() {
    let (backend, release) = patient_backend();
    let place = Place::new();
    let node = place.start();
    node.add_route("/slow", &backend.url(), &Value::Null);
    let mut idle = node.client();
    assert_eq!(idle.get("/none").status, 404);
    let mut in_flight = node.client();
    in_flight.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    let mut upload = node.client();
    upload.send("POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 6\r\n\r\nabc");
    eventually("the upstream has the request", || {
        backend.received().len() == 1
    });

    node.signal(Signal::SIGQUIT);
    eventually("no new clients are taken", || {
        Client::try_connect(place.proxy).is_err()
    });
    assert!(idle.is_closed());
    upload.send("def");
    release.send(()).unwrap();
    release.send(()).unwrap();
    let answer = in_flight.receive();
    assert_eq!((answer.status, answer.text()), (200, "late".to_owned()));
    assert_eq!(upload.receive().text(), "late");
    assert!(in_flight.is_closed());
    let status = node.wait();
    assert!(status.success(), "{status}");
    assert!(!place.prefix().join("pids/nginx.pid").exists());
}

#[test]
fn terminate_and_interrupt_do_not_wait() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let (backend, _release) = patient_backend();
        let place = Place::new();
        let node = place.start();
        node.add_route("/slow", &backend.url(), &Value::Null);
        let mut in_flight = node.client();
        in_flight.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
        eventually("the upstream has the request", || {
            backend.received().len() == 1
        });
        node.signal(signal);
        assert!(in_flight.is_closed());
        let status = node.wait();
        assert!(status.success(), "{status}");
    }
}

#[test]
fn a_terminate_ends_a_quit_that_takes_too_long() {
    let (backend, _release) = patient_backend();
    let place = Place::new();
    let node = place.start();
    node.add_route("/slow", &backend.url(), &Value::Null);
    let mut in_flight = node.client();
    in_flight.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the upstream has the request", || {
        backend.received().len() == 1
    });
    node.signal(Signal::SIGQUIT);
    eventually("no new clients are taken", || {
        Client::try_connect(place.proxy).is_err()
    });
    node.signal(Signal::SIGTERM);
    assert!(node.wait().success());
}

#[test]
fn a_node_that_drains_says_so_and_serves() {
    let backend = Backend::saying("here");
    let place = Place::new();
    let node = place.start();
    node.add_route("/r", &backend.url(), &Value::Null);
    let mut client = node.client();
    assert_eq!(node.status_api("/status/ready").status, 200);
    place.succeed(&["drain"]);
    let ready = node.status_api("/status/ready");
    assert_eq!(ready.status, 503, "{}", ready.text());
    assert_eq!(client.get("/r").status, 200);
    assert_eq!(node.get("/r").status, 200);
}

#[test]
fn one_folder_has_one_node() {
    let place = Place::new();
    let node = place.start();
    let pid_file = place.prefix().join("pids/nginx.pid");
    let pid = || std::fs::read_to_string(&pid_file).unwrap();
    assert_eq!(pid().trim(), node.pid().to_string());
    for command in ["run", "start"] {
        let (status, words) = place.fail(&[command]);
        assert_eq!(status, 1);
        assert!(words.contains("already running"), "{words}");
    }
    assert_eq!(pid().trim(), node.pid().to_string());
    assert!(node.is_running());
    assert_eq!(node.get("/none").status, 404);
}

#[test]
fn a_pid_file_left_by_a_crash_stops_nobody() {
    let place = Place::new();
    let node = place.start();
    let pid_file = place.prefix().join("pids/nginx.pid");
    node.crash();
    assert!(pid_file.exists());
    let (_, words) = place.fail(&["health"]);
    assert!(words.contains("not running"), "{words}");
    let node = place.start();
    assert_eq!(
        std::fs::read_to_string(&pid_file).unwrap().trim(),
        node.pid().to_string()
    );
    node.crash();
    // A pid that belongs to somebody else by now.
    let mut file = std::fs::File::create(&pid_file).unwrap();
    writeln!(file, "{}", std::process::id()).unwrap();
    let node = place.start();
    assert_eq!(node.get("/none").status, 404);
}

#[test]
fn looking_at_a_folder_does_not_keep_a_node_from_starting() {
    let place = Place::new();
    drop(place.start());
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !over.load(std::sync::atomic::Ordering::Relaxed) {
                    place.run(&["health"]);
                }
            });
        }
        for _ in 0..5 {
            drop(place.start());
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
