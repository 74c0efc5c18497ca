use stdx::SystemClock;

use super::*;

fn made(folder: &Path) -> Vec<(String, String)> {
    generated(Owner::Proxy, folder, &SystemClock).expect("certificates")
}

#[test]
fn certificates_are_made_once_and_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("ssl")).expect("a folder");
    let first = made(folder.path());
    assert_eq!(first.len(), 2);
    assert_eq!(made(folder.path()), first);
    identity(Owner::Proxy, &[], folder.path(), &SystemClock).expect("usable");
}

#[test]
fn each_listener_has_its_own_files() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("ssl")).expect("a folder");
    identity(Owner::Admin, &[], folder.path(), &SystemClock).expect("usable");
    assert!(
        folder
            .path()
            .join("ssl/admin-kong-default-ecdsa.key")
            .exists()
    );
    assert!(!folder.path().join("ssl/kong-default.key").exists());
}

#[test]
fn every_kind_of_key_can_be_served() {
    for algorithm in [Algorithm::EcdsaP256, Algorithm::EcdsaP384, Algorithm::Rsa] {
        let (certificate, key) =
            self_signed("localhost", algorithm, 1, &SystemClock).expect("a certificate");
        ServerIdentity::from_pem(&certificate, &key, None).expect("usable");
    }
}

#[test]
fn a_key_that_does_not_belong_is_refused() {
    let make = || self_signed("localhost", Algorithm::EcdsaP256, 1, &SystemClock).expect("made");
    let pair = KeyPair {
        certificate: config::PemSource::Inline(stdx::Secret::new(make().0)),
        key: config::PemSource::Inline(stdx::Secret::new(make().1)),
    };
    let error = identity(Owner::Status, &[pair], Path::new("."), &SystemClock);
    assert!(matches!(error, Err(Error::Certificate(_))));
}
