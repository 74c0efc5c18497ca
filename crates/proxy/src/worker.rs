//! A worker: one thread that accepts connections and serves them, and the handle by which the node rules it.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use net::Stream;
use net::listen::{Listener, WorkerListener};
use tokio::runtime::LocalOptions;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::spawn_local;

use crate::accept;
use crate::deadline::TICK;
use crate::local::Local;
use crate::published::Shared;
use crate::stats::Held;

/// What a worker begins with.
#[derive(Debug)]
pub struct WorkerConfig {
    /// Its number, for the name of its thread.
    pub index: usize,
    pub shared: Arc<Shared>,
    pub listeners: Vec<WorkerListener>,
}

/// A running worker. Dropping the handle stops it.
#[derive(Debug)]
pub struct Worker {
    orders: mpsc::Sender<Order>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Order {
    Listen(Vec<WorkerListener>),
    Retire,
    Drain(Duration),
    Stop,
}

impl Worker {
    /// Starts a thread with a runtime of its own. Connections that come before it is up wait in the accept queue.
    pub fn spawn(config: WorkerConfig) -> io::Result<Self> {
        const ORDERS: usize = 16;
        let (orders, inbox) = mpsc::channel(ORDERS);
        let WorkerConfig {
            index,
            shared,
            listeners,
        } = config;
        let thread = std::thread::Builder::new().name(format!("worker-{index}"));
        let (built, is_built) = std::sync::mpsc::channel();
        let thread = thread.spawn(move || {
            // Perf: a runtime of local tasks, which costs less for each wake-up than a set of them in another runtime.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build_local(LocalOptions::default());
            let (runtime, built_with) = match runtime {
                Ok(runtime) => (Some(runtime), Ok(())),
                Err(error) => (None, Err(error)),
            };
            // Nobody listens if the node is ending.
            let _ = built.send(built_with);
            if let Some(runtime) = runtime {
                runtime.block_on(run(shared, listeners, inbox));
            }
        })?;
        is_built
            .recv()
            .map_err(|_| io::Error::other("a worker ended while it started"))??;
        Ok(Self {
            orders,
            thread: Some(thread),
        })
    }

    /// Accepts from these listeners from now on; connections of the old ones go on.
    pub fn replace_listeners(&self, listeners: Vec<WorkerListener>) {
        self.order(Order::Listen(listeners));
    }

    /// Stops accepting, serves the connections that it has as if nothing were, and ends when the last of them has ended.
    pub fn retire(&self) {
        self.order(Order::Retire);
    }

    /// Stops accepting, lets the exchanges under way finish, and ends when the last one has or the deadline passes.
    ///
    /// A connection that waits for a request is kept for the grace of the settings, for a load balancer may have sent one
    /// already; its answer says that the connection ends.
    pub fn drain(&self, deadline: Duration) {
        self.order(Order::Drain(deadline));
    }

    /// Ends at once.
    pub fn stop(&self) {
        self.order(Order::Stop);
    }

    /// Whether the thread has ended.
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the worker has ended but for its last breath. Cancel safe.
    pub async fn finished(&self) {
        self.orders.closed().await;
    }

    /// Waits for the thread to end. Blocks.
    pub fn join(mut self) {
        if self
            .thread
            .take()
            .is_some_and(|thread| thread.join().is_err())
        {
            tracing::error!("a worker ended with a panic");
        }
    }

    fn order(&self, order: Order) {
        // One that has ended has nothing left to carry out.
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send(order) {
            tracing::warn!("a worker has too many orders to carry out, one is lost");
        }
    }
}

/// The connections of a worker that are open.
#[derive(Debug, Default)]
struct Open {
    count: Cell<usize>,
    fell: Notify,
}

/// Counts a connection for as long as its task lives.
struct Counted(Rc<Open>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.count.set(self.0.count.get() - 1);
        self.0.fell.notify_one();
    }
}

async fn run(
    shared: Arc<Shared>,
    listeners: Vec<WorkerListener>,
    mut orders: mpsc::Receiver<Order>,
) {
    let local = Local::new(shared);
    let open = Rc::new(Open::default());
    spawn_local(keep_house(local.clone()));
    let mut accepting = Accepting::from(&local, &open, listeners);
    let mut retired = false;
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            () = all_closed(&open), if retired => break,
        };
        match order {
            Some(Order::Listen(listeners)) => {
                let replacement = Accepting::from(&local, &open, listeners);
                std::mem::replace(&mut accepting, replacement).stop().await;
            }
            Some(Order::Retire) => {
                std::mem::take(&mut accepting).stop().await;
                retired = true;
            }
            Some(Order::Drain(deadline)) => {
                local.drain();
                accepting.stop().await;
                spawn_local(close_idle_after_grace(local.clone()));
                break end_in_order(&open, deadline, &mut orders).await;
            }
            Some(Order::Stop) | None => break,
        }
    }
    local.housekeep();
}

/// Waits for the connections that are left, until the deadline or an order to end at once.
async fn end_in_order(open: &Open, deadline: Duration, orders: &mut mpsc::Receiver<Order>) {
    let stopped = async {
        while let Some(order) = orders.recv().await {
            match order {
                Order::Stop => return,
                Order::Listen(_) | Order::Retire | Order::Drain(_) => {
                    tracing::warn!("a worker that ends takes no other orders")
                }
            }
        }
    };
    let over = tokio::select! {
        over = tokio::time::timeout(deadline, all_closed(open)) => over.is_ok(),
        () = stopped => false,
    };
    if !over {
        tracing::warn!(
            connections = open.count.get(),
            "a worker ends before its connections; they are cut"
        );
    }
}

async fn all_closed(open: &Open) {
    while open.count.get() > 0 {
        open.fell.notified().await;
    }
}

/// Idle connections get no more time once a load balancer must have noticed that this worker ends.
async fn close_idle_after_grace(local: Rc<Local>) {
    let grace = local.published().settings.limits.quit_grace;
    tokio::time::sleep(grace).await;
    local.close_idle();
}

/// The tasks that accept connections.
#[derive(Default)]
struct Accepting {
    tasks: Vec<tokio::task::JoinHandle<()>>,
    /// Dropped to end them.
    go_on: Option<watch::Sender<()>>,
}

impl Accepting {
    fn from(local: &Rc<Local>, open: &Rc<Open>, listeners: Vec<WorkerListener>) -> Self {
        let (go_on, end) = watch::channel(());
        let mut tasks = Vec::with_capacity(listeners.len());
        for listener in listeners {
            match listener.into_listener() {
                Ok(listener) => tasks.push(spawn_local(accept_from(
                    local.clone(),
                    open.clone(),
                    listener,
                    end.clone(),
                ))),
                Err(error) => tracing::error!(%error, "a worker cannot take over a listener"),
            }
        }
        Self {
            tasks,
            go_on: Some(go_on),
        }
    }

    /// Accepts what is in the queues, closes the sockets, and returns when that is done.
    async fn stop(self) {
        drop(self.go_on);
        for task in self.tasks {
            // One that ended with a panic has closed its socket as well.
            let _ = task.await;
        }
    }
}

async fn accept_from(
    local: Rc<Local>,
    open: Rc<Open>,
    listener: Listener,
    mut end: watch::Receiver<()>,
) {
    const SHORTAGE: Duration = Duration::from_millis(500);
    let flags = accept::Flags::of(listener.spec());
    let mut ended = pin!(end.changed());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut ended => break,
        };
        match accepted {
            Ok(stream) => start(&local, &open, flags, stream),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                if net::listen::is_shortage(&error)
                    && tokio::time::timeout(SHORTAGE, &mut ended).await.is_ok()
                {
                    break;
                }
            }
        }
    }
    for stream in listener.close() {
        start(&local, &open, flags, stream);
    }
}

fn start(local: &Rc<Local>, open: &Rc<Open>, flags: accept::Flags, stream: Stream) {
    open.count.set(open.count.get() + 1);
    let counted = Counted(open.clone());
    local.stats.accepted.add();
    local.stats.handled.add();
    let active = Held::new(&local.stats, |shard| &shard.active);
    let mut serving = accept::serve(local.clone(), stream, flags);
    spawn_local(async move {
        let served = crate::panics::caught(serving.as_mut()).await;
        if served.is_none() {
            tracing::error!("a connection ended with a panic");
        }
        drop((active, counted));
    });
}

/// Ticks while something has a deadline, and looks around every second otherwise.
async fn keep_house(local: Rc<Local>) {
    const IDLE: Duration = Duration::from_secs(1);
    let ticks_a_second = u32::try_from(IDLE.as_millis() / TICK.as_millis()).unwrap_or(1);
    let mut ticks = 0;
    loop {
        if local.housekeep() {
            tokio::time::sleep(TICK).await;
            ticks += 1;
        } else {
            // Either way there is something to do: a deadline that was just armed, or the second that passed.
            let _ = tokio::time::timeout(IDLE, local.deadlines.armed()).await;
            ticks += ticks_a_second;
        }
        if ticks >= ticks_a_second {
            ticks = 0;
            local.sweep_upstreams();
        }
    }
}
