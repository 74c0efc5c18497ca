//! `run`: a node in this process, and the signals that steer it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use config::{Settings, Sources, StoreChoice};
use node::{Node, Prefix, reload_request};
use observe::logging::{self, Destination, Level};
use stdx::SystemClock;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::arguments::Run;
use crate::commands::start::READY;
use crate::commands::{load, sources};
use crate::output::{Output, words};

/// Threads for the Admin and Status APIs, the store and the compiler; traffic has threads of its own.
const CONTROL_THREADS: usize = 2;

/// How long a stopped node waits for threads that are still at work.
const LEFTOVERS: Duration = Duration::from_secs(5);

/// Runs a node until a signal ends it.
pub fn run(options: &Run, output: &Output) -> anyhow::Result<ExitCode> {
    if options.background {
        nix::unistd::setsid().context("cannot leave the terminal")?;
    }
    let outcome = serve(options, output);
    if let (true, Err(error)) = (options.background, &outcome) {
        // The command that waits for this node reads why there is none.
        output.say(words(error));
    }
    outcome
}

fn serve(options: &Run, output: &Output) -> anyhow::Result<ExitCode> {
    let loaded = load(&options.place, output)?;
    let settings = loaded.settings;
    let prefix = Prefix::new(&settings.prefix);
    prefix.prepare()?;
    let level: Level = settings.logs.level.parse()?;
    let destination = log_destination(&settings, options.background);
    let log = logging::init(level, &destination, Arc::new(SystemClock))?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all();
    let runtime = runtime
        .build()
        .context("cannot start the control runtime")?;
    let served = runtime.block_on(async {
        let mut signals = Signals::new()?;
        let declarative = matches!(settings.store, StoreChoice::Declarative { .. });
        let node = Node::start(settings, log).await?;
        if options.background {
            output.say(READY);
            detach_output()?;
        } else {
            output.say(introduction(&node, declarative, output));
        }
        signals.steer(node, sources(&options.place)).await;
        Ok(ExitCode::SUCCESS)
    });
    // What is still blocked now is not needed any more, and must not keep the process.
    runtime.shutdown_timeout(LEFTOVERS);
    served
}

/// In the terminal, errors go to the terminal unless the user chose a file.
fn log_destination(settings: &Settings, background: bool) -> Destination {
    let chosen = settings.logs.error.as_deref();
    let path = if background {
        chosen.or(Some(&*settings.logs.error_default))
    } else {
        chosen
    };
    match path {
        Some(path) if path != Path::new("/dev/stderr") => Destination::File(path.to_owned()),
        _ => Destination::Stderr,
    }
}

/// The pipe to the command that started this node is about to close.
fn detach_output() -> anyhow::Result<()> {
    let nothing = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(nothing).context("cannot leave the terminal")
}

/// What a user wants to know first.
fn introduction(node: &Node, declarative: bool, output: &Output) -> String {
    let place = node.addresses();
    format!(
        "Silverback {version} is ready.\n\n\
         \x20 proxy   {proxies}\n\
         \x20 Admin   {admins}\n\
         \x20 Status  {statuses}\n\
         \x20 store   {store}\n\n\
         {next}\
         Stop with Ctrl-C, or `{program} stop -p {prefix}`.",
        version = env!("CARGO_PKG_VERSION"),
        proxies = listed(&place.proxy),
        admins = listed(&place.admin),
        statuses = listed(&place.status),
        store = node.store_reason(),
        next = next_step(node, declarative).unwrap_or_default(),
        program = output.program(),
        prefix = node.prefix().path().display(),
    )
}

/// How a configuration is begun, or changed; nothing for a node that has no Admin API to do it with.
fn next_step(node: &Node, declarative: bool) -> Option<String> {
    let place = node.addresses();
    let (admin, proxy) = (place.admin.first()?, place.proxy.first()?);
    if declarative {
        return Some(format!(
            "Another configuration: curl {admin}/config -F config=@kong.yml\n"
        ));
    }
    let status = place.status.first();
    let (whose, upstream) = match status {
        Some(status) => ("the node's own status page", format!("{status}/status")),
        None => ("a server of yours", "http://127.0.0.1:9000".to_owned()),
    };
    Some(format!(
        "A first route, here to {whose}:\n\n\
         \x20 curl {admin}/services -d name=first -d url={upstream}\n\
         \x20 curl {admin}/services/first/routes -d paths=/first\n\n\
         Then ask the proxy: curl {proxy}/first\n"
    ))
}

fn listed(urls: &[String]) -> String {
    if urls.is_empty() {
        "off".to_owned()
    } else {
        urls.join("  ")
    }
}

/// The signals that nginx knows.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    reload: Signal,
    reopen: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            quit: listen(SignalKind::quit())?,
            reload: listen(SignalKind::hangup())?,
            reopen: listen(SignalKind::user_defined1())?,
        })
    }

    /// Obeys until the node has ended.
    async fn steer(&mut self, mut node: Node, mut sources: Sources) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return node.stop().await,
                _ = self.interrupt.recv() => return node.stop().await,
                _ = self.quit.recv() => return self.quit(node).await,
                _ = self.reload.recv() => sources = reload(&mut node, sources).await,
                _ = self.reopen.recv() => node.reopen_logs(),
            }
        }
    }

    /// Lets requests in flight finish, unless a second signal is less patient.
    async fn quit(&mut self, mut node: Node) {
        tokio::select! {
            () = node.finish() => {}
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
        node.stop().await;
    }
}

/// Reads the settings again and has the node use them; on a mistake it goes on with those it has. Returns the sources
/// for the next time.
async fn reload(node: &mut Node, before: Sources) -> Sources {
    let request = reload_request::take(node.prefix(), &before);
    let asked = request.is_some();
    let sources = request.unwrap_or_else(|| before.clone());
    let outcome = match config::load(&sources) {
        Ok(loaded) => {
            for warning in &loaded.warnings {
                tracing::warn!("{warning}");
            }
            node.reload(loaded.settings)
                .await
                .map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    let next = match &outcome {
        Ok(()) => {
            tracing::info!("reloaded");
            sources
        }
        Err(reason) => {
            tracing::error!("not reloaded: {reason}");
            before
        }
    };
    if asked && let Err(error) = reload_request::answer(node.prefix(), outcome) {
        tracing::error!("cannot answer the command reload: {error}");
    }
    next
}
