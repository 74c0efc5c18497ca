//! One connection to one node.

use parking_lot::Mutex;
use plugin_api::{Destination, RedisSettings, TlsOptions};
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, FromRedisValue, RedisConnectionInfo, RedisResult,
    Script, ServerErrorKind, Value, cmd,
};
use tokio::task::AbortHandle;

use super::{Call, Error};
use crate::network::Connections;

/// A connection that many use at the same time; closed when it is dropped.
pub(super) struct Link {
    connection: MultiplexedConnection,
    driver: AbortHandle,
    /// The names that this node's scripts have, by their text.
    scripts: Mutex<Vec<(&'static str, String)>>,
    /// The name by which it was sought.
    pub(super) host: String,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Link {
    /// Connects to a node, with the user and password of the settings if `login`, and without choosing a database.
    pub(super) async fn open(
        connections: &Connections,
        settings: &RedisSettings,
        host: &str,
        port: u16,
        login: bool,
    ) -> Result<Self, Error> {
        let to = Destination {
            host: host.to_owned(),
            port,
        };
        let tls = settings.ssl.then(|| TlsOptions {
            server_name: settings.server_name.clone(),
            verify: settings.ssl_verify,
        });
        let opened = connections.open(&to, tls.as_ref(), settings.timeout).await;
        let stream = opened.map_err(|error| Error::Connect(error.to_string()))?;
        let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
        if login && !settings.password.is_empty() {
            info = info.set_password(settings.password.expose());
            if let Some(user) = settings.username.as_deref().filter(|user| !user.is_empty()) {
                info = info.set_username(user);
            }
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(settings.timeout));
        let handshake = MultiplexedConnection::new_with_config(&info, stream, config);
        let connected = tokio::time::timeout(settings.timeout, handshake).await;
        let (connection, driver) =
            connected.map_err(|_| Error::Connect("timeout".to_owned()))??;
        Ok(Self {
            connection,
            driver: tokio::spawn(driver).abort_handle(),
            scripts: Mutex::default(),
            host: to.host,
        })
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        command.query_async(&mut self.connection.clone()).await
    }

    pub(super) async fn ping(&self) -> RedisResult<()> {
        self.ask::<String>(&cmd("PING")).await.map(drop)
    }

    /// Runs a script; its text is sent only if the node does not know it.
    pub(super) async fn eval(&self, call: &Call) -> RedisResult<Value> {
        let name = self.script(call.script);
        let by_name = self.ask(&call.command("EVALSHA", &name)).await;
        match by_name {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.ask(&call.command("EVAL", call.script)).await
            }
            answer => answer,
        }
    }

    /// Runs a script whose keys are on their way to this node from another one.
    pub(super) async fn eval_moving(&self, call: &Call) -> RedisResult<Value> {
        let mut both = redis::pipe();
        both.cmd("ASKING").ignore();
        both.add_command(call.command("EVAL", call.script));
        let (answer,) = both.query_async(&mut self.connection.clone()).await?;
        Ok(answer)
    }

    fn script(&self, text: &'static str) -> String {
        let mut scripts = self.scripts.lock();
        if let Some((_, name)) = scripts.iter().find(|(known, _)| std::ptr::eq(*known, text)) {
            return name.clone();
        }
        let name = Script::new(text).get_hash().to_owned();
        scripts.push((text, name.clone()));
        name
    }
}

impl Call {
    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(self.keys.len());
        command.arg(&self.keys).arg(&self.arguments);
        command
    }
}
