use super::*;

#[test]
fn an_admin_listener_beyond_this_machine_is_warned_about() {
    let specs = |addresses: &[&str]| -> Vec<ListenSpec> {
        let parse = |text: &&str| ListenSpec::new(ListenAddress::Tcp(text.parse().unwrap()));
        addresses.iter().map(parse).collect()
    };
    let found = |addresses: &[&str]| -> Vec<String> {
        beyond_this_machine(&specs(addresses))
            .map(|address| address.to_string())
            .collect()
    };
    assert_eq!(
        found(&["127.0.0.1:8001", "[::1]:8001"]),
        Vec::<String>::new()
    );
    assert_eq!(
        found(&["127.0.0.1:8001", "0.0.0.0:8001", "[::]:8444", "10.0.0.1:80"]),
        ["0.0.0.0:8001", "[::]:8444", "10.0.0.1:80"]
    );
}

#[test]
fn a_socket_in_a_folder_is_not_beyond_this_machine() {
    let spec = ListenSpec::new(ListenAddress::Unix("/run/admin.sock".into()));
    assert_eq!(beyond_this_machine(&[spec]).count(), 0);
}
