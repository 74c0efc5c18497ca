//! What pre-function and post-function are: Lua functions by phase.

use std::sync::Arc;

use bytes::Bytes;
use lua::{Greeting, Scene, Script, Stage};
use plugin_api::{
    By, Configured, Entity, Exchange, Failure, Flow, Handler, Handshake, Needs, Phase, Phases,
    Reply, ResponseHead, Services, Step, Summary,
};
use schema::Field;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// The configuration: a list of functions for each phase. `check` says whether one is Lua.
pub fn config(check: fn(&Value) -> Result<(), String>) -> Field {
    let functions = |description| {
        let function = Field::string("").optional().custom(check);
        Field::array(description, function)
            .required()
            .default(Vec::<Value>::new())
    };
    Field::record(
        "The settings of the plugin.",
        vec![
            (
                "certificate",
                functions("Functions to run while the client's TLS handshake is served."),
            ),
            (
                "rewrite",
                functions("Functions to run before the route is sought."),
            ),
            (
                "access",
                functions("Functions to run before the upstream is asked."),
            ),
            (
                "header_filter",
                functions("Functions to run on the head of the answer."),
            ),
            (
                "body_filter",
                functions("Functions to run on each piece of the answer's body."),
            ),
            ("log", functions("Functions to run after the exchange.")),
        ],
    )
    .required()
}

/// Whether a function is Lua, in the words of the plugin that has it.
pub fn check(plugin: &str, function: &Value) -> Result<(), String> {
    let code = function.as_str().unwrap_or_default();
    lua::check_syntax(code).map_err(|error| format!("error parsing {plugin}: {error}"))
}

#[derive(Deserialize)]
struct Config {
    certificate: Vec<String>,
    rewrite: Vec<String>,
    access: Vec<String>,
    header_filter: Vec<String>,
    body_filter: Vec<String>,
    log: Vec<String>,
}

struct Functions {
    plugin: &'static str,
    id: Uuid,
    certificate: Vec<Script>,
    rewrite: Vec<Script>,
    access: Vec<Script>,
    header_filter: Vec<Script>,
    body_filter: Vec<Script>,
    log: Vec<Script>,
    /// Whether a function asks for the records of the route or the service, which are looked up before it runs.
    wants_records: bool,
    services: Services,
}

/// The handler of a record of either plugin.
///
/// # Errors
/// When a function is no Lua, or when the settings allow none.
pub fn build(
    plugin: &'static str,
    record: &Configured<'_>,
    services: &Services,
) -> Result<Arc<dyn Handler>, Failure> {
    let config: Config = record.read()?;
    let settings = &services.node.lua;
    let scripts = |functions: &[String]| {
        let functions = functions.iter().filter(|code| !code.is_empty());
        let scripts = functions.map(|code| Script::new(code, settings));
        scripts.collect::<Result<Vec<_>, _>>()
    };
    let all = [
        &config.access,
        &config.header_filter,
        &config.body_filter,
        &config.log,
    ];
    let wants_records = all
        .into_iter()
        .flatten()
        .any(|code| code.contains("kong.router"));
    Ok(Arc::new(Functions {
        plugin,
        id: record.id,
        certificate: scripts(&config.certificate)?,
        rewrite: scripts(&config.rewrite)?,
        access: scripts(&config.access)?,
        header_filter: scripts(&config.header_filter)?,
        body_filter: scripts(&config.body_filter)?,
        log: scripts(&config.log)?,
        wants_records,
        services: services.clone(),
    }))
}

impl Handler for Functions {
    fn needs(&self) -> Needs {
        let mut phases = Phases::default();
        let body = !self.body_filter.is_empty();
        for (phase, works) in [
            (Phase::Certificate, !self.certificate.is_empty()),
            (Phase::Rewrite, !self.rewrite.is_empty()),
            (Phase::Access, !self.access.is_empty() || self.wants_records),
            (Phase::HeaderFilter, !self.header_filter.is_empty() || body),
            (Phase::BodyFilter, body),
            (Phase::Log, !self.log.is_empty()),
        ] {
            if works {
                phases = phases.union(Phases::of(&[phase]));
            }
        }
        let mut in_order = self.access.iter().chain(&self.log);
        Needs {
            phases,
            request_body: in_order.any(|script| script.mentions("body")),
            changes_length: body,
            answer_head: !self.log.is_empty(),
            ..Needs::default()
        }
    }

    fn certificate(&self, handshake: &mut Handshake<'_>) -> Result<(), Failure> {
        let mut greeting = Greeting {
            handshake,
            services: &self.services,
            plugin: self.plugin,
            plugin_id: self.id,
        };
        for script in &self.certificate {
            script.run_in_handshake(&mut greeting)?;
        }
        Ok(())
    }

    fn rewrite<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        let ran = self.run(&self.rewrite, exchange, || Stage::Rewrite);
        Step::Now(ran.map(flow))
    }

    fn access<'a>(&'a self, exchange: &'a mut Exchange<'_>) -> Step<'a> {
        if !self.wants_records {
            let ran = self.run(&self.access, exchange, || Stage::Access);
            return Step::Now(ran.map(flow));
        }
        Step::later(async move {
            self.look_up("routes", exchange.matched.route).await;
            self.look_up("services", exchange.matched.service).await;
            let ran = self.run(&self.access, exchange, || Stage::Access);
            ran.map(flow)
        })
    }

    fn header_filter(
        &self,
        exchange: &mut Exchange<'_>,
        head: &mut ResponseHead,
    ) -> Result<(), Failure> {
        for script in &self.header_filter {
            self.run_one(script, exchange, Stage::HeaderFilter(head))?;
        }
        if !self.body_filter.is_empty() {
            lua::see(exchange, head);
        }
        Ok(())
    }

    fn body_filter(
        &self,
        exchange: &mut Exchange<'_>,
        piece: &mut Bytes,
        last: bool,
    ) -> Result<(), Failure> {
        for script in &self.body_filter {
            self.run_one(script, exchange, Stage::BodyFilter { piece, last })?;
        }
        Ok(())
    }

    fn log(&self, exchange: &mut Exchange<'_>, summary: &Summary<'_>) {
        for script in &self.log {
            if let Err(failure) = self.run_one(script, exchange, Stage::Log(summary)) {
                let plugin = self.plugin;
                tracing::error!(plugin, plugin_id = %self.id, "a function failed in log: {failure}");
                return;
            }
        }
    }
}

fn flow(reply: Option<Reply>) -> Flow {
    reply.map_or(Flow::Next, Flow::from)
}

impl Functions {
    /// Runs functions one after the other, until one answers.
    fn run<'s>(
        &self,
        scripts: &[Script],
        exchange: &mut Exchange<'_>,
        stage: impl Fn() -> Stage<'s>,
    ) -> Result<Option<Reply>, Failure> {
        for script in scripts {
            let reply = self.run_one(script, exchange, stage())?;
            if reply.is_some() {
                return Ok(reply);
            }
        }
        Ok(None)
    }

    fn run_one(
        &self,
        script: &Script,
        exchange: &mut Exchange<'_>,
        stage: Stage<'_>,
    ) -> Result<Option<Reply>, Failure> {
        let mut scene = Scene {
            exchange,
            services: &self.services,
            plugin: self.plugin,
            plugin_id: self.id,
            stage,
        };
        Ok(script.run(&mut scene)?)
    }

    /// Lets a record be at hand when a function asks for it.
    async fn look_up(&self, entity: &'static str, of: Option<Entity<'_>>) {
        if let Some(of) = of {
            // Out of reach, the function gets the names alone.
            let _ = self
                .services
                .records
                .find(entity, By::Id(of.id))
                .get()
                .await;
        }
    }
}
