//! Certificates for listeners whose settings name none: self-signed ones that the node makes once and keeps, and the
//! certificates that settings name.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::{KeyPair, Settings};
use net::tls::ServerIdentity;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, KeyPair as SigningKey, PKCS_ECDSA_P256_SHA256,
    PKCS_ECDSA_P384_SHA384, PKCS_RSA_SHA256, SignatureAlgorithm,
};
use stdx::Clock;

use crate::Error;
use crate::prefix::write_private;

/// What a listener's files begin with: `kong-default.crt`, `admin-kong-default.crt`, `status-kong-default.crt`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Proxy,
    Admin,
    Status,
}

impl Owner {
    fn stem(self) -> &'static str {
        match self {
            Self::Proxy => "kong-default",
            Self::Admin => "admin-kong-default",
            Self::Status => "status-kong-default",
        }
    }

    /// The setting with its certificates; the one with their keys ends in `_key`.
    fn setting(self) -> &'static str {
        match self {
            Self::Proxy => "ssl_cert",
            Self::Admin => "admin_ssl_cert",
            Self::Status => "status_ssl_cert",
        }
    }
}

/// The certificates of a listener: those of the settings, or else generated ones, an ECDSA and an RSA one.
pub fn identity(
    owner: Owner,
    configured: &[KeyPair],
    prefix: &Path,
    clock: &dyn Clock,
) -> Result<ServerIdentity, Error> {
    let pairs = if configured.is_empty() {
        generated(owner, prefix, clock)?
    } else {
        configured.iter().map(load).collect::<Result<Vec<_>, _>>()?
    };
    let mut pairs = pairs.iter();
    let (certificate, key) = pairs
        .next()
        .ok_or_else(|| Error::Certificate("no certificate".to_owned()))?;
    let alternative = pairs
        .next()
        .map(|(certificate, key)| (certificate.as_str(), key.as_str()));
    ServerIdentity::from_pem(certificate, key, alternative).map_err(|error| {
        Error::Certificate(format!("{}: {error}", origin(owner, configured, prefix)))
    })
}

/// Where the certificates of a listener come from, for a person who has to mend them.
fn origin(owner: Owner, configured: &[KeyPair], prefix: &Path) -> String {
    if configured.is_empty() {
        let files = prefix.join("ssl").join(owner.stem());
        return format!(
            "{}*, which a start makes anew if it is gone",
            files.display()
        );
    }
    let setting = owner.setting();
    let certificates = configured.iter().map(|pair| &pair.certificate);
    format!("{setting} and {setting}_key ({})", places(certificates))
}

/// Where PEM texts come from, for a person who has to mend them.
pub fn places<'a>(sources: impl IntoIterator<Item = &'a config::PemSource>) -> String {
    let places = sources.into_iter().map(|source| match source {
        config::PemSource::File(path) => path.display().to_string(),
        config::PemSource::Inline(_) => "given as text".to_owned(),
    });
    places.collect::<Vec<_>>().join(", ")
}

/// Makes the certificates that the listeners of these settings will need, so that a start need not.
pub fn prepare(settings: &Settings, clock: &dyn Clock) -> Result<(), Error> {
    for (owner, configured) in needed(settings) {
        identity(owner, configured, &settings.prefix, clock)?;
    }
    Ok(())
}

/// Refuses certificates of the settings that no listener can show.
pub fn check(settings: &Settings) -> Result<(), Error> {
    let named = needed(settings).filter(|(_, configured)| !configured.is_empty());
    for (owner, configured) in named {
        identity(owner, configured, &settings.prefix, &stdx::SystemClock)?;
    }
    Ok(())
}

/// The listeners that speak TLS, with the certificates that the settings name for them.
fn needed(settings: &Settings) -> impl Iterator<Item = (Owner, &[KeyPair])> {
    let (listeners, tls) = (&settings.listeners, &settings.tls);
    let all = [
        (Owner::Proxy, &listeners.proxy, &tls.proxy),
        (Owner::Admin, &listeners.admin, &tls.admin),
        (Owner::Status, &listeners.status, &tls.status),
    ];
    all.into_iter()
        .filter(|(_, listeners, _)| listeners.iter().any(|listener| listener.ssl))
        .map(|(owner, _, configured)| (owner, configured.as_slice()))
}

/// The texts of a configured pair.
pub fn load(pair: &KeyPair) -> Result<(String, String), Error> {
    let read = |source: &config::PemSource| {
        source
            .load()
            .map(|text| text.expose().to_owned())
            .map_err(|error| Error::Certificate(format!("{source}: {error}")))
    };
    Ok((read(&pair.certificate)?, read(&pair.key)?))
}

fn generated(
    owner: Owner,
    prefix: &Path,
    clock: &dyn Clock,
) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = Vec::new();
    for (suffix, algorithm) in [("-ecdsa", Algorithm::EcdsaP256), ("", Algorithm::Rsa)] {
        let stem = prefix.join("ssl").join(format!("{}{suffix}", owner.stem()));
        pairs.push(kept_or_made(&stem, algorithm, clock)?);
    }
    Ok(pairs)
}

fn kept_or_made(
    stem: &Path,
    algorithm: Algorithm,
    clock: &dyn Clock,
) -> Result<(String, String), Error> {
    let with = |ending: &str| PathBuf::from(format!("{}.{ending}", stem.display()));
    let (certificate_file, key_file) = (with("crt"), with("key"));
    if let (Ok(certificate), Ok(key)) = (
        fs::read_to_string(&certificate_file),
        fs::read_to_string(&key_file),
    ) {
        return Ok((certificate, key));
    }
    let (certificate, key) = self_signed("localhost", algorithm, 20 * 365, clock)?;
    write_private(&key_file, &key)?;
    write_private(&certificate_file, &certificate)?;
    Ok((certificate, key))
}

/// A kind of key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    EcdsaP256,
    EcdsaP384,
    /// 2048 bits.
    Rsa,
}

/// A self-signed certificate and its key as PEM, valid from yesterday (clocks differ) for some days.
pub fn self_signed(
    name: &str,
    algorithm: Algorithm,
    days: u32,
    clock: &dyn Clock,
) -> Result<(String, String), Error> {
    const DAY: Duration = Duration::from_secs(86_400);
    let failed = |error: rcgen::Error| Error::Certificate(format!("cannot make one: {error}"));
    let algorithm: &SignatureAlgorithm = match algorithm {
        Algorithm::EcdsaP256 => &PKCS_ECDSA_P256_SHA256,
        Algorithm::EcdsaP384 => &PKCS_ECDSA_P384_SHA384,
        Algorithm::Rsa => &PKCS_RSA_SHA256,
    };
    let mut params = CertificateParams::new(vec![name.to_owned()]).map_err(failed)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = (clock.now() - DAY).into();
    params.not_after = (clock.now() + DAY * days).into();
    let key = SigningKey::generate_for(algorithm).map_err(failed)?;
    let certificate = params.self_signed(&key).map_err(failed)?;
    Ok((certificate.pem(), key.serialize_pem()))
}

#[cfg(test)]
mod tests;
