//! Certificates and keys as settings give them: a path, PEM text, or PEM text in base64.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use stdx::Secret;

/// Where PEM text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemSource {
    /// In a file, read when the node starts and reloads.
    File(PathBuf),
    /// In the setting itself.
    Inline(Secret),
}

impl std::fmt::Display for PemSource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(formatter),
            Self::Inline(_) => formatter.write_str("the PEM text in the settings"),
        }
    }
}

impl PemSource {
    /// Decides what a setting's text is; none if it is neither an existing file nor PEM.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.contains("-----BEGIN") {
            return Some(Self::Inline(Secret::new(text)));
        }
        let path = Path::new(text);
        if path.exists() {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            return Some(Self::File(path));
        }
        let packed: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let decoded = STANDARD.decode(packed).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        decoded
            .contains("-----BEGIN")
            .then(|| Self::Inline(Secret::new(decoded)))
    }

    /// The PEM text.
    pub fn load(&self) -> std::io::Result<Secret> {
        match self {
            Self::File(path) => stdx::files::read_small_text(path).map(Secret::new),
            Self::Inline(text) => Ok(text.clone()),
        }
    }
}
