//! Which plugins may be configured: the setting `plugins`.

use plugin_api::Plugin;

use crate::PLUGINS;

/// The plugins that the setting `plugins` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Enabled {
    /// One bit for each row of the table.
    rows: u128,
}

/// The setting names a plugin that there is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the setting plugins names '{0}', and there is no such plugin")]
pub struct UnknownPlugin(pub String);

impl Enabled {
    /// Every bundled plugin.
    pub fn bundled() -> Self {
        Self {
            rows: PLUGINS
                .iter()
                .enumerate()
                .fold(0, |rows, (at, _)| rows | 1 << at),
        }
    }

    /// What a list of names stands for; the name `bundled` stands for all of them.
    ///
    /// # Errors
    /// For the first name that is no plugin's.
    pub fn parse(names: &[String]) -> Result<Self, UnknownPlugin> {
        let mut enabled = Self { rows: 0 };
        for name in names {
            if name == "bundled" {
                enabled.rows |= Self::bundled().rows;
                continue;
            }
            let row = row(name).ok_or_else(|| UnknownPlugin(name.clone()))?;
            enabled.rows |= 1 << row;
        }
        Ok(enabled)
    }

    /// Whether a plugin is among them.
    pub fn contains(self, name: &str) -> bool {
        row(name).is_some_and(|row| self.rows & (1 << row) != 0)
    }

    /// The plugins in the order of the table.
    pub fn plugins(self) -> impl Iterator<Item = &'static Plugin> {
        PLUGINS
            .iter()
            .enumerate()
            .filter(move |(at, _)| self.rows & (1 << at) != 0)
            .map(|(_, plugin)| plugin)
    }
}

fn row(name: &str) -> Option<usize> {
    PLUGINS
        .iter()
        .position(|plugin| plugin.declaration.name == name)
}
