//! JSON and Lua values, with the conventions of the module that Lua code on Kong uses.

use mlua::{Lua, String as LuaString, Table, Value};
use serde_json::{Map, Number, Value as Json};

/// How deep values may be nested.
const DEEPEST: usize = 200;

/// How many holes make a table no list any more, as a share of its entries.
const SPARSE: usize = 10;

/// The metatables that tell lists from other tables.
#[derive(Clone)]
pub struct Marks {
    /// Of tables that are lists whatever they hold.
    pub array: Table,
    /// Of tables that are lists when they are empty.
    pub empty_array: Table,
}

/// A Lua value for a JSON one.
pub fn to_lua(lua: &Lua, marks: &Marks, value: &Json) -> mlua::Result<Value> {
    Ok(match value {
        Json::Null => Value::NULL,
        Json::Bool(truth) => Value::Boolean(*truth),
        Json::Number(number) => Value::Number(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Value::String(lua.create_string(text)?),
        Json::Array(items) => {
            let table = lua.create_table_with_capacity(items.len(), 0)?;
            for item in items {
                table.raw_push(to_lua(lua, marks, item)?)?;
            }
            table.set_metatable(Some(marks.array.clone()))?;
            Value::Table(table)
        }
        Json::Object(members) => {
            let table = lua.create_table_with_capacity(0, members.len())?;
            for (name, member) in members {
                table.raw_set(name.as_str(), to_lua(lua, marks, member)?)?;
            }
            Value::Table(table)
        }
    })
}

/// A record for Lua code, which sees what is null as absent.
pub fn record_to_lua(lua: &Lua, marks: &Marks, record: &Map<String, Json>) -> mlua::Result<Table> {
    let table = lua.create_table_with_capacity(0, record.len())?;
    for (name, value) in record.iter().filter(|(_, value)| !value.is_null()) {
        table.raw_set(name.as_str(), to_lua(lua, marks, value)?)?;
    }
    Ok(table)
}

/// A JSON value for a Lua one.
///
/// # Errors
/// Why there is none, for the code to read.
pub fn from_lua(marks: &Marks, value: &Value) -> Result<Json, String> {
    convert(marks, value, 0)
}

fn convert(marks: &Marks, value: &Value, depth: usize) -> Result<Json, String> {
    if depth > DEEPEST {
        return Err("Cannot serialise, excessive depth".to_owned());
    }
    Ok(match value {
        Value::Nil => Json::Null,
        Value::LightUserData(pointer) if pointer.0.is_null() => Json::Null,
        Value::Boolean(truth) => Json::Bool(*truth),
        Value::Integer(number) => Json::from(*number),
        Value::Number(number) => number_json(*number)?,
        Value::String(text) => Json::String(text_of(text)),
        Value::Table(table) => return table_json(marks, table, depth),
        other => {
            let kind = other.type_name();
            return Err(format!("Cannot serialise {kind}: type not supported"));
        }
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "only whole numbers that a float holds exactly are converted"
)]
fn number_json(number: f64) -> Result<Json, String> {
    const EXACT: f64 = (1_u64 << 53) as f64;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Ok(Json::from(number as i64));
    }
    let number = Number::from_f64(number);
    number
        .map(Json::Number)
        .ok_or_else(|| "Cannot serialise number: must not be NaN or Infinity".to_owned())
}

fn text_of(text: &LuaString) -> String {
    String::from_utf8_lossy(&text.as_bytes()).into_owned()
}

fn table_json(marks: &Marks, table: &Table, depth: usize) -> Result<Json, String> {
    let failed = |error: mlua::Error| error.to_string();
    let mark = table.metatable();
    let marked = |of: &Table| mark.as_ref() == Some(of);
    let mut entries = Vec::new();
    let mut longest = 0;
    let mut list = true;
    for entry in table.pairs::<Value, Value>() {
        let (key, value) = entry.map_err(failed)?;
        match place(&key) {
            Some(at) => longest = longest.max(at),
            None => list = false,
        }
        entries.push((key, value));
    }
    if entries.is_empty() {
        let empty_list = marked(&marks.array) || marked(&marks.empty_array);
        return Ok(if empty_list {
            Json::Array(Vec::new())
        } else {
            Json::Object(Map::new())
        });
    }
    if list {
        if longest > SPARSE && longest > entries.len().saturating_mul(2) {
            return Err("Cannot serialise table: excessively sparse array".to_owned());
        }
        let mut items = vec![Json::Null; longest];
        for (key, value) in &entries {
            let slot = place(key).and_then(|at| items.get_mut(at - 1));
            if let Some(slot) = slot {
                *slot = convert(marks, value, depth + 1)?;
            }
        }
        return Ok(Json::Array(items));
    }
    let mut members = Map::new();
    for (key, value) in &entries {
        let name = match key {
            Value::String(name) => text_of(name),
            Value::Integer(number) => number.to_string(),
            Value::Number(number) => number_json(*number)?.to_string(),
            _ => {
                return Err(
                    "Cannot serialise table: table key must be a number or string".to_owned(),
                );
            }
        };
        members.insert(name, convert(marks, value, depth + 1)?);
    }
    Ok(Json::Object(members))
}

/// The place in a list that a key is, from one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is whole, positive and small"
)]
fn place(key: &Value) -> Option<usize> {
    const MOST: f64 = 1e9;
    match key {
        Value::Integer(number) => usize::try_from(*number).ok().filter(|at| *at > 0),
        Value::Number(number) if number.fract() == 0.0 && (1.0..=MOST).contains(number) => {
            Some(*number as usize)
        }
        _ => None,
    }
}
