//! What Lua code can do without a request: patterns, encodings, digests, JSON, expressions.

use std::rc::Rc;

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use md5::{Digest as _, Md5};
use mlua::{ChunkMode, IntoLua, IntoLuaMulti, Lua, MultiValue, String as LuaString, Table, Value};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};
use plugin_api::arguments;

use crate::budget::{Budget, STEP};
use crate::json::{self, Marks};
use crate::matcher::{self, Capture, Reading, Stop};
use crate::patterns::Patterns;

/// What may stand in a part of a URI as it is.
const URI_PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The functions, and the marks that the host needs as well.
pub fn install(lua: &Lua, budget: &Rc<Budget>) -> mlua::Result<(Table, Marks)> {
    let native = lua.create_table()?;
    let marks = Marks {
        array: lua.create_table()?,
        empty_array: lua.create_table()?,
    };
    native.raw_set("null", Value::NULL)?;
    native.raw_set("array_mt", &marks.array)?;
    native.raw_set("empty_array_mt", &marks.empty_array)?;
    let empty = lua.create_table()?;
    empty.set_metatable(Some(marks.array.clone()))?;
    native.raw_set("empty_array", empty)?;
    install_find(lua, &native, budget)?;
    install_json(lua, &native, &marks)?;
    install_digests(lua, &native)?;
    install_encodings(lua, &native)?;
    let patterns = Patterns::default();
    let search =
        move |lua: &Lua, (subject, pattern, options, from): (LuaString, String, String, usize)| {
            let found = patterns.search(lua, &subject.as_bytes(), &pattern, &options, from)?;
            Ok(match found {
                Ok(groups) => (groups, None),
                Err(reason) => (None, Some(reason)),
            })
        };
    native.raw_set("re_match", lua.create_function(search)?)?;
    let load = |lua: &Lua, (code, name, env): (LuaString, LuaString, Table)| {
        let code = code.as_bytes();
        let chunk = lua
            .load(&*code)
            .set_name(name.to_string_lossy())
            .set_mode(ChunkMode::Text)
            .set_environment(env);
        Ok(match chunk.into_function() {
            Ok(function) => (Some(function), None),
            Err(mlua::Error::SyntaxError { message, .. }) => (None, Some(message)),
            Err(other) => (None, Some(other.to_string())),
        })
    };
    native.raw_set("load", lua.create_function(load)?)?;
    Ok((native, marks))
}

/// `find(subject, pattern, from, reading)`, where `from` counts from one: the first and the last place of the match,
/// whole or captured. `nil` if there is none, and then a reason if the pattern is none. A limit cannot be caught.
fn install_find(lua: &Lua, native: &Table, budget: &Rc<Budget>) -> mlua::Result<()> {
    let budget = budget.clone();
    let find =
        move |lua: &Lua,
              (subject, pattern, from, reading): (LuaString, LuaString, usize, LuaString)| {
            let reading = match &*reading.as_bytes() {
                b"plain" => Reading::Plain,
                b"either" => Reading::Either,
                b"free" => Reading::Free,
                _ => Reading::Anchored,
            };
            let (subject, pattern) = (subject.as_bytes(), pattern.as_bytes());
            let spend = || budget.spend();
            let from = from.saturating_sub(1);
            let found = match matcher::find(&subject, &pattern, from, reading, (STEP, &spend)) {
                Ok(Some(found)) => found,
                Ok(None) => return (Value::Nil, Value::Nil).into_lua_multi(lua),
                Err(Stop::Malformed(reason)) => return (Value::Nil, reason).into_lua_multi(lua),
                Err(Stop::Spent(reason)) => return Err(mlua::Error::runtime(reason)),
            };
            let mut values = (found.start + 1, found.end).into_lua_multi(lua)?;
            for capture in found.captures {
                values.push_back(match capture {
                    Capture::Text { start, end } => {
                        let text = subject.get(start..end).unwrap_or_default();
                        Value::String(lua.create_string(text)?)
                    }
                    Capture::Place(place) => (place + 1).into_lua(lua)?,
                });
            }
            Ok(values)
        };
    native.raw_set("find", lua.create_function(find)?)
}

fn install_json(lua: &Lua, native: &Table, marks: &Marks) -> mlua::Result<()> {
    let with = marks.clone();
    let encode = move |_: &Lua, value: Value| {
        Ok(match json::from_lua(&with, &value) {
            Ok(value) => (Some(value.to_string()), None),
            Err(reason) => (None, Some(reason)),
        })
    };
    native.raw_set("json_encode", lua.create_function(encode)?)?;
    let with = marks.clone();
    let decode = move |lua: &Lua, text: LuaString| {
        Ok(match serde_json::from_slice(&text.as_bytes()) {
            Ok(value) => (json::to_lua(lua, &with, &value)?, None),
            Err(error) => (Value::Nil, Some(format!("invalid JSON: {error}"))),
        })
    };
    native.raw_set("json_decode", lua.create_function(decode)?)?;
    Ok(())
}

fn install_digests(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let md5 = |_: &Lua, text: LuaString| {
        let digest = Md5::digest(text.as_bytes());
        Ok(digest
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>())
    };
    native.raw_set("md5", lua.create_function(md5)?)?;
    let md5_bin =
        |lua: &Lua, text: LuaString| lua.create_string(Md5::digest(text.as_bytes()).as_slice());
    native.raw_set("md5_bin", lua.create_function(md5_bin)?)?;
    let sha1 = |lua: &Lua, text: LuaString| {
        let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &text.as_bytes());
        lua.create_string(digest.as_ref())
    };
    native.raw_set("sha1_bin", lua.create_function(sha1)?)?;
    let hmac_sha1 = |lua: &Lua, (key, text): (LuaString, LuaString)| {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &key.as_bytes());
        lua.create_string(hmac::sign(&key, &text.as_bytes()).as_ref())
    };
    native.raw_set("hmac_sha1", lua.create_function(hmac_sha1)?)?;
    let crc32 = |_: &Lua, text: LuaString| Ok(f64::from(crc32(&text.as_bytes())));
    native.raw_set("crc32", lua.create_function(crc32)?)?;
    Ok(())
}

/// The checksum of zlib and Ethernet.
fn crc32(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0xedb8_8320;
    let rest = bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            let carry = if sum & 1 == 1 { POLYNOMIAL } else { 0 };
            (sum >> 1) ^ carry
        })
    });
    !rest
}

fn install_encodings(lua: &Lua, native: &Table) -> mlua::Result<()> {
    let encode_base64 = |_: &Lua, (text, bare): (LuaString, Option<bool>)| {
        Ok(if bare == Some(true) {
            STANDARD_NO_PAD.encode(text.as_bytes())
        } else {
            STANDARD.encode(text.as_bytes())
        })
    };
    native.raw_set("encode_base64", lua.create_function(encode_base64)?)?;
    let decode_base64 = |lua: &Lua, text: LuaString| {
        let text = text.as_bytes();
        let end = text
            .iter()
            .rposition(|byte| *byte != b'=')
            .map_or(0, |at| at + 1);
        let decoded = STANDARD_NO_PAD.decode(text.get(..end).unwrap_or_default());
        decoded
            .ok()
            .map(|decoded| lua.create_string(decoded))
            .transpose()
    };
    native.raw_set("decode_base64", lua.create_function(decode_base64)?)?;
    let escape =
        |_: &Lua, text: LuaString| Ok(percent_encode(&text.as_bytes(), URI_PART).to_string());
    native.raw_set("escape_uri", lua.create_function(escape)?)?;
    let unescape = |lua: &Lua, text: LuaString| {
        let spaced: Vec<u8> = text
            .as_bytes()
            .iter()
            .map(|byte| if *byte == b'+' { b' ' } else { *byte })
            .collect();
        lua.create_string(percent_decode(&spaced).collect::<Vec<u8>>())
    };
    native.raw_set("unescape_uri", lua.create_function(unescape)?)?;
    native.raw_set("encode_args", lua.create_function(encode_args)?)?;
    let decode = |lua: &Lua, (text, most): (LuaString, Option<usize>)| {
        arguments_table(lua, &text.as_bytes(), most.unwrap_or(MOST_ARGUMENTS))
    };
    native.raw_set("decode_args", lua.create_function(decode)?)?;
    Ok(())
}

/// How many arguments are read when nothing is said.
pub const MOST_ARGUMENTS: usize = 100;

/// Arguments as a table: a text each, a list of several, `true` for one without a value.
pub fn arguments_table(lua: &Lua, text: &[u8], most: usize) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    let most = if most == 0 { usize::MAX } else { most };
    for argument in arguments(text).take(most) {
        let name = lua.create_string(&*argument.name)?;
        let value = match argument.value {
            Some(value) => Value::String(lua.create_string(&*value)?),
            None => Value::Boolean(true),
        };
        add(lua, &table, name, value)?;
    }
    Ok(table)
}

/// Adds a value under a name; several become a list.
pub fn add(lua: &Lua, table: &Table, name: LuaString, value: Value) -> mlua::Result<()> {
    match table.raw_get::<Value>(&name)? {
        Value::Nil => table.raw_set(name, value),
        Value::Table(several) => several.raw_push(value),
        one => table.raw_set(name, lua.create_sequence_from([one, value])?),
    }
}

/// A query string of a table, by the names in their order.
fn encode_args(_: &Lua, table: Table) -> mlua::Result<String> {
    let mut pairs: Vec<(String, Value)> = Vec::new();
    for entry in table.pairs::<LuaString, Value>() {
        let (name, value) = entry?;
        pairs.push((
            percent_encode(&name.as_bytes(), URI_PART).to_string(),
            value,
        ));
    }
    pairs.sort_by(|left, right| left.0.cmp(&right.0));
    let mut out: Vec<String> = Vec::new();
    for (name, value) in &pairs {
        match value {
            Value::Table(several) => {
                for one in several.sequence_values::<Value>() {
                    out.extend(encode_arg(name, &one?)?);
                }
            }
            one => out.extend(encode_arg(name, one)?),
        }
    }
    Ok(out.join("&"))
}

fn encode_arg(name: &str, value: &Value) -> mlua::Result<Option<String>> {
    Ok(match value {
        Value::Boolean(true) => Some(name.to_owned()),
        Value::Boolean(false) => None,
        Value::String(text) => {
            let text = percent_encode(&text.as_bytes(), URI_PART).to_string();
            Some(format!("{name}={text}"))
        }
        Value::Integer(_) | Value::Number(_) => Some(format!("{name}={}", value.to_string()?)),
        other => {
            let kind = other.type_name();
            let reason = format!("a {kind} cannot stand in a query");
            return Err(mlua::Error::runtime(reason));
        }
    })
}

/// The values after the first one, which says that all went well.
pub fn well(values: impl IntoIterator<Item = Value>) -> MultiValue {
    std::iter::once(Value::Boolean(true))
        .chain(values)
        .collect()
}
