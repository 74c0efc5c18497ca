//! Which plugins may be configured: the setting `plugins`.

use plugin_api::Plugin;

use crate::PLUGINS;

/// The name that stands for every bundled plugin.
const BUNDLED: &str = "bundled";

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

    /// Those of a list that there are; the name `bundled` stands for all of them.
    pub fn of(names: &[String]) -> Self {
        let rows = names.iter().fold(0, |rows, name| match name.as_str() {
            BUNDLED => rows | Self::bundled().rows,
            name => row(name).map_or(rows, |row| rows | 1 << row),
        });
        Self { rows }
    }

    /// Whether there is a plugin for each name of a list.
    ///
    /// # Errors
    /// For the first name that is no plugin's.
    pub fn check(names: &[String]) -> Result<(), UnknownPlugin> {
        let unknown = |name: &&String| *name != BUNDLED && row(name).is_none();
        match names.iter().find(unknown) {
            Some(name) => Err(UnknownPlugin(name.clone())),
            None => Ok(()),
        }
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
