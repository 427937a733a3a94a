//! The config file, again: on SIGHUP, and when it changes.
//!
//! Owns when the file is read and what is said of a file that is wrong. Talks to the file system through the loader and
//! [`watch`], and hands what it read to [`Servers`]. A file that is wrong changes nothing.

use std::sync::Arc;

use tracing::{info, warn};

use self::watch::Watch;
use super::servers::Servers;
use crate::{config::load::Loader, scope::Scope};

mod watch;

/// Follows one file.
pub(super) struct Reload {
    loader: Loader,
    watch: Watch,
    hangup: Hangup,
    /// As it was read last; a change beside it leaves it as it is.
    text: Option<String>,
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
        Reload { loader, watch, hangup: Hangup::new(), text: None, said: None }
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
        let text = match self.loader.text() {
            Ok(text) if cause != Cause::Asked && self.text.as_ref() == Some(&text) => return,
            text => text,
        };
        // Where its links lead may have changed, too.
        self.watch.look_again();
        let loaded = text.and_then(|text| {
            let loaded = self.loader.servers(&text, &|name| std::env::var_os(name));
            self.text = Some(text);
            loaded
        });
        match loaded {
            Ok(loaded) => {
                self.said = None;
                let differs = servers.exchange(loaded);
                match (cause, differs) {
                    (_, true) => info!("{named} is read again"),
                    (Cause::Start, false) => {}
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
    }
}

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
