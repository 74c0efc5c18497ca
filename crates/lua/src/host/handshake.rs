//! Questions of code that runs in a TLS handshake, where there is no request.

use mlua::{Lua, MultiValue};
use plugin_api::Handshake;

use super::client::{ip, port};
use super::{Answer, Words, clock, log, maybe, node, said, text, told};
use crate::scene::Greeting;

/// Answers the questions of one run.
pub struct HandshakeHost<'h, 's, 'e> {
    scene: &'h mut Greeting<'s, 'e>,
    is_refused: bool,
}

impl<'h, 's, 'e> HandshakeHost<'h, 's, 'e> {
    pub fn new(scene: &'h mut Greeting<'s, 'e>) -> Self {
        Self {
            scene,
            is_refused: false,
        }
    }

    /// Answers one question.
    pub fn answer(&mut self, lua: &Lua, question: MultiValue) -> mlua::Result<MultiValue> {
        let (topic, mut words) = Words::of(question);
        let decided = self.decide(lua, &topic, &mut words);
        told(lua, decided)
    }

    /// Whether the code ended the handshake.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    fn decide(&mut self, lua: &Lua, topic: &str, words: &mut Words) -> Answer {
        let Greeting {
            handshake,
            services,
            plugin,
            plugin_id,
        } = &mut *self.scene;
        match topic {
            "tls.server_name" => return maybe(lua, handshake.server_name),
            "tls.ask_client" => handshake.asks_client = true,
            "tls.forget" => handshake.is_resumable = false,
            "ngx_exit" => self.is_refused = true,
            "client" => return client(handshake, lua, &words.text()?),
            "node" => return node(&services.node, lua, &words.text()?),
            "plugin.id" => return text(lua, plugin_id.to_string()),
            "clock" => return clock(services),
            "log" => return log(plugin, words),
            _ => return Err(said("function cannot be called in certificate phase")),
        }
        Ok(Vec::new())
    }
}

fn client(handshake: &Handshake<'_>, lua: &Lua, what: &str) -> Answer {
    match what {
        "ip" => ip(lua, handshake.peer),
        "forwarded_ip" => ip(lua, handshake.client),
        "port" => port(handshake.peer),
        "forwarded_port" => port(handshake.client),
        _ => Err(said("function cannot be called in certificate phase")),
    }
}
