use std::net::SocketAddr;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::socket::getsockopt;

use super::socket::TcpDeferAccept;
use super::*;

fn tcp(address: &str) -> ListenSpec {
    ListenSpec::new(ListenAddress::Tcp(address.parse().unwrap()))
}

fn port_of(set: &ListenerSet) -> SocketAddr {
    match set.addresses()[0].1 {
        ListenAddress::Tcp(address) => address,
        ListenAddress::Unix(_) => panic!("a TCP listener"),
    }
}

fn listener_of(set: &ListenerSet, worker: usize) -> Listener {
    set.for_worker(worker)
        .unwrap()
        .remove(0)
        .into_listener()
        .unwrap()
}

#[tokio::test]
async fn reuseport_gives_each_worker_its_own_socket_on_one_port() {
    let set = ListenerSet::bind(
        &[ListenSpec {
            reuseport: true,
            ..tcp("127.0.0.1:0")
        }],
        3,
        None,
    )
    .unwrap();
    assert_eq!(set.listeners[0].sockets.len(), 3);
    let address = port_of(&set);
    assert_ne!(address.port(), 0);
    for worker in 0..3 {
        let mine = set.for_worker(worker).unwrap();
        assert_eq!(mine.len(), 1);
        let listener = mine.into_iter().next().unwrap().into_listener().unwrap();
        assert_eq!(*listener.local_addr(), ListenAddress::Tcp(address));
    }
}

#[tokio::test]
async fn the_first_socket_notices_that_others_have_its_address() {
    let spec = ListenSpec {
        reuseport: true,
        ..tcp("127.0.0.1:0")
    };
    let (first, is_shared) = BoundSocket::open_first(&spec).unwrap();
    assert!(!is_shared);
    let taken = ListenSpec {
        address: first.local_address(&spec.address).unwrap(),
        ..spec
    };
    let (_second, is_shared) = BoundSocket::open_first(&taken).unwrap();
    assert!(is_shared);
    let alone = ListenSpec {
        reuseport: false,
        ..taken
    };
    assert!(BoundSocket::open_first(&alone).is_err());
}

#[tokio::test]
async fn a_socket_that_is_closed_leaves_nobody_in_its_queue() {
    let set = ListenerSet::bind(&[tcp("127.0.0.1:0")], 1, None).unwrap();
    let (address, listener) = (port_of(&set), listener_of(&set, 0));
    drop(set);
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(tokio::net::TcpStream::connect(address).await.unwrap());
    }
    let waiting = listener.close();
    assert_eq!(waiting.len(), clients.len());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn without_reuseport_the_workers_share_a_socket() {
    let set = ListenerSet::bind(&[tcp("127.0.0.1:0")], 3, None).unwrap();
    assert_eq!(set.listeners[0].sockets.len(), 1);
    let _client = tokio::net::TcpStream::connect(port_of(&set)).await.unwrap();
    assert_eq!(set.for_worker(2).unwrap().len(), 1);
    listener_of(&set, 2).accept().await.unwrap();
}

#[test]
fn every_flag_reaches_the_socket() {
    let spec = ListenSpec {
        reuseport: true,
        deferred: true,
        ipv6only: Some(false),
        keepalive: Some(KeepAlive::Timing {
            idle: Some(Duration::from_secs(30)),
            interval: Some(Duration::from_secs(7)),
            count: Some(4),
        }),
        ..tcp("[::]:0")
    };
    let set = ListenerSet::bind(&[spec], 1, None).unwrap();
    let socket = &set.listeners[0].sockets[0];
    let options = socket.options();
    assert!(options.reuse_port().unwrap());
    assert!(options.reuse_address().unwrap());
    assert!(options.tcp_nodelay().unwrap());
    assert!(!options.only_v6().unwrap());
    assert!(options.keepalive().unwrap());
    assert_eq!(
        options.tcp_keepalive_time().unwrap(),
        Duration::from_secs(30)
    );
    assert_eq!(
        options.tcp_keepalive_interval().unwrap(),
        Duration::from_secs(7)
    );
    assert_eq!(options.tcp_keepalive_retries().unwrap(), 4);
    assert!(getsockopt(&*options, TcpDeferAccept).unwrap() > 0);
}

#[test]
fn flags_are_off_unless_asked_for() {
    let set = ListenerSet::bind(&[tcp("[::1]:0")], 1, None).unwrap();
    let options = set.listeners[0].sockets[0].options();
    assert!(!options.reuse_port().unwrap());
    assert!(options.only_v6().unwrap());
    assert!(!options.keepalive().unwrap());
    assert_eq!(getsockopt(&*options, TcpDeferAccept).unwrap(), 0);
}

#[tokio::test]
async fn accepted_connections_inherit_nodelay_and_keepalive() {
    let set = ListenerSet::bind(
        &[ListenSpec {
            keepalive: Some(KeepAlive::On),
            ..tcp("127.0.0.1:0")
        }],
        1,
        None,
    )
    .unwrap();
    let std_listener: std::net::TcpListener = match set.listeners[0].sockets[0].duplicate().unwrap()
    {
        socket::Handle::Tcp(listener) => listener,
        socket::Handle::Unix(_) => panic!("a TCP listener"),
    };
    let listener = tokio::net::TcpListener::from_std(std_listener).unwrap();
    let _client = tokio::net::TcpStream::connect(port_of(&set)).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let options = socket2::SockRef::from(&accepted);
    assert!(options.tcp_nodelay().unwrap());
    assert!(options.keepalive().unwrap());
}

#[tokio::test]
async fn a_kept_listener_keeps_the_connections_in_its_queue() {
    let spec = ListenSpec {
        reuseport: true,
        ..tcp("127.0.0.1:0")
    };
    let old = ListenerSet::bind(std::slice::from_ref(&spec), 1, None).unwrap();
    let address = port_of(&old);
    let old_listener = listener_of(&old, 0);
    let waiting = tokio::net::TcpStream::connect(address).await.unwrap();

    let changed = ListenSpec {
        http2: true,
        backlog: Some(64),
        ..spec
    };
    let new = ListenerSet::bind(&[changed, tcp("127.0.0.1:0")], 1, Some(&old)).unwrap();
    drop(old_listener);
    drop(old);

    assert_eq!(port_of(&new), address);
    let listener = listener_of(&new, 0);
    assert!(listener.spec().http2);
    let accepted = listener.accept().await.unwrap();
    assert_eq!(
        accepted.peer_addr().ip(),
        Some(waiting.local_addr().unwrap())
    );
}

#[tokio::test]
async fn a_shared_socket_can_become_one_a_worker_and_the_other_way_round() {
    let shared = ListenerSet::bind(&[tcp("127.0.0.1:0")], 2, None).unwrap();
    let fixed = ListenSpec::new(ListenAddress::Tcp(port_of(&shared)));
    drop(shared);
    let shared = ListenerSet::bind(std::slice::from_ref(&fixed), 2, None).unwrap();
    let own = ListenerSet::bind(
        &[ListenSpec {
            reuseport: true,
            ..fixed.clone()
        }],
        2,
        Some(&shared),
    )
    .unwrap();
    assert_eq!(own.listeners[0].sockets.len(), 2);
    assert_eq!(own.for_worker(0).unwrap().len(), 1);
    let again = ListenerSet::bind(std::slice::from_ref(&fixed), 2, Some(&own)).unwrap();
    drop((shared, own));
    // Both sockets may have connections in their queues, so that each worker serves both.
    assert_eq!(again.for_worker(0).unwrap().len(), 2);
}

#[test]
fn fewer_workers_share_the_sockets_of_more() {
    let spec = ListenSpec {
        reuseport: true,
        ..tcp("127.0.0.1:0")
    };
    let four = ListenerSet::bind(std::slice::from_ref(&spec), 4, None).unwrap();
    let one = ListenerSet::bind(std::slice::from_ref(&spec), 1, Some(&four)).unwrap();
    assert_eq!(one.for_worker(0).unwrap().len(), 4);
}

#[tokio::test]
async fn a_listener_that_is_not_listed_any_more_closes() {
    let old = ListenerSet::bind(&[tcp("127.0.0.1:0")], 1, None).unwrap();
    let address = port_of(&old);
    let new = ListenerSet::bind(&[], 1, Some(&old)).unwrap();
    drop(old);
    assert!(new.addresses().is_empty());
    let error = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn an_address_in_use_is_named() {
    let first = ListenerSet::bind(&[tcp("127.0.0.1:0")], 1, None).unwrap();
    let spec = ListenSpec::new(ListenAddress::Tcp(port_of(&first)));
    let error = ListenerSet::bind(&[spec], 1, None).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("cannot listen on {}: ", port_of(&first))),
        "{error}"
    );
}

#[test]
fn an_address_listed_twice_is_refused() {
    let taken = ListenerSet::bind(&[tcp("127.0.0.1:0")], 1, None).unwrap();
    let spec = ListenSpec {
        reuseport: true,
        ..ListenSpec::new(ListenAddress::Tcp(port_of(&taken)))
    };
    drop(taken);
    let error = ListenerSet::bind(&[spec.clone(), spec], 1, None)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("the address is listed twice"), "{error}");
}

#[tokio::test]
async fn a_unix_listener_accepts_and_removes_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let spec = ListenSpec::new(ListenAddress::Unix(path.clone()));
    let set = ListenerSet::bind(std::slice::from_ref(&spec), 2, None).unwrap();
    let _client = tokio::net::UnixStream::connect(&path).await.unwrap();
    let accepted = listener_of(&set, 1).accept().await.unwrap();
    assert_eq!(*accepted.peer_addr(), crate::Address::Unix(None));
    assert_eq!(
        *accepted.local_addr().unwrap(),
        crate::Address::Unix(Some(path.clone()))
    );

    let next = ListenerSet::bind(&[spec], 2, Some(&set)).unwrap();
    drop(set);
    assert!(path.exists());
    drop(next);
    assert!(!path.exists());
}

#[test]
fn a_stale_socket_file_is_replaced_and_a_served_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let spec = ListenSpec::new(ListenAddress::Unix(path.clone()));
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let set = ListenerSet::bind(std::slice::from_ref(&spec), 1, None).unwrap();
    assert!(ListenerSet::bind(std::slice::from_ref(&spec), 1, None).is_err());
    drop(set);

    std::fs::write(&path, "a file of somebody's").unwrap();
    assert!(ListenerSet::bind(&[spec], 1, None).is_err());
    assert!(path.exists());
}
