//! The config file, again: on SIGHUP, and when it changes.
//!
//! Owns when the file is read and what is said of a file that is wrong. Talks to the file system through the loader and
//! [`watch`], to the service manager, and hands what it read to [`Servers`]. A file that is wrong changes nothing.

use std::{path::PathBuf, sync::Arc};

use tracing::{info, warn};

use self::watch::Watch;
use super::servers::Servers;
#[cfg(unix)]
use crate::listen::systemd;
use crate::{config::load::Loader, scope::Scope};

mod watch;

/// Follows one file.
pub(super) struct Reload {
    loader: Loader,
    watch: Watch,
    hangup: Hangup,
    /// As it was read last; a change beside it leaves it as it is.
    text: Option<String>,
    /// The files that it named then, which are watched, too.
    beside: Vec<PathBuf>,
    /// What was said last of a file that is wrong.
    said: Option<String>,
}

/// Why the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The bridge has just begun to watch: something may have changed since it started.
    Start,
    Change,
    /// Somebody wants to know what comes of it.
    Asked,
}

impl Reload {
    /// Changes count from now on.
    pub(super) fn new(loader: Loader) -> Reload {
        let watch = Watch::new(loader.path());
        Reload { loader, watch, hangup: Hangup::new(), text: None, beside: Vec::new(), said: None }
    }

    /// Ends with the scope.
    pub(super) async fn follow(mut self, servers: Arc<Servers>, scope: Scope) {
        let mut cause = Cause::Start;
        while !scope.is_stopped() {
            self.read(cause, &servers);
            cause = tokio::select! {
                () = scope.stopped() => return,
                () = self.hangup.next() => Cause::Asked,
                () = self.watch.changed() => Cause::Change,
            };
        }
    }

    fn read(&mut self, cause: Cause, servers: &Servers) {
        let named = self.loader.named().display().to_string();
        let text = self.loader.text();
        let same = cause != Cause::Asked && text.as_ref().is_ok_and(|text| self.text.as_ref() == Some(text));
        // What it names may have changed while it is the same.
        if same && self.beside.is_empty() {
            return;
        }
        tell_manager(cause, false);
        let loaded = text.and_then(|text| {
            let loaded = self.loader.servers(&text, &|name| std::env::var_os(name));
            self.text = Some(text);
            loaded
        });
        let others = loaded.as_ref().map_or(&self.beside, |loaded| &loaded.beside).clone();
        let differs = others != self.beside;
        self.beside = others;
        // Where links lead may have changed, too.
        self.watch.look_again(&self.beside);
        if differs {
            // They may have changed after they were read and before they were watched.
            self.watch.recheck();
        }
        match loaded {
            Ok(loaded) => {
                self.said = None;
                let differs = servers.exchange(loaded);
                match (cause, differs) {
                    (_, true) => info!("{named} is read again"),
                    (Cause::Start, false) => {}
                    (_, false) if same => {}
                    (_, false) => info!("{named} is read again; no server differs"),
                }
            }
            Err(error) => {
                let error = error.to_string();
                if cause == Cause::Asked || self.said.as_ref() != Some(&error) {
                    warn!("{error}; the servers stay as they were");
                }
                // What is put back to how it was is no news, but this error then is.
                self.text = None;
                self.said = Some(error);
            }
        }
        tell_manager(cause, true);
    }
}

/// Tells the service manager that the bridge reloads, or that it has: whatever came of it, the bridge serves.
#[cfg(unix)]
fn tell_manager(cause: Cause, done: bool) {
    match (cause, done) {
        (Cause::Start, _) => {}
        (_, false) => systemd::reloading(),
        (_, true) => systemd::reloaded(),
    }
}

#[cfg(not(unix))]
fn tell_manager(_: Cause, _: bool) {}

/// SIGHUP, each time that it comes.
#[cfg(unix)]
pub(super) struct Hangup(Option<tokio::signal::unix::Signal>);

#[cfg(unix)]
impl Hangup {
    pub(super) fn new() -> Hangup {
        use tokio::signal::unix::{SignalKind, signal};
        Hangup(signal(SignalKind::hangup()).inspect_err(|error| warn!("cannot watch for SIGHUP: {error}")).ok())
    }

    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
}

#[cfg(not(unix))]
pub(super) struct Hangup;

#[cfg(not(unix))]
impl Hangup {
    pub(super) fn new() -> Hangup {
        Hangup
    }

    pub(super) async fn next(&mut self) {
        std::future::pending().await
    }
}
