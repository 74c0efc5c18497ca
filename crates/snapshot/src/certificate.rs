//! Certificates: what the gateway shows to clients and upstreams, and whom it trusts.

use std::sync::OnceLock;

use net::tls::{ClientIdentity, ServerIdentity, TrustStore};
use schema::Record;
use stdx::Secret;
use uuid::Uuid;

use crate::Error;
use crate::read::Reader;
use crate::vault::is_reference;

/// The texts of a certificate record; each may be a reference to a vault.
#[derive(Debug, Clone)]
pub struct Material {
    pub cert: Box<str>,
    pub key: Secret,
    /// A second pair of another key type.
    pub alternative: Option<(Box<str>, Secret)>,
}

/// A certificate with its key.
#[derive(Debug)]
pub struct Certificate {
    pub id: Uuid,
    material: Material,
    /// The texts with every reference replaced.
    resolved: Material,
    server: ServerIdentity,
    client: OnceLock<Option<ClientIdentity>>,
}

impl Certificate {
    /// Reads a record; `resolve` replaces references.
    pub(crate) fn read(
        record: &Record,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let fields = Reader(record);
        let alternative = fields
            .optional_text("cert_alt")
            .zip(fields.optional_text("key_alt"));
        let material = Material {
            cert: fields.text("cert")?.into(),
            key: Secret::new(fields.text("key")?),
            alternative: alternative.map(|(cert, key)| (cert.into(), Secret::new(key))),
        };
        Self::compile(fields.id()?, material, resolve)
    }

    /// The same certificate with its references looked up anew.
    pub(crate) fn resolve_again(
        &self,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        Self::compile(self.id, self.material.clone(), resolve)
    }

    fn compile(
        id: Uuid,
        material: Material,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let text = |text: &str| {
            if is_reference(text) {
                resolve(text).ok_or_else(|| Error::Unresolved(text.to_owned()))
            } else {
                Ok(text.to_owned())
            }
        };
        let pair = |cert: &str, key: &Secret| {
            Ok::<_, Error>((text(cert)?.into(), Secret::new(text(key.expose())?)))
        };
        let (cert, key) = pair(&material.cert, &material.key)?;
        let alternative = material.alternative.as_ref();
        let alternative = alternative.map(|(cert, key)| pair(cert, key)).transpose()?;
        let resolved = Material {
            cert,
            key,
            alternative,
        };
        let second = resolved.alternative.as_ref();
        let server = ServerIdentity::from_pem(
            &resolved.cert,
            resolved.key.expose(),
            second.map(|(cert, key)| (&**cert, key.expose())),
        );
        Ok(Self {
            id,
            material,
            server: server.map_err(|error| Error::Certificate(error.to_string()))?,
            resolved,
            client: OnceLock::new(),
        })
    }

    /// Whether any of its texts is kept in a vault.
    pub(crate) fn has_references(&self) -> bool {
        let alternative = self.material.alternative.as_ref();
        is_reference(&self.material.cert)
            || is_reference(self.material.key.expose())
            || alternative
                .is_some_and(|(cert, key)| is_reference(cert) || is_reference(key.expose()))
    }

    /// What clients are shown.
    pub fn server_identity(&self) -> &ServerIdentity {
        &self.server
    }

    /// What upstreams are shown that ask for a client certificate; compiled when it is first asked for.
    pub fn client_identity(&self) -> Option<&ClientIdentity> {
        let compile =
            || ClientIdentity::from_pem(&self.resolved.cert, self.resolved.key.expose()).ok();
        self.client.get_or_init(compile).as_ref()
    }
}

/// An authority that upstream certificates may be signed by.
#[derive(Debug)]
pub struct CaCertificate {
    pub id: Uuid,
    pub trust: TrustStore,
}

impl CaCertificate {
    pub(crate) fn read(
        record: &Record,
        resolve: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        let fields = Reader(record);
        let text = fields.text("cert")?;
        let text = if is_reference(text) {
            resolve(text).ok_or_else(|| Error::Unresolved(text.to_owned()))?
        } else {
            text.to_owned()
        };
        let trust = TrustStore::from_pem([text.as_str()]);
        Ok(Self {
            id: fields.id()?,
            trust: trust.map_err(|error| Error::Certificate(error.to_string()))?,
        })
    }
}
