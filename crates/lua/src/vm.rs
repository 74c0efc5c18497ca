//! One machine a thread, and its limits.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use mlua::{
    ChunkMode, Function, HookTriggers, Lua, LuaOptions, MultiValue, StdLib, Table, Value, VmState,
};
use plugin_api::{LuaMode, UntrustedLua};

use crate::Error;
use crate::budget::{Budget, STEP};
use crate::cache::Compiled;
use crate::json::Marks;
use crate::native;
use crate::script::{Kind, Source};

/// What a machine may hold, in bytes.
const MEMORY: usize = 64 << 20;

const STRINGS: &str = include_str!("prelude/strings.lua");
const SANDBOX: &str = include_str!("prelude/sandbox.lua");
const KONG: &str = include_str!("prelude/kong.lua");
const NGX: &str = include_str!("prelude/ngx.lua");
const ENGINE: &str = include_str!("prelude/engine.lua");

thread_local! {
    /// A machine for each setting; a process has one setting, tests have several.
    static MACHINES: RefCell<Vec<(UntrustedLua, Rc<Vm>)>> = const { RefCell::new(Vec::new()) };
    /// The number of the next machine.
    static NUMBERS: Cell<u64> = const { Cell::new(1) };
}

/// A Lua machine with its prelude.
pub struct Vm {
    /// Tells the machines of a thread apart: what one has made is of no use to another.
    pub number: u64,
    pub lua: Lua,
    pub marks: Marks,
    compiled: Compiled,
    budget: Rc<Budget>,
    run: Function,
    prepare: Function,
    new_environment: Function,
    template_environment: Table,
}

impl Vm {
    /// The machine of this thread.
    pub fn of(settings: &UntrustedLua) -> Result<Rc<Self>, Error> {
        if settings.mode == LuaMode::Off {
            return Err(Error::Off);
        }
        MACHINES.with(|machines| {
            let known = machines.borrow();
            if let Some((_, vm)) = known.iter().find(|(of, _)| of == settings) {
                return Ok(vm.clone());
            }
            drop(known);
            let number = NUMBERS.with(|numbers| numbers.replace(numbers.get() + 1));
            let vm = Rc::new(Self::new(settings, number)?);
            machines.borrow_mut().push((settings.clone(), vm.clone()));
            Ok(vm)
        })
    }

    /// Frees what nobody needs. A machine that is as good as full all the same is given up, and with it what scripts kept
    /// in it: the next run gets a new one.
    fn make_room(&self) {
        let collected = self.lua.gc_collect();
        if collected.is_ok() && self.lua.used_memory() < MEMORY / 2 {
            return;
        }
        tracing::warn!("a Lua machine is full and is replaced; what functions kept in it is gone");
        MACHINES.with(|machines| {
            machines
                .borrow_mut()
                .retain(|(_, vm)| vm.number != self.number)
        });
    }

    fn new(settings: &UntrustedLua, number: u64) -> Result<Self, Error> {
        // Without the library `jit` nothing is compiled to machine code, so that the hook sees every instruction.
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS | StdLib::BIT;
        let lua = Lua::new_with(libraries, LuaOptions::default())?;
        lua.set_memory_limit(MEMORY)?;
        let budget = Rc::new(Budget::default());
        let (native, marks) = native::install(&lua, &budget)?;
        let part = |name: &str, code: &str| {
            let chunk = lua.load(code).set_name(format!("={name}"));
            chunk.set_mode(ChunkMode::Text).into_function()
        };
        let mode = match settings.mode {
            LuaMode::On => "on",
            _ => "sandbox",
        };
        let names = |names: &[Box<str>]| lua.create_sequence_from(names.iter().map(|name| &**name));
        let parts = (
            native,
            mode,
            names(&settings.requires)?,
            names(&settings.environment)?,
            part("sandbox", SANDBOX)?,
            part("kong", KONG)?,
            part("ngx", NGX)?,
        );
        part("strings", STRINGS)?.call::<()>(&parts.0)?;
        let (run, prepare, new_environment, template_environment, unknown) =
            part("engine", ENGINE)?
                .call::<(Function, Function, Function, Table, Vec<String>)>(parts)?;
        for name in unknown {
            tracing::warn!(
                "the setting untrusted_lua_sandbox_environment names '{name}', which there is not"
            );
        }
        let spent = budget.clone();
        let triggers = HookTriggers::new().every_nth_instruction(STEP);
        lua.set_global_hook(triggers, move |_, _| {
            let step = spent.spend().map_err(mlua::Error::runtime);
            step.map(|()| VmState::Continue)
        })?;
        Ok(Self {
            number,
            lua,
            marks,
            compiled: Compiled::default(),
            budget,
            run,
            prepare,
            new_environment,
            template_environment,
        })
    }

    /// The function of a source.
    pub fn function(&self, source: &Arc<Source>) -> Result<Function, Error> {
        let function = self.compiled.get(source, || {
            // What the last run has left is none of this one's business.
            self.budget.renew();
            let chunk = self.lua.load(&*source.code);
            let chunk = chunk.set_name(&*source.name).set_mode(ChunkMode::Text);
            match source.kind {
                Kind::Function => {
                    let environment: Table = self.new_environment.call(())?;
                    let function = chunk.set_environment(environment).into_function()?;
                    self.prepare.call(function)
                }
                Kind::Template => {
                    let environment = self.template_environment.clone();
                    chunk.set_environment(environment).into_function()
                }
            }
        });
        Ok(function?)
    }

    /// Runs a function while `host` answers what it asks of the gateway.
    pub fn run(&self, call: &Call<'_>, host: Function) -> Result<Value, Error> {
        self.budget.renew();
        let arguments = (
            host,
            &call.function,
            call.phase,
            &call.shared,
            &call.own,
            &call.ngx,
            call.values,
        );
        let results = self.run.call::<MultiValue>(arguments);
        if self.lua.used_memory() > MEMORY / 4 * 3 {
            self.make_room();
        }
        let mut results = results?;
        let ran = results.pop_front() == Some(Value::Boolean(true));
        let result = results.pop_front().unwrap_or(Value::Nil);
        if ran {
            return Ok(result);
        }
        Err(Error::Failed(match result {
            Value::String(reason) => reason.to_string_lossy(),
            other => other.to_string()?,
        }))
    }
}

/// A function, and the tables that it shares with others of its exchange.
pub struct Call<'a> {
    pub function: Function,
    pub phase: &'static str,
    /// `kong.ctx.shared`.
    pub shared: Table,
    /// `kong.ctx.plugin`.
    pub own: Table,
    /// `ngx.ctx`.
    pub ngx: Table,
    /// What templates have read of the request.
    pub values: Option<&'a Table>,
}
