//! The lifetime of tasks: every task of the bridge is spawned here, so that all can be stopped and waited for.
//!
//! Owns the cancellation token and the task tracker. Talks to nobody. It never decides when to stop; the owner does.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::message::text;

/// A group of tasks with one off switch. Clones share both; a [`Scope::child`] has a switch of its own.
#[derive(Debug, Clone)]
pub struct Scope {
    token: CancellationToken,
    tasks: TaskTracker,
    /// Of the scope that all of these come from: the bridge's.
    whole: CancellationToken,
}

/// When a client is let go.
#[derive(Debug, Clone)]
pub struct Until {
    /// When this stops, nothing more is asked, and what is in flight has its time.
    pub scope: Scope,
    /// When this is cancelled, that time is over.
    pub over: CancellationToken,
}

impl Until {
    /// What is in flight has its time to the end: nobody cuts it short.
    pub fn stopped(scope: &Scope) -> Until {
        Until { scope: scope.clone(), over: CancellationToken::new() }
    }

    /// What is said of a call that its server has not answered by now.
    pub fn cut_off(&self) -> &'static str {
        if self.scope.is_stopped() { self.scope.why().cut_off() } else { text::LEFT }
    }
}

/// Why a scope is stopped, in words for those who are turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stopped {
    /// All of them are: the bridge ends.
    #[error("the bridge is shutting down")]
    Bridge,
    /// This one alone: one server's, after a reload.
    #[error("this server was changed or removed in the config file; open a new session to reach what is there now")]
    Server,
}

impl Stopped {
    /// What is said of a call that its server has not answered by the end.
    pub fn cut_off(self) -> &'static str {
        match self {
            Stopped::Bridge => {
                "the bridge shut down before the server answered; whether the request was carried out is not known"
            }
            Stopped::Server => {
                "this server was changed or removed in the config file before it answered; whether the request was carried out is not known"
            }
        }
    }
}

impl Default for Scope {
    fn default() -> Scope {
        let token = CancellationToken::new();
        Scope { whole: token.clone(), token, tasks: TaskTracker::new() }
    }
}

impl Scope {
    /// A scope that nothing stops but [`Scope::stop`].
    pub fn new() -> Scope {
        Scope::default()
    }

    /// A scope that stops with this one, and can be stopped before it. Its tasks are waited for here.
    pub fn child(&self) -> Scope {
        Scope { token: self.token.child_token(), ..self.clone() }
    }

    /// A scope that this one does not stop: for what has to outlast the first signal, such as the way to a server while
    /// calls are in flight. Its tasks are waited for here.
    pub fn sibling(&self) -> Scope {
        Scope { token: CancellationToken::new(), ..self.clone() }
    }

    /// Runs a task. It is not aborted by [`Scope::stop`]: a task that must end early watches [`Scope::stopped`].
    #[allow(clippy::disallowed_methods)] // The one place that spawns.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Tells every task of this scope and its children to stop.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Whether [`Scope::stop`] was called here or above.
    pub fn is_stopped(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Why it is stopped, or would be now.
    pub fn why(&self) -> Stopped {
        if self.whole.is_cancelled() { Stopped::Bridge } else { Stopped::Server }
    }

    /// Resolves when the scope is stopped.
    pub async fn stopped(&self) {
        self.token.cancelled().await;
    }

    /// Waits until every task of this scope and its relatives has ended, or the time is over. Says whether all ended.
    pub async fn wait(&self, at_most: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(at_most, self.tasks.wait()).await.is_ok()
    }
}
