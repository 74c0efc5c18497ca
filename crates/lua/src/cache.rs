//! What a thread has compiled, by the numbers of scripts.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, Weak};

use mlua::Function;

use crate::script::Source;

/// Compiled scripts, each for as long as somebody holds its source.
#[derive(Default)]
pub struct Compiled(RefCell<HashMap<usize, (Weak<Source>, Function)>>);

impl Compiled {
    /// The function of a source, made by `compile` if this thread runs it first.
    pub fn get(
        &self,
        source: &Arc<Source>,
        compile: impl FnOnce() -> mlua::Result<Function>,
    ) -> mlua::Result<Function> {
        let key = Arc::as_ptr(source).addr();
        if let Some((of, function)) = self.0.borrow().get(&key) {
            // Another source may have got the address of one that is gone.
            if of.strong_count() > 0 {
                return Ok(function.clone());
            }
        }
        let function = compile()?;
        let mut known = self.0.borrow_mut();
        known.retain(|_, (of, _)| of.strong_count() > 0);
        known.insert(key, (Arc::downgrade(source), function.clone()));
        Ok(function)
    }
}
