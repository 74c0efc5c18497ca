//! Whether text is Lua, without running it.

use std::cell::OnceCell;

use mlua::{ChunkMode, Lua, LuaOptions, StdLib};

thread_local! {
    /// An empty machine that only compiles.
    static COMPILER: OnceCell<Lua> = const { OnceCell::new() };
}

/// Whether a text is a Lua function's body.
///
/// # Errors
/// What is wrong, in the words of `loadstring`: `[string "…"]:1: …`.
pub fn check_syntax(code: &str) -> Result<(), String> {
    check_named(code, code)
}

/// The same with the name that errors show instead of the code.
pub(crate) fn check_named(code: &str, name: &str) -> Result<(), String> {
    COMPILER.with(|compiler| {
        let lua = match compiler.get() {
            Some(lua) => lua,
            None => {
                let lua = Lua::new_with(StdLib::NONE, LuaOptions::default())
                    .map_err(|error| error.to_string())?;
                compiler.get_or_init(|| lua)
            }
        };
        let chunk = lua.load(code).set_name(name).set_mode(ChunkMode::Text);
        match chunk.into_function() {
            Ok(_) => Ok(()),
            Err(mlua::Error::SyntaxError { message, .. }) => Err(message),
            Err(other) => Err(other.to_string()),
        }
    })
}

/// Whether a text is a function of a log plugin's `custom_fields_by_lua`.
///
/// # Errors
/// What is wrong, as Kong says it.
pub fn check_expression(code: &str) -> Result<(), String> {
    check_syntax(code).map_err(|error| format!("Error parsing function: {error}"))
}
