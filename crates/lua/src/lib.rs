//! Lua code in configuration: checked when it is stored, run in a sandbox on the worker of the request.
//!
//! Each thread that runs such code has one virtual machine, with a bound on its memory; each run has bounds on its
//! instructions and its time. A [`Script`] is shared by all threads and holds only the source: a thread compiles it when
//! it runs it first, and forgets it some time after the last copy is gone.
//!
//! What code sees of the request and of the gateway is `kong` and `ngx`, as far as functions in configuration use them;
//! the rest says by its name that it is not there. Nothing reaches files, processes, foreign functions or bytecode,
//! whatever the setting `untrusted_lua` says.

mod budget;
mod cache;
mod host;
mod json;
mod matcher;
mod native;
mod patterns;
mod scene;
mod script;
mod syntax;
mod template;
mod vm;

pub use host::see;
pub use scene::{Greeting, Scene, Stage};
pub use script::{Script, Values};
pub use syntax::{check_expression, check_syntax};
pub use template::{Template, check_template};

/// Code did not run to its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The settings do not allow such code.
    #[error(
        "loading of untrusted Lua code disabled because 'untrusted_lua' config option is set to 'off'"
    )]
    Off,
    /// The code is no Lua, failed, or ran into a limit. The text is for the log.
    #[error("{0}")]
    Failed(String),
}

impl From<mlua::Error> for Error {
    fn from(error: mlua::Error) -> Self {
        Self::Failed(match error {
            mlua::Error::SyntaxError { message, .. } => message,
            other => other.to_string(),
        })
    }
}

impl From<Error> for plugin_api::Failure {
    fn from(error: Error) -> Self {
        Self::new(error.to_string())
    }
}

#[cfg(test)]
mod tests;
