//! Certificates and connections for tests.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use crate::Stream;
use crate::listen::{ListenAddress, ListenSpec, Listener, ListenerSet};

/// Long enough for a loaded machine; only a test that fails waits for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A certificate authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate chain with its key.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// An authority below this one.
    pub(crate) fn subordinate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = authority_params(name);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A leaf certificate for names.
    pub(crate) fn leaf(&self, names: &[&str]) -> Pair {
        self.sign(leaf_params(names), &KeyPair::generate().unwrap())
    }

    pub(crate) fn sign(&self, params: CertificateParams, key: &KeyPair) -> Pair {
        let cert = params.signed_by(key, &self.issuer).unwrap().pem();
        Pair {
            cert,
            key: key.serialize_pem(),
        }
    }
}

pub(crate) fn leaf_params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    params
}

pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    params
}

pub(crate) fn rsa_key() -> KeyPair {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap()
}

/// A listener on a free loopback port.
pub(crate) fn listener() -> (Listener, std::net::SocketAddr) {
    let spec = ListenSpec::new(ListenAddress::Tcp("127.0.0.1:0".parse().unwrap()));
    let set = ListenerSet::bind(&[spec], 1, None).unwrap();
    let listener = set
        .for_worker(0)
        .unwrap()
        .remove(0)
        .into_listener()
        .unwrap();
    let ListenAddress::Tcp(address) = *listener.local_addr() else {
        panic!("a TCP listener")
    };
    (listener, address)
}

/// The two ends of a connection: the client's and the accepted one.
pub(crate) async fn connected() -> (Stream, Stream) {
    let (listener, address) = listener();
    let client = tokio::net::TcpStream::connect(address).await.unwrap();
    (
        Stream::from_tcp(client).unwrap(),
        listener.accept().await.unwrap(),
    )
}

/// Lets the runtime work until the condition holds.
pub(crate) async fn eventually(mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .expect("the condition never held");
}
