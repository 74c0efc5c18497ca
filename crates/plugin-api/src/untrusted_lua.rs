//! What the node allows Lua code in configuration to do: the settings `untrusted_lua`, `untrusted_lua_sandbox_requires`
//! and `untrusted_lua_sandbox_environment`.

/// Whether such code runs, and what it sees.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct UntrustedLua {
    pub mode: LuaMode,
    /// Modules that code in the sandbox may load.
    pub requires: Vec<Box<str>>,
    /// Variables, with dots between the names on the way to them, that code in the sandbox sees besides the usual ones.
    pub environment: Vec<Box<str>>,
}

/// The setting `untrusted_lua`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LuaMode {
    /// No such code runs.
    Off,
    /// It runs, and sees what can do no harm.
    #[default]
    Sandbox,
    /// It runs, and sees all that there is, which is still neither files nor processes nor foreign functions.
    On,
}
