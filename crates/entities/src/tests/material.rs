//! Certificates and keys, made for the tests.

use rcgen::{
    BasicConstraints, CertificateParams, IsCa, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
};

/// A certificate and its key, in PEM form.
pub struct Pair {
    pub cert: String,
    pub key: String,
    pub public_key: String,
}

/// A leaf certificate with a key on the P-256 curve.
pub fn leaf() -> Pair {
    certify(
        &KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"),
        |_| {},
    )
}

/// A leaf certificate with an Ed25519 key.
pub fn ed25519_leaf() -> Pair {
    certify(
        &KeyPair::generate_for(&PKCS_ED25519).expect("a key"),
        |_| {},
    )
}

/// An authority.
pub fn authority() -> Pair {
    certify(&KeyPair::generate().expect("a key"), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    })
}

/// An authority whose time is over.
pub fn expired_authority() -> Pair {
    certify(&KeyPair::generate().expect("a key"), |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(2001, 1, 1);
    })
}

fn certify(key: &KeyPair, change: impl FnOnce(&mut CertificateParams)) -> Pair {
    let mut params = CertificateParams::new(vec!["a.test".to_owned()]).expect("parameters");
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2100, 1, 1);
    change(&mut params);
    let cert = params.self_signed(key).expect("a certificate");
    Pair {
        cert: cert.pem(),
        key: key.serialize_pem(),
        public_key: key.public_key_pem(),
    }
}
