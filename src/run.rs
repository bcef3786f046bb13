//! The server from start to end: what is put together, and what is taken apart in which order.

mod bounds;
mod door;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};

use crate::api;
use crate::app::{App, OneTimeCode, SIGN_IN_MS, random_secret, sha256, system_clock};
use crate::auth::cookies::Cookies;
use crate::auth::last_use::LastUse;
use crate::auth::password::{self, PasswordError, Passwords};
use crate::auth::throttle::Throttle;
use crate::auth::token::Key;
use crate::command::{Added, CreateAccount};
use crate::config::{Config, FirstPassword};
use crate::data_dir::{DataDir, DataDirError, FileIdentity, replace_file};
use crate::disk::Disk;
use crate::engine::Engines;
use crate::engine::builtin::{self, Builtin};
use crate::engine::detect::EngineStatus;
use crate::engine::launch::inherited;
use crate::engine::process::Patience;
use crate::feed::Feed;
use crate::feed::frames::Frames;
use crate::guard::{Guards, landlock_abi, statement};
use crate::http::{Assets, CancellationToken, Server, Tls, TlsError, panics, server};
use crate::journal::{Journal, JournalError, Opened, SubmitError, materialise};
use crate::metrics::Metrics;
use crate::model::{Account, Ids};
use crate::open_files;
use crate::retention::Keeper;
use crate::search::Search;
use crate::store::{Store, StoreError, accounts, events};
use crate::supervisor::{Parts, Supervisor, SupervisorLimits, Wake};
use crate::tool::{EngineInfo, Shared};
use crate::usage::LastUsage;
use bounds::{is_https, origins, proxies, rate_limits, server_limits};
pub(crate) use bounds::{pace, writer_limits};
use door::Door;

/// The console, as it ships.
#[derive(rust_embed::RustEmbed)]
#[folder = "assets"]
struct Console;

/// Why the server could not start; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The journal or the tables cannot be brought up.
    #[error("{}{}", .0, remedy(.0))]
    Journal(#[from] materialise::Error),
    /// The tables cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A first change could not be made.
    #[error("the first change could not be stored: {0}")]
    Submit(#[from] SubmitError),
    /// The first password cannot be used.
    #[error("SKEP_PASSWORD cannot be used: {0}")]
    Password(#[from] PasswordError),
    /// The certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {source}; choose another address with --listen, port 0 takes a free one"
    )]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused something else.
    #[error("cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

/// What can be done about damage, where the error does not say it itself.
fn remedy(error: &materialise::Error) -> &'static str {
    use materialise::Error;
    match error {
        Error::Journal(JournalError::Damaged { .. } | JournalError::MissingRecords { .. })
        | Error::Refused { .. } => "; run `skep verify`, then `skep restore`",
        Error::Gap { .. } => "; run `skep verify` first",
        _ => "",
    }
}

fn io_error(action: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::Io { action, source }
}

/// What is said once the server can answer.
#[derive(Debug, Clone)]
pub struct Announcement {
    /// Where it is, without a slash at the end.
    pub url: String,
    /// The code of the sign-in link.
    pub code: String,
}

impl Announcement {
    /// The link that signs in, once, within 15 minutes.
    pub fn sign_in_url(&self) -> String {
        format!("{}/#code={}", self.url, self.code)
    }
}

/// How the command line finds and speaks to the running server: `control.json`, 0600.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Control {
    /// The process.
    pub pid: u32,
    /// Where it listens.
    pub address: std::net::SocketAddr,
    /// Whether it speaks TLS there.
    #[serde(default)]
    pub tls: bool,
    /// A key that is good while this process lives.
    pub key: String,
    /// The directory it serves: in a copy of the file this is another one's.
    pub directory: FileIdentity,
}

/// Runs the server until `closing` is cancelled. `announce` is called once it can answer.
pub async fn run(
    config: Config,
    first_password: Option<FirstPassword>,
    closing: CancellationToken,
    announce: impl FnOnce(&Announcement),
) -> Result<(), RunError> {
    panics::install_hook();
    keep_memory_private();
    let open_files_before = open_files::raise();
    let config = Arc::new(config);
    if let Some(password) = &first_password
        && !config.data.join("journal").exists()
    {
        // Before anything is made.
        password::check(password.reveal())?;
    }
    let tls = match (&config.tls_cert, &config.tls_key) {
        (Some(cert), Some(key)) => Some(Tls::open(cert.as_path(), key.as_path())?),
        _ => None,
    };
    let data = Arc::new(DataDir::open(&config.data)?);
    let key =
        Key::load_or_create(&data.keys()).map_err(io_error("read or make the signing key"))?;
    let disk = Disk::real();
    let opened = materialise::open(&disk, &data, config.limits.redb_cache_bytes, system_clock())?;
    report(&opened, &data);
    let store = opened.store.clone();
    let feed = Feed::new(store.read(events::last_id)?);
    let wake = Arc::new(Wake::default());
    let metrics = Arc::new(Metrics::default());
    let journal = {
        let (feed, wake, metrics) = (feed.clone(), wake.clone(), metrics.clone());
        let observer = Arc::new(move |added: &[Added]| {
            count_ended(&metrics, added);
            // One who starts things is not behind a thousand who read.
            wake.see(added);
            feed.publish(added);
        });
        Journal::start(
            opened,
            disk,
            &data,
            writer_limits(&config),
            system_clock,
            observer,
        )
        .map_err(io_error("start the journal's thread"))?
    };
    ensure_account(&store, &journal, first_password).await?;

    let guards = Arc::new(
        Guards::new()
            .map_err(io_error("find the program itself"))?
            .confining(config.policy())
            .limiting(config.process_limits(open_files_before)),
    );
    guards.keep_spare();
    let confinement = statement(guards.policy().is_some());
    match landlock_abi() {
        Some(_) => tracing::debug!("engines and tools are {confinement}"),
        None => tracing::warn!("engines and tools are {confinement}"),
    }
    if let Err(error) = guards.adopt_orphans() {
        tracing::warn!(%error, "orphans of a killed guard cannot be adopted on this system");
    }
    let (engines, tools) = engines(&config, &store, &journal, &data, guards.clone());
    let door = Door::open().await;
    let parts = Parts {
        data: data.clone(),
        store: store.clone(),
        journal: journal.clone(),
        feed: feed.clone(),
        engines: engines.clone(),
        limits: SupervisorLimits {
            concurrent_max: config.max_concurrent_executions,
            timeout: Duration::from_secs(config.execution_timeout_s),
            log_bytes_max: config.log_bytes_max,
            permission_timeout: Duration::from_secs(config.permission_timeout_s),
        },
        clock: system_clock,
        wake,
        mcp_url: door.as_ref().map(Door::url),
    };
    let supervisor = Supervisor::new(parts, data.is_copy());
    supervisor.serve_tools(&tools);
    let listener = server::bind(config.listen.0)
        .await
        .map_err(|source| RunError::Listen {
            address: config.listen.to_string(),
            source,
        })?;
    let address = listener
        .local_addr()
        .map_err(io_error("learn the address"))?;
    let code = secret()?;
    let control_key = secret()?;
    let speaks_tls = tls.is_some();
    let is_https = speaks_tls || config.public_url.as_ref().is_some_and(is_https);
    let instance = data.instance().id.simple().to_string();
    let origin = match &config.public_url {
        Some(url) => url.as_str().to_owned(),
        None if speaks_tls => format!("https://{address}"),
        None => format!("http://{address}"),
    };
    let url = format!("{origin}{}", config.base_path);
    let keeper = Arc::new(Keeper::new(
        store.clone(),
        journal.clone(),
        data.root(),
        config.retention.clone(),
        pace(&config),
        system_clock,
    ));
    let search = Search::new(
        data.search(),
        config.limits.search_cache_bytes,
        config.limits.search_questions_max,
        store.clone(),
        feed.clone(),
    );
    let app = Arc::new(App {
        data: data.clone(),
        store,
        journal: journal.clone(),
        feed,
        frames: Frames::default(),
        supervisor: supervisor.clone(),
        engines,
        tools,
        key,
        cookies: Cookies::new(&instance, is_https, config.base_path.as_str()),
        passwords: Passwords::new(),
        throttle: Arc::new(Throttle::new()),
        last_use: LastUse::default(),
        revoked: watch::Sender::default(),
        sign_in: OneTimeCode::new(&code, system_clock() + SIGN_IN_MS),
        address,
        public_url: url.clone(),
        control_sha256: sha256(&control_key),
        streams: Arc::new(Semaphore::new(config.limits.streams_max)),
        search: search.clone(),
        keeper: keeper.clone(),
        usage: LastUsage::default(),
        metrics: metrics.clone(),
        ids: Ids,
        clock: system_clock,
        config: config.clone(),
    });
    let routes = api::routes(config.upload_bytes_max);
    let counted: Vec<_> = routes.iter().map(|route| route.metrics.clone()).collect();
    let agents = door.map(|door| door.serve(app.clone(), api::agents(&routes), &config));
    let server = Server::new(app, routes)
        .assets(Assets::of::<Console>(
            api::RESERVED,
            config.base_path.as_str(),
        ))
        .origins(origins(&config))
        .rate_limits(rate_limits(&config))
        .proxies(proxies(&config))
        .base_path(config.base_path.as_str())
        .count_connections(metrics.connections.clone())
        .tls(tls)
        .limits(server_limits(&config));
    let counted = counted.into_iter().chain(server.unrouted()).collect();
    metrics.requests.set(counted);

    let control = Control {
        pid: std::process::id(),
        address,
        tls: speaks_tls,
        key: control_key,
        directory: FileIdentity::of(data.root()).map_err(io_error("look at the data directory"))?,
    };
    write_control(&data, &control);
    let supervising = tokio::spawn(supervisor.clone().supervise());
    let keeping = {
        let supervisor = supervisor.clone();
        tokio::spawn(keeper.run(move || supervisor.is_held(), closing.clone()))
    };
    let searching = tokio::spawn(search.follow(closing.clone()));
    tracing::info!("data in {}; Ctrl-C stops", data.root().display());
    announce(&Announcement { url, code });
    if !config.listen.is_loopback() && config.public_url.is_none() {
        tracing::warn!(
            "set public_url (SKEP_PUBLIC_URL) to the address users open; the link above only works from here"
        );
    }

    // Accepts until it is told to stop; then ends the streams and drains the handlers.
    let drained = server.serve(listener, closing).await;
    if !drained {
        tracing::warn!("some requests did not end in time");
    }
    supervisor.close().await;
    let _ = supervising.await;
    if let Some(agents) = agents {
        agents.close().await;
    }
    guards.dismiss_spare().await;
    let _ = keeping.await;
    let _ = searching.await;
    journal.close().await;
    remove_control(&data);
    tracing::info!("stopped");
    Ok(())
}

fn count_ended(metrics: &Metrics, added: &[Added]) {
    for ended in added.iter().filter_map(|event| event.ended) {
        let at = api::ENDED.iter().position(|(status, _)| *status == ended);
        if let Some(at) = at {
            metrics.ended[at].add(1);
        }
    }
}

/// Engines run as the same user: none of them may read this process's memory or the environment it was started with.
fn keep_memory_private() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
            tracing::warn!(%error, "engines may be able to read the environment Skep was started with");
        }
    }
}

/// Says what a start found out of order, once.
fn report(opened: &Opened, data: &DataDir) {
    for torn in &opened.recovery.torn {
        tracing::warn!(
            file = %torn.file.display(), offset = torn.offset, bytes = torn.bytes_cut,
            "the unfinished end of the journal was cut off; nothing of it was ever acknowledged"
        );
    }
    for file in &opened.recovery.set_aside {
        tracing::warn!(file = %file.display(), "a part of the journal that a copy began too late was set aside");
    }
    if let Some(reason) = &opened.rebuilt {
        tracing::warn!(reason, "the tables were made anew from the journal");
    }
    if data.is_copy() {
        tracing::warn!(
            "this is a copy of another hive: its queue is held until POST /api/resume, or the button in the console"
        );
    }
    let (replayed, records) = (opened.replayed, opened.log.last_seq());
    match replayed {
        0 => tracing::debug!(records, "the journal is open"),
        _ => tracing::info!(replayed, records, "the journal is open"),
    }
}

/// The account of the first start. Its generated password is shown to nobody: the sign-in link lets one set another.
async fn ensure_account(
    store: &Store,
    journal: &Journal,
    first_password: Option<FirstPassword>,
) -> Result<(), RunError> {
    if store.read(accounts::get)?.is_some() {
        if first_password.is_some() {
            tracing::warn!(
                "SKEP_PASSWORD is not used: the account has a password already; `skep passwd` changes it"
            );
        }
        return Ok(());
    }
    let password_generated = first_password.is_none();
    let password_hash = tokio::task::spawn_blocking(move || {
        let password = match &first_password {
            Some(password) => password.reveal().to_owned(),
            None => password::generate()?,
        };
        password::check(&password)?;
        password::hash(&password)
    })
    .await
    .map_err(|error| RunError::Io {
        action: "hash the first password",
        source: io::Error::other(error),
    })??;
    let account = Account {
        username: "admin".to_owned(),
        password_hash,
        password_generated,
        epoch: 0,
        created_at: system_clock(),
    };
    Ok(journal.submit(CreateAccount { account }).await?)
}

fn secret() -> Result<String, RunError> {
    random_secret().map_err(|error| RunError::Io {
        action: "get random bytes",
        source: io::Error::other(error.to_string()),
    })
}

fn write_control(data: &DataDir, control: &Control) {
    let text = serde_json::to_vec(control).unwrap_or_default();
    if let Err(error) = replace_file(&data.control(), &text) {
        // A full disk is no reason not to serve.
        tracing::warn!(%error, "the other commands will not find this server: control.json could not be written");
    }
}

fn remove_control(data: &DataDir) {
    let path: PathBuf = data.control();
    if let Err(error) = std::fs::remove_file(path) {
        tracing::warn!(%error, "control.json could not be removed");
    }
}

/// Every engine, over what they need. Tools know of the engines, and the built-in one of the tools: the list is filled
/// in once both are there.
fn engines(
    config: &Config,
    store: &Arc<Store>,
    journal: &Journal,
    data: &Arc<DataDir>,
    guards: Arc<Guards>,
) -> (Arc<Engines>, Arc<Shared>) {
    let known: Arc<OnceLock<Weak<Engines>>> = Arc::default();
    let listed = known.clone();
    let shared = Arc::new(Shared {
        quotas: api::quotas(&config.tier),
        guards: guards.clone(),
        environment: inherited(std::env::vars_os(), &[]),
        command_timeout: Duration::from_secs(config.limits.tool_command_timeout_s),
        upload_bytes_max: config.upload_bytes_max,
        runner: OnceLock::new(),
        store: store.clone(),
        journal: journal.clone(),
        data: data.clone(),
        clock: system_clock,
        engines: Box::new(move || {
            let engines = listed.get().and_then(Weak::upgrade);
            Box::pin(async move {
                match engines {
                    Some(engines) => {
                        let known = engines.list_known().await;
                        known.into_iter().map(engine_info).collect()
                    }
                    None => Vec::new(),
                }
            })
        }),
    });
    let patience = Patience {
        grace_period: Duration::from_secs(config.limits.stop_grace_s),
        exit_after_result: Duration::from_secs(config.limits.exit_after_result_s),
        ..Patience::default()
    };
    let engines = Arc::new(Engines::new(
        config.engines.values().cloned(),
        config.default_engine.clone(),
        Arc::new(Builtin::new(shared.clone())),
        guards,
        patience,
        config.http_parts(Some(config.listen.0), Some(shared.clone())),
    ));
    let _ = known.set(Arc::downgrade(&engines));
    (engines, shared)
}

/// An engine as tools tell of it.
fn engine_info(status: EngineStatus) -> EngineInfo {
    let ready = status.is_ready();
    let detail = match (status.why_not, status.fix) {
        (Some(why), Some(fix)) => format!("{why}; {fix}"),
        (Some(why), None) => why,
        (None, _) => status
            .version
            .or(status.path)
            .or(status.url)
            .unwrap_or_else(|| match status.kind {
                builtin::NAME => builtin::ABOUT.to_owned(),
                kind => kind.to_owned(),
            }),
    };
    EngineInfo {
        name: status.name,
        ready,
        detail,
    }
}
