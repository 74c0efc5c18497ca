//! Start, stop, reload and crash.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::place::{Place, connect, eventually, exchange, receive, request, send};

#[test]
fn start_returns_when_the_node_serves_and_stop_when_it_has_ended() {
    let place = Place::new();
    assert_eq!(place.succeed(&["start"]), "Silverback started\n");
    place.add_route(
        "/first",
        &format!("http://127.0.0.1:{}/status", place.status),
    );
    assert_eq!(request(place.proxy, "GET", "/first", "").status, 200);
    assert!(place.fail(&["start"]).contains("already running"));
    assert!(place.succeed(&["health"]).contains("is healthy"));
    assert_eq!(place.succeed(&["stop"]), "Silverback stopped\n");
    assert!(place.fail(&["health"]).contains("not running"));
    assert!(place.fail(&["stop"]).contains("no node is running"));
}

#[test]
fn a_route_serves_as_soon_as_the_admin_api_has_confirmed_it() {
    let place = Place::new();
    place.succeed(&["start"]);
    for number in 0..20 {
        let path = format!("/r{number}");
        place.add_route(&path, &format!("http://127.0.0.1:{}/status", place.status));
        assert_eq!(request(place.proxy, "GET", &path, "").status, 200, "{path}");
    }
}

#[test]
fn what_was_confirmed_survives_a_kill() {
    let place = Place::new();
    place.succeed(&["start"]);
    place.add_route(
        "/kept",
        &format!("http://127.0.0.1:{}/status", place.status),
    );
    let killed = Command::new("kill")
        .args(["-9", &place.pid().to_string()])
        .status();
    assert!(killed.expect("kill runs").success());
    eventually("the node is gone", || {
        !place.run(&["health"]).status.success()
    });
    place.succeed(&["start"]);
    assert_eq!(request(place.proxy, "GET", "/kept", "").status, 200);
}

#[test]
fn reload_takes_new_settings_and_keeps_connections() {
    let place = Place::new();
    place.succeed(&["start"]);
    place.add_route("/r", &format!("http://127.0.0.1:{}/status", place.status));
    let mut connection = connect(place.proxy);
    assert!(
        exchange(&mut connection, "GET", "/r", "")
            .head
            .contains("\r\nvia:")
    );

    let reloaded = place
        .command(&["reload"])
        .env("KONG_HEADERS", "off")
        .output();
    assert!(reloaded.expect("it runs").status.success());
    let answer = exchange(&mut connection, "GET", "/r", "");
    assert_eq!(answer.status, 200);
    assert!(!answer.head.contains("\r\nvia:"), "{}", answer.head);

    let refused = place
        .command(&["reload"])
        .env("KONG_LOG_LEVEL", "loud")
        .output();
    assert_eq!(refused.expect("it runs").status.code(), Some(1));
    assert_eq!(exchange(&mut connection, "GET", "/r", "").status, 200);
}

#[test]
fn reload_moves_listeners() {
    let place = Place::new();
    place.succeed(&["start"]);
    let free = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("bound");
    let moved = place
        .command(&["reload"])
        .env("KONG_PROXY_LISTEN", free.to_string())
        .output();
    assert!(moved.expect("it runs").status.success());
    assert_eq!(request(free.port(), "GET", "/", "").status, 404);
    eventually("the old port is free", || {
        TcpListener::bind(("127.0.0.1", place.proxy)).is_ok()
    });
}

#[test]
fn quit_lets_a_request_in_flight_finish() {
    let place = Place::new();
    place.succeed(&["start"]);
    let upstream = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = upstream.local_addr().expect("bound");
    place.add_route("/slow", &format!("http://{address}"));
    let mut client = connect(place.proxy);
    send(&mut client, "GET", "/slow", "");
    let (mut server, _) = upstream.accept().expect("the proxy connects");
    let mut byte = [0];
    server.read_exact(&mut byte).expect("the request comes");

    let mut quit = place
        .command(&["quit"])
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    eventually("no new clients are taken", || {
        std::net::TcpStream::connect(("127.0.0.1", place.proxy)).is_err()
    });
    server
        .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")
        .expect("the answer goes out");
    let answer = receive(&mut client);
    assert_eq!((answer.status, answer.body.as_str()), (200, "late"));
    assert!(quit.wait().expect("it ends").success());
    assert!(!place.run(&["health"]).status.success());
}

#[test]
fn draining_is_told_to_load_balancers_and_requests_go_on() {
    let place = Place::new();
    place.succeed(&["start"]);
    assert_eq!(
        request(place.status, "GET", "/status/ready", "").status,
        200
    );
    assert!(place.succeed(&["drain"]).contains("draining"));
    assert_eq!(
        request(place.status, "GET", "/status/ready", "").status,
        503
    );
    assert_eq!(request(place.proxy, "GET", "/", "").status, 404);
}

#[test]
fn restart_starts_a_node_anew_whether_or_not_there_was_one() {
    let place = Place::new();
    place.succeed(&["restart"]);
    let before = place.pid();
    place.succeed(&["restart"]);
    assert_ne!(place.pid(), before);
}

#[test]
fn logs_are_opened_anew_when_something_moved_them_away() {
    let place = Place::new();
    place.succeed(&["start"]);
    let logs = place.prefix().join("logs");
    for log in ["error.log", "access.log", "admin_access.log"] {
        std::fs::rename(logs.join(log), logs.join("moved")).expect("renamed");
    }
    let told = Command::new("kill")
        .args(["-USR1", &place.pid().to_string()])
        .status();
    assert!(told.expect("kill runs").success());
    for log in ["error.log", "access.log", "admin_access.log"] {
        eventually(log, || logs.join(log).exists());
    }
}

#[test]
fn start_stays_in_the_foreground_without_a_daemon() {
    let place = Place::new().with("NGINX_DAEMON", "off");
    let mut node = place
        .command(&["start"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    eventually("the node serves", || {
        place.run(&["health"]).status.success()
    });
    assert!(node.try_wait().expect("a process").is_none());
    place.succeed(&["stop"]);
    assert!(node.wait().expect("it ends").success());
}

#[test]
fn reloads_under_traffic_lose_no_request_and_no_connection() {
    const RELOADS: usize = 5;
    let place = Place::new();
    place.succeed(&["start"]);
    place.add_route("/r", &format!("http://127.0.0.1:{}/status", place.status));
    let done = AtomicBool::new(false);
    let served = std::thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut kept = connect(place.proxy);
            let mut served = 0;
            while !done.load(Ordering::Relaxed) {
                assert_eq!(exchange(&mut kept, "GET", "/r", "").status, 200);
                assert_eq!(request(place.proxy, "GET", "/r", "").status, 200);
                served += 1;
            }
            served
        });
        for reload in 0..RELOADS {
            let workers = (reload % 2 + 1).to_string();
            let mut command = place.command(&["reload"]);
            let reloaded = command.env("KONG_NGINX_WORKER_PROCESSES", workers).output();
            assert!(reloaded.expect("it runs").status.success());
        }
        done.store(true, Ordering::Relaxed);
        client.join().expect("every request was answered")
    });
    assert!(served > 0);
}
