//! The configuration of a node without a database: where it begins, how it is replaced, and the copy on disk.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admin::node::{DeclarativeConfig, Document, LoadError, Loaded};
use config::{Settings, StoreChoice};
use declarative::{Config, Context, EMPTY_HASH, Format, last_good};
use parking_lot::Mutex;
use stdx::Clock;
use store::Version;
use store_declarative::DeclarativeStore;
use tokio::sync::watch;

use crate::Error;
use crate::applied::wait_until_applied;
use crate::info::Process;
use crate::memory;
use crate::stores::DeclaredEntities;

/// The last good configuration, under the prefix.
pub(crate) const LAST_GOOD: &str = "declarative.json";

/// The configuration in memory, and its copy on disk.
pub struct LiveConfig {
    store: Arc<DeclarativeStore>,
    declared: DeclaredEntities,
    clock: Arc<dyn Clock>,
    process: Arc<Process>,
    copy: PathBuf,
    hash: Mutex<String>,
    /// Held while a configuration is being loaded.
    loading: tokio::sync::Mutex<()>,
    applied: watch::Receiver<Version>,
    wait: Duration,
}

impl LiveConfig {
    /// A configuration without anything in it.
    pub fn new(
        store: Arc<DeclarativeStore>,
        settings: &Settings,
        clock: Arc<dyn Clock>,
        process: Arc<Process>,
        applied: watch::Receiver<Version>,
    ) -> Self {
        Self {
            store,
            declared: DeclaredEntities::of(settings),
            clock,
            process,
            copy: settings.prefix.join(LAST_GOOD),
            hash: Mutex::new(EMPTY_HASH.to_owned()),
            loading: tokio::sync::Mutex::new(()),
            applied,
            wait: settings.admin_apply_timeout,
        }
    }

    /// Takes what the settings name, or else the copy on disk, if there is one.
    pub async fn begin(&self, settings: &Settings) -> Result<(), Error> {
        if self.take_from_settings(settings).await? {
            return Ok(());
        }
        match last_good::load(&self.copy, &self.declared.catalog()) {
            Ok(Some(config)) => {
                tracing::info!("the configuration is the one that was last in use");
                let _loading = self.loading.lock().await;
                let used = self.replace(config).await;
                used.map(drop).map_err(Error::Configuration)
            }
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::error!("cannot use {}: {error}", self.copy.display());
                Ok(())
            }
        }
    }

    /// Takes the file or text that the settings name; says whether they name one.
    pub async fn take_from_settings(&self, settings: &Settings) -> Result<bool, Error> {
        let StoreChoice::Declarative { file, text } = &settings.store else {
            return Ok(false);
        };
        let (text, format, source) = match (file, text) {
            (Some(file), _) => {
                let path = file.clone();
                let text = on_own_thread(move || declarative::read_file(&path)).await?;
                let text = text.map_err(|source| Error::file("read", file, source))?;
                let format = Format::of_file(file)
                    .map_err(|errors| invalid(&file.display().to_string(), &errors))?;
                (text, format, file.display().to_string())
            }
            (None, Some(text)) => (
                text.expose().as_bytes().to_vec(),
                Format::Auto,
                "declarative_config_string".to_owned(),
            ),
            (None, None) => return Ok(false),
        };
        let _loading = self.loading.lock().await;
        let read = move || declarative::Document::read(&text, format);
        let config = self.parse(read).await?;
        let config = config.map_err(|errors| invalid(&source, &errors))?;
        let used = self.replace(config).await.map_err(Error::Configuration)?;
        if let Err(error) = self.keep(used).await {
            // The next start finds what the settings name.
            tracing::warn!("the node goes on without a copy of its configuration: {error}");
        }
        Ok(true)
    }

    /// Reads and validates.
    async fn parse(
        &self,
        read: impl FnOnce() -> Result<declarative::Document, declarative::Errors> + Send + 'static,
    ) -> Result<Result<Config, declarative::Errors>, Error> {
        let (declared, clock) = (self.declared, Arc::clone(&self.clock));
        on_own_thread(move || {
            read()?.parse(&Context {
                catalog: &declared.catalog(),
                subschemas: &declared,
                clock: clock.as_ref(),
            })
        })
        .await
    }

    /// Makes a valid configuration the one in use, here and in the proxy.
    async fn replace(&self, config: Config) -> Result<Arc<Config>, String> {
        for warning in config.warnings() {
            tracing::warn!("{warning}");
        }
        let hash = config.hash().to_owned();
        let (store, config) = (Arc::clone(&self.store), Arc::new(config));
        let replacing = Arc::clone(&config);
        let replaced = on_own_thread(move || store.try_replace_all(replacing.records())).await;
        let version = replaced
            .map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
        *self.hash.lock() = hash;
        self.process.set_configured();
        if !wait_until_applied(&self.applied, version, self.wait).await {
            tracing::warn!(
                version = version.0,
                "the proxy has not applied the configuration yet"
            );
        }
        Ok(config)
    }

    /// Keeps a copy for a start without any other configuration.
    async fn keep(&self, config: Arc<Config>) -> Result<(), String> {
        let copy = self.copy.clone();
        let saved = on_own_thread(move || last_good::save(&copy, &config)).await;
        match saved {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(format!("cannot write {}: {error}", self.copy.display())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// Does work that may take long, on a thread that ends with it.
///
/// Perf: a large configuration is a gigabyte of small pieces for a while. When a thread ends, the allocator gives what is
/// free to the system; one that waits for more work keeps it.
async fn on_own_thread<R: Send + 'static>(
    work: impl FnOnce() -> R + Send + 'static,
) -> Result<R, Error> {
    let (done, result) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("configuration".to_owned());
    let thread = thread.spawn(move || {
        // Whoever asked may have gone; then nobody wants the result.
        let _ = done.send(work());
    });
    thread.map_err(|source| Error::System {
        what: "no thread",
        source,
    })?;
    let lost = |_| Error::Configuration("reading it failed".to_owned());
    result.await.map_err(lost)
}

fn invalid(source: &str, errors: &declarative::Errors) -> Error {
    Error::Configuration(format!("{source}: {errors}"))
}

#[async_trait::async_trait]
impl DeclarativeConfig for LiveConfig {
    fn hash(&self) -> String {
        self.hash.lock().clone()
    }

    async fn export(&self) -> Result<String, String> {
        let exported = declarative::export(self.store.as_ref(), &self.declared.catalog()).await;
        exported.map_err(|error| error.to_string())
    }

    async fn load(
        &self,
        document: Document,
        check_hash: bool,
        flatten_errors: bool,
    ) -> Result<Loaded, LoadError> {
        let Ok(_loading) = self.loading.try_lock() else {
            return Err(LoadError::Busy);
        };
        let refuse =
            |errors: declarative::Errors| LoadError::Invalid(errors.to_json(flatten_errors));
        let failed = |error: Error| LoadError::Failed(error.to_string());
        let read = move || match document {
            Document::Text(text) => declarative::Document::read(text.as_bytes(), Format::Auto),
            Document::Object(object) => Ok(declarative::Document::from_value(object)),
        };
        let document = on_own_thread(read).await.map_err(failed)?.map_err(refuse)?;
        if check_hash && document.hash() == *self.hash.lock() {
            return Ok(Loaded::Unchanged);
        }
        let parsed = self.parse(move || Ok(document)).await.map_err(failed)?;
        let config = parsed.map_err(refuse)?;
        let used = self.replace(config).await.map_err(LoadError::Failed)?;
        let shown = used.clone();
        self.keep(used).await.map_err(LoadError::Failed)?;
        let shown = on_own_thread(move || shown.to_json()).await;
        memory::freed();
        Ok(Loaded::Replaced(shown.map_err(failed)?))
    }
}
