//! Connections: one bounded pool, one way to set a session up, and work that is tried again where that is safe.

use std::future::poll_fn;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::{
    Client, ClientWrapper, Hook, HookError, Manager, ManagerConfig, RecyclingMethod, Runtime,
};
use store::Error;
use tokio_postgres::AsyncMessage;
use tokio_postgres::config::{LoadBalanceHosts, TargetSessionAttrs};

use crate::failure::Failure;
use crate::options::Options;
use crate::table::quoted;
use crate::tls;

/// How often a piece of work is tried at most.
const MAX_ATTEMPTS: usize = 5;

/// Something to do on one connection that nobody else uses meanwhile, which can be done again from the start.
#[async_trait]
pub(crate) trait Work: Sync {
    type Output: Send;

    /// How many times longer it may take than a few statements do.
    fn length(&self) -> u32 {
        1
    }

    /// Whether it is done so rarely, and by nodes with nothing else to do, that its connection is not worth keeping.
    fn is_rare(&self) -> bool {
        false
    }

    async fn run(&self, client: &mut ClientWrapper) -> Result<Self::Output, Failure>;
}

/// Statements that each stand for themselves, so that others may use the connection at the same time.
#[async_trait]
pub(crate) trait Query: Sync {
    type Output: Send;

    async fn run(&self, client: &ClientWrapper) -> Result<Self::Output, Failure>;
}

#[async_trait]
impl<Q: Query> Work for Q {
    type Output = Q::Output;

    async fn run(&self, client: &mut ClientWrapper) -> Result<Self::Output, Failure> {
        Query::run(self, client).await
    }
}

/// How the connections of a node are used at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Connections {
    /// How many there may be.
    pub most: usize,
    /// How many there are.
    pub open: usize,
    /// How many of them nobody uses.
    pub idle: usize,
    /// How much work waits for one.
    pub waiting: usize,
}

/// The node's connections.
pub(crate) struct Pool {
    pool: deadpool_postgres::Pool,
    /// How long a piece of work of length one may take, whatever the server does.
    limit: Duration,
    keepalive: Duration,
}

impl Pool {
    /// How the connections are used at the moment.
    pub fn connections(&self) -> Connections {
        let status = self.pool.status();
        Connections {
            most: status.max_size,
            open: status.size,
            idle: status.available,
            waiting: status.waiting,
        }
    }

    pub(crate) fn new(options: &Options, target: TargetSessionAttrs) -> Result<Self, Error> {
        let manager = Manager::from_config(
            driver_config(options, target),
            tls::connector(&options.tls)?,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let size = match options.max_concurrent_queries {
            0 => options.pool_size,
            limit => options.pool_size.min(limit),
        };
        let session = session(options, options.timeout);
        let set_up = Hook::async_fn(move |client, _| {
            let session = session.clone();
            Box::pin(async move {
                let set = client.batch_execute(&session).await;
                set.map_err(HookError::Backend)
            })
        });
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(size.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(options.semaphore_timeout))
            .create_timeout(Some(connect_limit(options)))
            .post_create(set_up)
            .build()
            .map_err(|error| Error::Database(error.to_string()))?;
        Ok(Self {
            pool,
            limit: options.timeout.saturating_mul(2),
            keepalive: options.keepalive,
        })
    }

    /// Does the work on a connection; again on another one if the first turns out to be useless.
    pub(crate) async fn run<W: Work>(&self, work: &W) -> Result<W::Output, Error> {
        let limit = self.limit.saturating_mul(work.length());
        let mut attempt = 1;
        loop {
            let mut client = self.connection().await?;
            let failure = match tokio::time::timeout(limit, work.run(&mut client)).await {
                Ok(Ok(output)) => {
                    if work.is_rare() {
                        discard(client);
                    }
                    return Ok(output);
                }
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Broken(too_slow()),
            };
            match failure {
                Failure::Final(error) => return Err(error),
                Failure::Broken(error) => {
                    discard(client);
                    return Err(error);
                }
                Failure::Stale(error) => {
                    discard(client);
                    if attempt == MAX_ATTEMPTS {
                        return Err(error);
                    }
                    if attempt > 1 {
                        // After a fail-over the others lead to the same old server.
                        self.pool.retain(|_, _| false);
                    }
                    attempt += 1;
                }
            }
        }
    }

    /// A connection of the pool, opened if none is free.
    ///
    /// Opening one over a slow line can take longer than who asked for it is willing to wait. It goes on without them,
    /// and the connection is there for the next one who asks.
    async fn connection(&self) -> Result<Client, Error> {
        let pool = self.pool.clone();
        let opening = tokio::spawn(async move { pool.get().await });
        match opening.await {
            Ok(opened) => opened.map_err(Failure::from).map_err(Failure::into_error),
            Err(error) => Err(Error::Unavailable(error.to_string())),
        }
    }

    /// Closes connections that were idle for too long.
    pub(crate) fn close_idle(&self) {
        self.pool
            .retain(|_, metrics| metrics.last_used() < self.keepalive);
    }
}

/// Gives up on work that takes longer than `limit`.
pub(crate) async fn within<T, E>(
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, Error>
where
    Failure: From<E>,
{
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result.map_err(|error| Failure::from(error).into_error()),
        Err(_) => Err(too_slow()),
    }
}

pub(crate) fn too_slow() -> Error {
    Error::Unavailable("the database does not answer in time".to_owned())
}

/// Closes a connection instead of giving it back.
fn discard(client: Client) {
    drop(Client::take(client));
}

/// How long it may take to try all hosts.
fn connect_limit(options: &Options) -> Duration {
    let hosts = u32::try_from(options.hosts.len().max(1)).unwrap_or(u32::MAX);
    options.timeout.saturating_mul(hosts)
}

/// A connection outside the pool.
pub(crate) struct Dedicated {
    pub(crate) client: ClientWrapper,
}

/// Who is told what comes over a connection unasked.
pub(crate) trait Listener: Send + 'static {
    fn notified(&self, channel: &str, payload: &str);

    /// The connection is gone.
    fn ended(&self);
}

/// Nobody.
impl Listener for () {
    fn notified(&self, _: &str, _: &str) {}

    fn ended(&self) {}
}

impl Dedicated {
    /// Connects; `limit` is the longest that a statement may take on the server, zero for ever.
    pub(crate) async fn connect(
        options: &Options,
        limit: Duration,
        listener: impl Listener,
    ) -> Result<Self, Error> {
        let config = driver_config(options, TargetSessionAttrs::ReadWrite);
        let connecting = config.connect(tls::connector(&options.tls)?);
        let (client, mut connection) = within(connect_limit(options), connecting).await?;
        let driver = tokio::spawn(async move {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    Some(Ok(AsyncMessage::Notification(told))) => {
                        listener.notified(told.channel(), told.payload());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break,
                }
            }
            listener.ended();
        });
        let client = ClientWrapper::new(client, driver);
        let connected = Self { client };
        let session = session(options, limit);
        let set_up = connected.client.batch_execute(&session);
        within(options.timeout, set_up).await?;
        Ok(connected)
    }
}

fn driver_config(options: &Options, target: TargetSessionAttrs) -> tokio_postgres::Config {
    let mut config = tokio_postgres::Config::new();
    for (host, port) in &options.hosts {
        config.host(host).port(*port);
    }
    config
        .user(&options.user)
        .dbname(&options.database)
        .application_name("silverback")
        .ssl_mode(tls::mode(&options.tls))
        .connect_timeout(options.timeout)
        .tcp_user_timeout(options.timeout)
        .keepalives_idle(options.timeout.saturating_mul(3))
        .target_session_attrs(target)
        .load_balance_hosts(LoadBalanceHosts::Disable);
    if !options.password.is_empty() {
        config.password(options.password.expose());
    }
    config
}

/// What every session is told first; `limit` is the longest that a statement may take, zero for ever.
fn session(options: &Options, limit: Duration) -> String {
    let millis = limit.as_millis();
    let mut sql = format!(
        "SET client_min_messages = warning; SET TIME ZONE 'UTC'; SET statement_timeout = {millis}; \
         SET idle_in_transaction_session_timeout = {millis};"
    );
    if let Some(schema) = &options.schema {
        sql.push_str(&format!(" SET search_path TO {};", quoted(schema)));
    }
    sql
}
