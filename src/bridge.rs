//! One bridge from start to end: opens the server's side, starts the clients' side, waits, drains.
//!
//! Owns the order of start and stop and what the user is told about it. Talks to the registry, the wires and the
//! operating system's signals. It never moves a message.

use std::{sync::Arc, time::Duration};

use tokio::io::AsyncReadExt;
use tracing::{info, warn};

use crate::{
    audit::{Audit, AuditError},
    config::{Back, Config, Front, NetworkSpec, ServerSpec},
    listen::{self, BindError},
    peer::{Caller, PEER_CAPACITY, Peer},
    pump::{Role, Rules},
    registry::{Ground, Registry},
    scope::{Scope, Until},
    wire::{
        child::{self, SpawnError, guard::Guard},
        face,
        remote::ConnectError,
        stdio,
    },
};

mod announce;
mod reload;
mod servers;

use reload::{Hangup, Reload};
use servers::Servers;

/// After everything else has ended: for children that were killed to be reaped and the last log lines.
const LAST_WAIT: Duration = Duration::from_secs(1);

/// For the DELETE that ends a remote session.
const SESSION_END: Duration = Duration::from_secs(3);

/// Why a bridge ended other than well.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stdio server cannot be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The remote server cannot be reached, or refuses.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The audit log cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The system refused something that every bridge needs.
    #[error("{0}")]
    Failed(String),
    /// The user asked twice.
    #[error("ended at once by a second signal; calls in flight were dropped")]
    Interrupted,
}

/// Runs a bridge until it is asked to end (a signal, or the client's end of stdin) or cannot go on.
///
/// `scope` is stopped when it ends. The second signal gives [`Error::Interrupted`] without waiting for anything
/// but the last lines of the audit log, which have a second.
pub async fn run(config: Config, scope: Scope) -> Result<(), Error> {
    let place = match &config.front {
        Front::Network(network) => network.audit.as_ref(),
        Front::Stdio => None,
    };
    let audit = place.map(Audit::start).transpose()?;
    // SIGHUP asks a service to read its file again, and to open its log again. Where there is neither, it ends the bridge.
    let keeping = Scope::new();
    if let Some(audit) = audit.clone() {
        keeping.spawn(rotate(audit, Hangup::new(), keeping.clone()));
    }
    let signals = signals(scope.clone(), config.file.is_none() && audit.is_none());
    let work = work(config, audit.clone(), scope.clone());
    let result = tokio::select! {
        // Signals are watched for before anything is begun, so that none ends the process half way.
        biased;
        () = signals => Err(Error::Interrupted),
        result = work => {
            scope.stop();
            if !scope.wait(LAST_WAIT).await {
                warn!("some tasks did not end in time");
            }
            result
        }
    };
    // Last: what ends is noted, too.
    if let Some(audit) = audit {
        audit.close(LAST_WAIT).await;
    }
    keeping.stop();
    result
}

/// Opens the audit log again on SIGHUP. Ends with the scope.
async fn rotate(audit: Audit, mut hangup: Hangup, scope: Scope) {
    loop {
        tokio::select! {
            () = scope.stopped() => return,
            () = hangup.next() => audit.reopen(),
        }
    }
}

async fn work(config: Config, audit: Option<Audit>, scope: Scope) -> Result<(), Error> {
    if let ([ServerSpec { back: Back::Child(spec), .. }], None) = (&*config.servers, &config.file) {
        // Told before anything listens: a bridge to nothing helps nobody. A file can be put right.
        child::resolve(spec)?;
    }
    let starts = config.file.is_some() || config.servers.iter().any(|server| matches!(server.back, Back::Child(_)));
    // Ends what is still there when the bridge is gone, and when it is dropped.
    let guard = if starts { start_guard() } else { None };
    let ground = Ground::new(guard.as_ref().map(Guard::mark), &config.limits, &scope);
    let (result, servers_end) = match &config.front {
        Front::Network(network) => {
            let servers = Servers::new(&config, network, &ground, audit);
            (serve(network, &config, &ground, &servers).await, servers.time_to_end())
        }
        Front::Stdio => (be_a_command(&config, &ground).await, config.root().map(time_to_end).unwrap_or_default()),
    };
    scope.stop();
    // The calls had the grace period; the servers have their own times to end.
    scope.wait(servers_end + LAST_WAIT).await;
    ground.way.stop();
    result
}

/// How long a server may take to end when nobody uses it any more.
fn time_to_end(server: &ServerSpec) -> Duration {
    match &server.back {
        Back::Child(spec) => spec.stop.after_close + spec.stop.after_term,
        Back::Remote(_) => SESSION_END,
    }
}

/// A session takes five descriptors, and the usual soft limit is 1,024. Children inherit the raised limit.
#[cfg(unix)]
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // macOS names no maximum, and takes no more than its OPEN_MAX all the same.
    let raise = |current| setrlimit(Resource::Nofile, Rlimit { current, maximum: limit.maximum });
    if let Err(error) = raise(limit.maximum).or_else(|_| raise(Some(10_240))) {
        warn!("cannot raise the limit on open files from {:?}: {error}; raise it with ulimit -n", limit.current);
    }
}

#[cfg(not(unix))]
fn raise_descriptor_limit() {}

fn start_guard() -> Option<Guard> {
    Guard::start()
        .inspect_err(|error| warn!("cannot start the guard that ends servers after a SIGKILL of the bridge: {error}"))
        .ok()
}

/// A client's command: this process's stdio on one side, a server on the other.
async fn be_a_command(config: &Config, ground: &Ground) -> Result<(), Error> {
    let Some(server) = config.root() else {
        return Err(Error::Failed("there is no server for stdio; name one, as in mcp-bridge connect <URL>".into()));
    };
    let (limits, scope) = (config.limits.of(&server.overrides), &ground.scope);
    let (near, far) = Peer::pair(PEER_CAPACITY);
    // Not stopped by the first signal: calls in flight need it.
    let way = ground.way.clone();
    let registry = Registry::of(server, &limits, &Ground { scope: way.clone(), lone: true, ..ground.clone() });
    let mut back = way.spawn(face::serve(far, None, registry.clone()));
    let rules = Rules {
        name: "stdio".into(),
        speaker: Caller::legacy(None),
        role: Role::Accept,
        max_in_flight: limits.max_in_flight,
        max_waiting: limits.max_waiting(),
        // The wire to the server has its own clock for --request-timeout.
        request_timeout: None,
        linger: limits.grace,
        until: Some(Until::stopped(scope)),
    };
    let ended = stdio::serve(stdio::stdin(), stdio::stdout(), limits.max_message, near, rules, scope).await;
    info!("{}", ended.message);
    // The client's side is gone, and with it the peer: the wire finishes its session by itself. The time for calls is over
    // by now; what is left is the session's own end.
    let in_time = tokio::time::timeout(time_to_end(server), &mut back).await;
    registry.close().await;
    way.stop();
    // What is stopped still says what came of it.
    let result = match in_time {
        Ok(result) => Ok(result),
        Err(_) => tokio::time::timeout(LAST_WAIT, back).await,
    };
    match result {
        Ok(Ok(result)) => Ok(result?),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// A service: a listening socket on one side, servers on the other.
async fn serve(network: &NetworkSpec, config: &Config, ground: &Ground, servers: &Arc<Servers>) -> Result<(), Error> {
    raise_descriptor_limit();
    let limits = &config.limits;
    let listening = listen::bind(network)?;
    network.tls.iter().filter_map(|tls| tls.exposed_key()).for_each(|danger| warn!("{danger}"));
    // Changes count, and SIGHUP is heeded, before anybody is told that the bridge is there.
    let reload = config.file.as_ref().map(|file| Reload::new(file.loader.clone()));
    let places = listening.places();
    announce::announce(&places, network, &config.servers, config.aggregate.is_some());
    #[cfg(unix)]
    listen::systemd::ready(&places.iter().map(|place| format!("listening on {place}")).collect::<Vec<_>>().join(", "));
    if let Some(reload) = reload {
        ground.scope.spawn(reload.follow(servers.clone(), ground.scope.clone()));
    }
    if network.exit_with_stdin {
        let scope = ground.scope.clone();
        scope.clone().spawn(async move {
            end_of_stdin().await;
            info!("stdin closed; ending (--exit-with-stdin)");
            scope.stop();
        });
    }
    listen::serve(listening, servers.routes().clone(), Arc::new(limits.clone()), ground.scope.clone()).await;
    ground.scope.stop();
    servers.close().await;
    Ok(())
}

async fn end_of_stdin() {
    let mut stdin = stdio::stdin();
    let mut chunk = [0; 1024];
    // An error is an end, too.
    while stdin.read(&mut chunk).await.is_ok_and(|n| n > 0) {}
}

/// Stops the scope at the first signal; resolves at the second. `hangup`: SIGHUP is one of them.
async fn signals(scope: Scope, hangup: bool) {
    let mut signals = Signals::new(hangup);
    signals.next().await;
    info!("asked to end; a second signal ends at once");
    scope.stop();
    signals.next().await;
}

#[cfg(unix)]
struct Signals(Vec<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Signals {
    fn new(hangup: bool) -> Signals {
        use tokio::signal::unix::{SignalKind, signal};
        // Watching a signal undoes what nohup did.
        let hangup = (hangup && !hangup_is_ignored()).then(SignalKind::hangup);
        let opened = [SignalKind::terminate(), SignalKind::interrupt()]
            .into_iter()
            .chain(hangup)
            .filter_map(|kind| signal(kind).inspect_err(|error| warn!("cannot watch for a signal: {error}")).ok());
        Signals(opened.collect())
    }

    async fn next(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await; // None to choose from would be a panic.
        }
        let waits = self.0.iter_mut().map(|signal| Box::pin(signal.recv()));
        futures::future::select_all(waits).await;
    }
}

/// Whether the bridge was started under `nohup`. Read from where it can be without unsafe code.
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // SIGHUP is signal 1, the lowest bit.
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new(_: bool) -> Signals {
        Signals
    }

    async fn next(&mut self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            warn!("cannot watch for Ctrl-C: {error}");
            std::future::pending::<()>().await;
        }
    }
}
