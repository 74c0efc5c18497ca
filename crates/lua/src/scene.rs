//! What a run of a script has before it.

use bytes::Bytes;
use plugin_api::{Exchange, Handshake, Phase, ResponseHead, Services, Summary};
use uuid::Uuid;

/// One exchange at one stage of its life, as a script gets it.
pub struct Scene<'s, 'e> {
    pub exchange: &'s mut Exchange<'e>,
    pub services: &'s Services,
    /// The plugin's name, for the log.
    pub plugin: &'static str,
    /// The record's id.
    pub plugin_id: Uuid,
    pub stage: Stage<'s>,
}

/// A TLS handshake, as a script gets it.
pub struct Greeting<'s, 'e> {
    pub handshake: &'s mut Handshake<'e>,
    pub services: &'s Services,
    /// The plugin's name, for the log.
    pub plugin: &'static str,
    /// The record's id.
    pub plugin_id: Uuid,
}

/// The stage, with what there is to see and to change.
pub enum Stage<'s> {
    Rewrite,
    Access,
    HeaderFilter(&'s mut ResponseHead),
    BodyFilter { piece: &'s mut Bytes, last: bool },
    Log(&'s Summary<'s>),
}

impl Stage<'_> {
    /// The phase whose stage it is.
    pub fn phase(&self) -> Phase {
        match self {
            Self::Rewrite => Phase::Rewrite,
            Self::Access => Phase::Access,
            Self::HeaderFilter(_) => Phase::HeaderFilter,
            Self::BodyFilter { .. } => Phase::BodyFilter,
            Self::Log(_) => Phase::Log,
        }
    }
}
