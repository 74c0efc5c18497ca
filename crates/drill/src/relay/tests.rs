use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;

use fleet::{Upstream, http};

use super::*;

#[test]
fn bytes_pass_unless_the_way_is_closed_or_cut() {
    let upstream = Upstream::start("server").unwrap();
    let relay = Relay::start(Ipv4Addr::LOCALHOST.into(), upstream.address()).unwrap();
    assert_eq!(http::get(relay.address(), "/one").unwrap().status, 200);
    relay.set(Way::Slow(Duration::from_millis(1)));
    assert_eq!(http::get(relay.address(), "/two").unwrap().status, 200);
    relay.set(Way::Closed);
    assert!(http::get(relay.address(), "/three").is_err());

    relay.set(Way::Cut);
    let mut client = std::net::TcpStream::connect(relay.address()).unwrap();
    client
        .write_all(b"GET /four HTTP/1.1\r\nHost: h\r\n\r\n")
        .unwrap();
    assert_eq!(upstream.requests(), 2);
    relay.set(Way::Open);
    let mut start = [0; 15];
    client.read_exact(&mut start).unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
}
