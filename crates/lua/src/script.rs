//! Code of a configuration, ready to run on any thread.

use std::sync::Arc;

use mlua::{Table, Value};
use plugin_api::{LuaMode, Phase, Reply, UntrustedLua};

use crate::host::{HandshakeHost, Host};
use crate::scene::{Greeting, Scene};
use crate::vm::{Call, Vm};
use crate::{Error, json};

/// A function of a configuration. Copies share what it keeps between runs, which each thread has for itself.
#[derive(Debug, Clone)]
pub struct Script {
    source: Arc<Source>,
    settings: Arc<UntrustedLua>,
}

/// The text of a script.
#[derive(Debug)]
pub struct Source {
    pub code: Box<str>,
    /// What errors call it.
    pub name: Box<str>,
    pub kind: Kind,
}

/// What globals a script has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Function,
    Template,
}

/// What templates have read of a request, for the templates that are filled in after them.
#[derive(Debug, Default)]
pub struct Values(Option<(u64, Table)>);

/// The tables of an exchange, `kong.ctx.shared` and `ngx.ctx`, with the number of the machine that made them.
#[derive(Default)]
struct Common(Option<(u64, Table, Table)>);

/// The table of a plugin's record, `kong.ctx.plugin`, with the number of the machine that made it.
#[derive(Default)]
struct Own(Option<(u64, Table)>);

impl Script {
    /// A function with this body. It is compiled by each thread that runs it.
    ///
    /// # Errors
    /// When the settings allow no such code, or when it is no Lua.
    pub fn new(code: &str, settings: &UntrustedLua) -> Result<Self, Error> {
        crate::check_syntax(code).map_err(Error::Failed)?;
        Self::of(code, code, Kind::Function, settings)
    }

    pub(crate) fn of(
        code: &str,
        name: &str,
        kind: Kind,
        settings: &UntrustedLua,
    ) -> Result<Self, Error> {
        if settings.mode == LuaMode::Off {
            return Err(Error::Off);
        }
        let source = Source {
            code: code.into(),
            name: name.into(),
            kind,
        };
        Ok(Self {
            source: Arc::new(source),
            settings: Arc::new(settings.clone()),
        })
    }

    /// Whether the code mentions a word, such as a function that needs preparation.
    pub fn mentions(&self, word: &str) -> bool {
        self.source.code.contains(word)
    }

    /// Runs the function. An answer is what the function said to the client instead of the upstream.
    ///
    /// # Errors
    /// When the function fails or reaches a limit.
    pub fn run(&self, scene: &mut Scene<'_, '_>) -> Result<Option<Reply>, Error> {
        let vm = Vm::of(&self.settings)?;
        let (_, reply) = self.call(&vm, scene, None)?;
        Ok(reply)
    }

    /// Runs the function in a TLS handshake.
    ///
    /// # Errors
    /// When the function fails, reaches a limit, or ends the handshake.
    pub fn run_in_handshake(&self, scene: &mut Greeting<'_, '_>) -> Result<(), Error> {
        let vm = Vm::of(&self.settings)?;
        let call = Call {
            function: vm.function(&self.source)?,
            phase: Phase::Certificate.name(),
            shared: vm.lua.create_table()?,
            own: vm.lua.create_table()?,
            ngx: vm.lua.create_table()?,
            values: None,
        };
        let mut host = HandshakeHost::new(scene);
        let mut outcome = Err(Error::Failed(String::new()));
        vm.lua.scope(|scope| {
            let ask = scope.create_function_mut(|lua, question| host.answer(lua, question))?;
            outcome = vm.run(&call, ask);
            Ok(())
        })?;
        outcome?;
        if host.is_refused() {
            return Err(Error::Failed("the function ended the handshake".to_owned()));
        }
        Ok(())
    }

    /// Runs the function for what it returns; `None` for `nil`.
    ///
    /// # Errors
    /// When the function fails, reaches a limit, or returns what JSON has no word for.
    pub fn evaluate(&self, scene: &mut Scene<'_, '_>) -> Result<Option<serde_json::Value>, Error> {
        let vm = Vm::of(&self.settings)?;
        let (value, _) = self.call(&vm, scene, None)?;
        if value.is_nil() {
            return Ok(None);
        }
        json::from_lua(&vm.marks, &value)
            .map(Some)
            .map_err(Error::Failed)
    }

    /// Runs a template's function; its text.
    pub(crate) fn fill(
        &self,
        scene: &mut Scene<'_, '_>,
        values: &mut Values,
    ) -> Result<Vec<u8>, Error> {
        let vm = Vm::of(&self.settings)?;
        let table = match &values.0 {
            Some((of, table)) if *of == vm.number => table.clone(),
            _ => values
                .0
                .insert((vm.number, vm.lua.create_table()?))
                .1
                .clone(),
        };
        let (value, _) = self.call(&vm, scene, Some(&table))?;
        let text = vm.lua.coerce_string(value)?;
        Ok(text
            .map(|text| text.as_bytes().to_vec())
            .unwrap_or_default())
    }

    fn call(
        &self,
        vm: &Vm,
        scene: &mut Scene<'_, '_>,
        values: Option<&Table>,
    ) -> Result<(Value, Option<Reply>), Error> {
        let number = vm.number;
        let (shared, ngx) = match &scene.exchange.work.common_state::<Common>().0 {
            Some((of, shared, ngx)) if *of == number => (shared.clone(), ngx.clone()),
            _ => {
                let (shared, ngx) = (vm.lua.create_table()?, vm.lua.create_table()?);
                let tables = (number, shared.clone(), ngx.clone());
                scene.exchange.work.common_state::<Common>().0 = Some(tables);
                (shared, ngx)
            }
        };
        let own = match &scene.exchange.work.state::<Own>().0 {
            Some((of, own)) if *of == number => own.clone(),
            _ => {
                let own = vm.lua.create_table()?;
                scene.exchange.work.state::<Own>().0 = Some((number, own.clone()));
                own
            }
        };
        let call = Call {
            function: vm.function(&self.source)?,
            phase: scene.stage.phase().name(),
            shared,
            own,
            ngx,
            values,
        };
        let mut host = Host::new(scene, &vm.marks);
        let mut outcome = Err(Error::Failed(String::new()));
        vm.lua.scope(|scope| {
            let ask = scope.create_function_mut(|lua, question| host.answer(lua, question))?;
            outcome = vm.run(&call, ask);
            Ok(())
        })?;
        let reply = host.into_reply();
        Ok((outcome?, reply))
    }
}
