//! Settings, certificates and keys, without a handshake.

use super::*;

#[test]
fn settings_that_cannot_be_honoured_are_named() {
    let with = |cipher_suite, protocols: &[&str]| {
        let protocols = protocols.iter().map(ToString::to_string).collect();
        ServerTls::new(&ServerTlsSettings {
            cipher_suite,
            protocols,
            ..ServerTlsSettings::default()
        })
    };
    let custom = |list: &str| CipherSuite::Custom(list.to_owned());
    let good = "ECDHE-RSA-AES128-GCM-SHA256";
    assert_eq!(
        with(custom(good), &["TLSv1.2"]).unwrap().versions(),
        [TlsVersion::Tls12]
    );
    assert_eq!(
        with(custom(good), &["TLSv1.2 TLSv1.3"])
            .unwrap()
            .versions()
            .len(),
        2
    );

    let error =
        |result: Result<_, Error>| result.map(|_: Arc<ServerTls>| ()).unwrap_err().to_string();
    assert_eq!(
        error(with(custom(good), &["TLSv1.1", "TLSv1.2"])),
        "ssl_protocols: TLSv1.1 is broken and not available; allowed are TLSv1.2 and TLSv1.3"
    );
    assert_eq!(
        error(with(custom(good), &["TLSv9"])),
        "ssl_protocols: unknown protocol \"TLSv9\"; allowed are TLSv1.2 and TLSv1.3"
    );
    assert!(
        error(with(custom("AES128-SHA"), &["TLSv1.2"]))
            .starts_with("ssl_ciphers: none of \"AES128-SHA\"")
    );

    let warnings = with(custom(&format!("{good}:AES128-SHA:DES-CBC3-SHA")), &[])
        .unwrap()
        .warnings()
        .to_vec();
    assert_eq!(
        warnings,
        ["ssl_ciphers: not available and left out: AES128-SHA DES-CBC3-SHA"]
    );
    assert_eq!(with(CipherSuite::Old, &[]).unwrap().warnings().len(), 1);
}

#[test]
fn keys_of_every_encoding_are_read() {
    let identity = |cert: &str, key: &str| ServerIdentity::from_pem(cert, key, None).map(|_| ());
    for (cert, key) in [
        (
            include_str!("../fixtures/rsa.crt"),
            include_str!("../fixtures/rsa-pkcs1.key"),
        ),
        (
            include_str!("../fixtures/rsa.crt"),
            include_str!("../fixtures/rsa-pkcs8.key"),
        ),
        (
            include_str!("../fixtures/ec.crt"),
            include_str!("../fixtures/ec-sec1.key"),
        ),
    ] {
        identity(cert, key).unwrap();
    }
}

#[test]
fn unusable_certificates_and_keys_are_refused_in_words() {
    let authority = Authority::new("Test");
    let (pair, other) = (authority.leaf(&["a.test"]), authority.leaf(&["b.test"]));
    let check = |cert: &str, key: &str, expected: &str| {
        let error = ServerIdentity::from_pem(cert, key, None)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(expected), "{error}");
    };
    check(
        &pair.cert,
        &other.key,
        "the private key does not belong to the certificate",
    );
    check(
        "",
        &pair.key,
        "invalid certificate: no PEM certificate found",
    );
    check(
        &pair.key,
        &pair.key,
        "invalid certificate: no PEM certificate found",
    );
    check(
        &pair.cert,
        "",
        "invalid private key: no PEM private key found",
    );
    check(
        &pair.cert,
        &pair.cert,
        "invalid private key: no PEM private key found",
    );
    check(
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        &pair.key,
        "invalid certificate: ",
    );
    check(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &pair.key,
        "invalid certificate: not an X.509",
    );
    check(
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
        &pair.key,
        "invalid certificate: the PEM text has no END line",
    );
    check(
        &pair.cert,
        include_str!("../fixtures/encrypted-pkcs8.key"),
        "the private key is encrypted",
    );
    check(
        &pair.cert,
        include_str!("../fixtures/encrypted-pkcs1.key"),
        "the private key is encrypted",
    );
    assert!(TrustStore::from_pem([pair.key.as_str()]).is_err());
    assert!(
        ServerIdentity::from_pem(&pair.cert, &pair.key, Some((&pair.cert, &other.key))).is_err()
    );
}

#[test]
fn equal_client_settings_share_one_compiled_form_while_it_is_used() {
    let authority = Authority::new("Test");
    let (pair, other) = (authority.leaf(&["a"]), authority.leaf(&["b"]));
    let settings = |pair: &Pair| ClientTlsSettings {
        identity: Some(pair.client()),
        ..trusting(&authority)
    };
    let cache = ClientTlsCache::default();
    let first = cache.get(settings(&pair)).unwrap();
    assert!(first.is_same(&cache.get(settings(&pair)).unwrap()));
    let different = cache.get(settings(&other)).unwrap();
    assert_ne!(first, different);
    assert_eq!(first, ClientTls::new(settings(&pair)).unwrap());
    drop((first, different));
    cache.get(ClientTlsSettings::default()).unwrap();
    assert_eq!(cache.len(), 1);
}
