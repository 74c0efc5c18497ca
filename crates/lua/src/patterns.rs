//! Regular expressions of `ngx.re`: matched in linear time, compiled once a thread.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use mlua::{Lua, Table};
use regex::bytes::{Regex, RegexBuilder};

/// The most expressions that a thread keeps compiled.
const MOST: usize = 512;
/// The most memory that one may take, in bytes.
const LARGEST: usize = 1 << 20;

/// Compiled expressions by their text and options.
#[derive(Default)]
pub struct Patterns(RefCell<HashMap<(String, String), Rc<Regex>>>);

impl Patterns {
    /// Looks for the first match at or after a place, which counts from one. `Ok(None)` if there is none.
    pub fn search(
        &self,
        lua: &Lua,
        subject: &[u8],
        pattern: &str,
        options: &str,
        from: usize,
    ) -> mlua::Result<Result<Option<Table>, String>> {
        let regex = match self.compiled(pattern, options) {
            Ok(regex) => regex,
            Err(reason) => return Ok(Err(reason)),
        };
        let start = from.saturating_sub(1);
        if start > subject.len() {
            return Ok(Ok(None));
        }
        let Some(found) = regex.captures_at(subject, start) else {
            return Ok(Ok(None));
        };
        let whole = found.get(0).map_or(start..start, |whole| whole.range());
        if options.contains('a') && whole.start != start {
            return Ok(Ok(None));
        }
        let groups = lua.create_table()?;
        let named = lua.create_table()?;
        let places = lua.create_table()?;
        for (at, name) in regex.capture_names().enumerate() {
            match found.get(at) {
                Some(group) => {
                    let text = lua.create_string(group.as_bytes())?;
                    groups.raw_set(at, &text)?;
                    let place = lua.create_sequence_from([group.start() + 1, group.end()])?;
                    places.raw_set(at, place)?;
                    if let Some(name) = name {
                        named.raw_set(name, text)?;
                    }
                }
                None => {
                    groups.raw_set(at, false)?;
                    if let Some(name) = name {
                        named.raw_set(name, false)?;
                    }
                }
            }
        }
        groups.raw_set("count", found.len() - 1)?;
        groups.raw_set("named", named)?;
        groups.raw_set("places", places)?;
        groups.raw_set("from", whole.start + 1)?;
        groups.raw_set("to", whole.end)?;
        Ok(Ok(Some(groups)))
    }

    fn compiled(&self, pattern: &str, options: &str) -> Result<Rc<Regex>, String> {
        let key = (pattern.to_owned(), options.to_owned());
        if let Some(known) = self.0.borrow().get(&key) {
            return Ok(known.clone());
        }
        let unknown = options
            .chars()
            .find(|option| !"adijmosuxDJU".contains(*option));
        if let Some(option) = unknown {
            return Err(format!("unknown flag \"{option}\" (flags \"{options}\")"));
        }
        let has = |option| options.contains(option);
        let regex = RegexBuilder::new(pattern)
            .case_insensitive(has('i'))
            .multi_line(has('m'))
            .dot_matches_new_line(has('s'))
            .ignore_whitespace(has('x'))
            .unicode(has('u'))
            .size_limit(LARGEST)
            .build()
            .map_err(|error| format!("the expression cannot be compiled: {error}"))?;
        let mut known = self.0.borrow_mut();
        if known.len() >= MOST {
            known.clear();
        }
        let regex = Rc::new(regex);
        known.insert(key, regex.clone());
        Ok(regex)
    }
}
