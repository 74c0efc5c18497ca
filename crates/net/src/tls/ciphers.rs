//! Cipher suites by their OpenSSL names, and the named selections of Kong's `ssl_cipher_suite`.

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, cipher_suite as suites, kx_group};
use rustls::{CipherSuite as Id, SupportedCipherSuite};

use crate::{Error, TlsVersion};

/// `ssl_cipher_suite`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CipherSuite {
    /// TLS 1.3 only.
    Modern,
    /// TLS 1.2 with forward secrecy, and 1.3.
    Intermediate,
    /// As `Intermediate`: what else Kong offers under this name (TLS 1.0 and 1.1, CBC, RSA key exchange) is not
    /// implemented, and a warning says so.
    Old,
    /// AES-GCM suites and NIST curves only.
    Fips,
    /// `ssl_ciphers`: OpenSSL names separated by colons, in order of preference.
    Custom(String),
}

/// A selection of versions and suites that the TLS library has.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) provider: CryptoProvider,
    pub(super) versions: Vec<TlsVersion>,
    pub(super) warnings: Vec<String>,
}

/// The suites of TLS 1.3: OpenSSL configures them apart from `ssl_ciphers`, so that a custom list leaves them on.
const TLS13: [SupportedCipherSuite; 3] = [
    suites::TLS13_AES_256_GCM_SHA384,
    suites::TLS13_CHACHA20_POLY1305_SHA256,
    suites::TLS13_AES_128_GCM_SHA256,
];

/// The suites of TLS 1.2 that the library has, in Mozilla's intermediate order.
const TLS12: [SupportedCipherSuite; 6] = [
    suites::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    suites::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    suites::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    suites::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    suites::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
    suites::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
];

/// Chooses suites and versions. `protocols` counts only beside a custom list, as in Kong.
pub(super) fn select(suite: &CipherSuite, protocols: &[String]) -> Result<Selection, Error> {
    let both = vec![TlsVersion::Tls12, TlsVersion::Tls13];
    let mut warnings = Vec::new();
    let mut provider = aws_lc_rs::default_provider();
    let versions = match suite {
        CipherSuite::Modern => {
            provider.cipher_suites = TLS13.to_vec();
            vec![TlsVersion::Tls13]
        }
        CipherSuite::Intermediate => {
            provider.cipher_suites = [&TLS13[..], &TLS12[..]].concat();
            both
        }
        CipherSuite::Old => {
            warnings.push("ssl_cipher_suite = old: TLSv1, TLSv1.1 and suites without forward secrecy are not available; serving what \"intermediate\" serves".to_owned());
            provider.cipher_suites = [&TLS13[..], &TLS12[..]].concat();
            both
        }
        CipherSuite::Fips => {
            let is_aes =
                |suite: &SupportedCipherSuite| !openssl_name(suite.suite()).contains("CHACHA20");
            provider.cipher_suites = TLS13.into_iter().chain(TLS12).filter(is_aes).collect();
            provider.kx_groups = vec![kx_group::SECP256R1, kx_group::SECP384R1];
            both
        }
        CipherSuite::Custom(list) => {
            let versions = parse_versions(protocols)?;
            provider.cipher_suites = custom(list, &versions, &mut warnings)?;
            versions
        }
    };
    Ok(Selection {
        provider,
        versions,
        warnings,
    })
}

/// The suites of a colon-separated list; what the library does not have is named in a warning, as OpenSSL skips what it
/// does not know.
fn custom(
    list: &str,
    versions: &[TlsVersion],
    warnings: &mut Vec<String>,
) -> Result<Vec<SupportedCipherSuite>, Error> {
    let mut chosen = Vec::new();
    let mut unknown = Vec::new();
    for name in list.split([':', ',', ' ']).filter(|name| !name.is_empty()) {
        let found = TLS12
            .into_iter()
            .chain(TLS13)
            .find(|suite| openssl_name(suite.suite()) == name);
        match found {
            Some(suite) if !chosen.contains(&suite) => chosen.push(suite),
            Some(_) => {}
            None => unknown.push(name),
        }
    }
    if !unknown.is_empty() {
        warnings.push(format!(
            "ssl_ciphers: not available and left out: {}",
            unknown.join(" ")
        ));
    }
    if versions.contains(&TlsVersion::Tls13) && !chosen.iter().any(|suite| suite.tls13().is_some())
    {
        chosen.splice(..0, TLS13);
    }
    if versions.contains(&TlsVersion::Tls12) && chosen.iter().all(|suite| suite.tls13().is_some()) {
        return Err(Error::TlsSetting(format!(
            "ssl_ciphers: none of {list:?} is available; TLSv1.2 has {}",
            TLS12.map(|suite| openssl_name(suite.suite())).join(":"),
        )));
    }
    Ok(chosen)
}

/// The versions of `ssl_protocols`.
fn parse_versions(names: &[String]) -> Result<Vec<TlsVersion>, Error> {
    let mut versions = Vec::new();
    for name in names.iter().flat_map(|names| names.split_whitespace()) {
        let version = match name {
            "TLSv1.2" => TlsVersion::Tls12,
            "TLSv1.3" => TlsVersion::Tls13,
            "SSLv2" | "SSLv3" | "TLSv1" | "TLSv1.1" => {
                return Err(Error::TlsSetting(format!(
                    "ssl_protocols: {name} is broken and not available; allowed are TLSv1.2 and TLSv1.3"
                )));
            }
            _ => {
                return Err(Error::TlsSetting(format!(
                    "ssl_protocols: unknown protocol {name:?}; allowed are TLSv1.2 and TLSv1.3"
                )));
            }
        };
        if !versions.contains(&version) {
            versions.push(version);
        }
    }
    if versions.is_empty() {
        versions.extend([TlsVersion::Tls12, TlsVersion::Tls13]);
    }
    Ok(versions)
}

/// The library's handles on versions.
pub(super) fn library_versions(
    versions: &[TlsVersion],
) -> Vec<&'static rustls::SupportedProtocolVersion> {
    let handle = |version: &TlsVersion| match version {
        TlsVersion::Tls12 => &rustls::version::TLS12,
        TlsVersion::Tls13 => &rustls::version::TLS13,
    };
    versions.iter().map(handle).collect()
}

/// The OpenSSL name of a suite.
pub(super) fn openssl_name(suite: Id) -> &'static str {
    match suite {
        Id::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256",
        Id::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384",
        Id::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256",
        Id::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => "ECDHE-ECDSA-AES128-GCM-SHA256",
        Id::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => "ECDHE-ECDSA-AES256-GCM-SHA384",
        Id::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-ECDSA-CHACHA20-POLY1305",
        Id::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => "ECDHE-RSA-AES128-GCM-SHA256",
        Id::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => "ECDHE-RSA-AES256-GCM-SHA384",
        Id::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => "ECDHE-RSA-CHACHA20-POLY1305",
        other => other.as_str().unwrap_or(""),
    }
}
