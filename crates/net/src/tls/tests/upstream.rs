//! What is asked of the certificate that an upstream shows.

use super::*;

#[tokio::test]
async fn an_upstream_has_to_show_a_trusted_certificate_with_its_name() {
    let (authority, other) = (Authority::new("Test"), Authority::new("Other"));
    let leaf = authority.leaf(&["a.test", "127.0.0.1"]);
    let refused = Err(ConnectFailure::Certificate);
    assert_eq!(verdict(&leaf, trusting(&authority), "a.test").await, Ok(()));
    assert_eq!(
        verdict(&leaf, trusting(&authority), "127.0.0.1").await,
        Ok(())
    );
    assert_eq!(
        verdict(&leaf, trusting(&authority), "b.test").await,
        refused
    );
    assert_eq!(
        verdict(&leaf, trusting(&authority), "not a name").await,
        refused
    );
    assert_eq!(verdict(&leaf, trusting(&other), "a.test").await, refused);
    assert_eq!(
        verdict(&leaf, ClientTlsSettings::default(), "b.test").await,
        Ok(())
    );
    assert_eq!(
        verdict(&leaf, ClientTlsSettings::default(), "not a name").await,
        Ok(())
    );

    let store = trusting(&authority)
        .trust
        .unwrap()
        .union(&trusting(&other).trust.unwrap());
    let both = ClientTlsSettings {
        trust: Some(store),
        ..Default::default()
    };
    assert_eq!(
        verdict(&other.leaf(&["a.test"]), both, "a.test").await,
        Ok(())
    );
}

#[tokio::test]
async fn an_expired_certificate_is_refused() {
    let authority = Authority::new("Test");
    let mut params = leaf_params(&["a.test"]);
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let old = authority.sign(params.clone(), &key);
    assert_eq!(
        verdict(&old, trusting(&authority), "a.test").await,
        Err(ConnectFailure::Certificate)
    );
    let cert = params.self_signed(&key).unwrap().pem();
    let trust = TrustStore::from_pem([cert.as_str()]).unwrap();
    let own = ClientTlsSettings {
        trust: Some(trust),
        ..Default::default()
    };
    let pair = Pair {
        cert,
        key: key.serialize_pem(),
    };
    assert_eq!(
        verdict(&pair, own, "a.test").await,
        Err(ConnectFailure::Certificate)
    );
}

#[tokio::test]
async fn the_verify_depth_counts_intermediate_certificates() {
    let root = Authority::new("Root");
    let (first, second) = (root.subordinate("First"), root.subordinate("Second"));
    let third = second.subordinate("Third");
    let chained = |leaf: Pair, chain: &[&Authority]| Pair {
        cert: chain
            .iter()
            .fold(leaf.cert, |all, authority| all + &authority.pem),
        key: leaf.key,
    };
    let one = chained(first.leaf(&["a.test"]), &[&first]);
    let two = chained(third.leaf(&["a.test"]), &[&third, &second]);
    for (pair, depth, expected) in [
        (root.leaf(&["a.test"]), Some(0), Ok(())),
        (one.clone(), Some(0), Err(ConnectFailure::Certificate)),
        (one.clone(), Some(1), Ok(())),
        (two.clone(), Some(1), Err(ConnectFailure::Certificate)),
        (two.clone(), Some(2), Ok(())),
        (two, None, Ok(())),
    ] {
        let settings = ClientTlsSettings {
            verify_depth: depth,
            ..trusting(&root)
        };
        assert_eq!(
            verdict(&pair, settings, "a.test").await,
            expected,
            "depth {depth:?}"
        );
    }
}

#[tokio::test]
async fn a_certificate_that_is_itself_trusted_is_accepted_even_if_it_is_an_authority() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = crate::test_support::authority_params("a.test");
    params.subject_alt_names = vec![rcgen::SanType::DnsName("a.test".try_into().unwrap())];
    let cert = params.self_signed(&key).unwrap().pem();
    let trust = Some(TrustStore::from_pem([cert.as_str()]).unwrap());
    let pair = Pair {
        cert,
        key: key.serialize_pem(),
    };
    let settings = || ClientTlsSettings {
        trust: trust.clone(),
        ..Default::default()
    };
    assert_eq!(verdict(&pair, settings(), "a.test").await, Ok(()));
    assert_eq!(
        verdict(&pair, settings(), "b.test").await,
        Err(ConnectFailure::Certificate)
    );
}

#[tokio::test]
async fn the_common_name_counts_where_there_are_no_alternative_names() {
    let authority = Authority::new("Test");
    let with_name = |name: &str, alternatives: &[&str]| {
        let mut params = leaf_params(alternatives);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, name);
        authority.sign(params, &rcgen::KeyPair::generate().unwrap())
    };
    let refused = Err(ConnectFailure::Certificate);
    assert_eq!(
        verdict(&with_name("a.test", &[]), trusting(&authority), "a.test").await,
        Ok(())
    );
    assert_eq!(
        verdict(
            &with_name("*.b.test", &[]),
            trusting(&authority),
            "a.b.test"
        )
        .await,
        Ok(())
    );
    assert_eq!(
        verdict(&with_name("*.test", &[]), trusting(&authority), "a.test").await,
        refused
    );
    assert_eq!(
        verdict(
            &with_name("a.test", &["b.test"]),
            trusting(&authority),
            "a.test"
        )
        .await,
        refused
    );
}

#[tokio::test]
async fn certificates_of_version_1_are_shown_and_verified() {
    let pair = Pair {
        cert: include_str!("../fixtures/v1.crt").to_owned(),
        key: include_str!("../fixtures/v1.key").to_owned(),
    };
    let trusting_pem = |pem: &str, version| ClientTlsSettings {
        trust: Some(TrustStore::from_pem([pem]).unwrap()),
        versions: vec![version],
        ..Default::default()
    };
    let refused = Err(ConnectFailure::Certificate);
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let issuer = || trusting_pem(include_str!("../fixtures/v1-ca.crt"), version);
        assert_eq!(verdict(&pair, issuer(), "v1.test").await, Ok(()));
        assert_eq!(verdict(&pair, issuer(), "v2.test").await, refused);
        assert_eq!(
            verdict(&pair, trusting_pem(&pair.cert, version), "v1.test").await,
            Ok(())
        );
        assert_eq!(
            verdict(&pair, trusting_pem(&pair.cert, version), "v2.test").await,
            refused
        );
        let other = Authority::new("Fixture CA");
        assert_eq!(
            verdict(&pair, trusting_pem(&other.pem, version), "v1.test").await,
            refused
        );
        let anybody = ClientTlsSettings {
            versions: vec![version],
            ..Default::default()
        };
        assert_eq!(verdict(&pair, anybody, "v2.test").await, Ok(()));
    }
    let other_key = include_str!("../fixtures/ec-sec1.key");
    assert!(matches!(
        ServerIdentity::from_pem(&pair.cert, other_key, None),
        Err(Error::KeyMismatch)
    ));
}
