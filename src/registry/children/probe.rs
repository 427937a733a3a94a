//! Finding out the era of a server that is silent: it is asked in the other era, too, on a second process.
//!
//! Owns the two questions and how long each is waited for. Talks to the processes that its callers start. It never takes
//! silence for a verdict: a server that is fetched first says nothing for minutes, whatever it speaks. The process whose
//! answer is not needed is dropped, which ends it.

use std::{future::pending, pin::pin, time::Duration};

use futures::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout};

use crate::{
    message::{Frame, Id},
    protocol::{NEWEST_LEGACY, is_modern, method},
    wire::child::Asked,
};

/// How long a server may be silent in one era before it is asked in the other, too. Servers that have to be fetched take
/// longer; they cost a second process once.
pub(super) const SILENCE: Duration = Duration::from_secs(5);

/// How long a server may be silent in both eras before those who wait are told. Servers that are fetched first take tens
/// of seconds, over a slow line more.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that was asked something, and what came of it; `None` where it could not be started, or is not to be.
pub(super) type Asking<T> = BoxFuture<'static, Option<(T, Asked)>>;

/// What a server turned out to be.
#[derive(Debug)]
pub(super) enum Verdict<T> {
    /// It answered in the modern era, on this process, with this.
    Modern(T, Frame),
    /// It refused that, or ended at it.
    NotModern(T),
    /// It answered in the legacy era, on this process, and not yet in the modern one.
    Legacy(T),
}

/// Reads what came of [`crate::protocol::discover`].
pub(super) fn read<T>((process, asked): (T, Asked)) -> Verdict<T> {
    match asked {
        Asked::Answer(answer, _) if is_modern(&answer) => Verdict::Modern(process, answer),
        Asked::Answer(..) | Asked::Ended(_) => Verdict::NotModern(process),
    }
}

/// Asks in the modern era, and after a while of silence in the legacy era, too. The first answer decides, the modern one
/// where both are there. `None` when there is none for long, or nobody waits any more. `told` is run when the second is
/// asked.
pub(super) async fn race<T>(
    modern: impl Future<Output = (T, Asked)>,
    legacy: impl Future<Output = Option<(T, Asked)>>,
    told: impl FnOnce(),
    stopped: impl Future<Output = ()>,
) -> Option<Verdict<T>> {
    let mut modern = pin!(modern);
    if let Ok(first) = timeout(SILENCE, &mut modern).await {
        return Some(read(first));
    }
    told();
    let second = async {
        let asked = legacy.await;
        match asked {
            Some((process, Asked::Answer(answer, _))) if !answer.is_error() => process,
            refused => {
                // It may speak the modern era, and the first process is still to say so.
                drop(refused);
                pending().await
            }
        }
    };
    let either = async {
        tokio::select! {
            biased;
            first = modern => Some(read(first)),
            process = second => Some(Verdict::Legacy(process)),
            () = stopped => None,
        }
    };
    timeout(PATIENCE, either).await.ok().flatten()
}

/// A second process beside one that was sent a client's `initialize`.
pub(super) enum Beside<T> {
    /// None is needed, or none can be had.
    Never,
    /// It has said that it does not speak the modern era.
    Over,
    /// Started when the first has been silent until then.
    Later(Instant),
    /// Being asked in the modern era.
    Asked(Asking<T>),
}

impl<T> Beside<T> {
    pub fn after_silence() -> Beside<T> {
        Beside::Later(Instant::now() + SILENCE)
    }

    /// Resolves when the server has said whether it speaks the modern era. `ask` starts the second process. Cancel-safe:
    /// what was asked stays asked.
    pub async fn verdict(&mut self, ask: impl FnOnce() -> Asking<T>) -> Verdict<T> {
        if let Beside::Later(at) = self {
            sleep_until(*at).await;
            *self = Beside::Asked(ask());
        }
        if let Beside::Asked(asking) = self {
            let asked = asking.await;
            *self = if asked.is_some() { Beside::Over } else { Beside::Never };
            if let Some(asked) = asked {
                return read(asked);
            }
        }
        pending().await
    }

    /// The same, without waiting for the first process. `None` where there is no answer.
    pub async fn now(self, ask: impl FnOnce() -> Asking<T>, patience: Duration) -> Option<Verdict<T>> {
        let asking = match self {
            Beside::Asked(asking) => asking,
            Beside::Over => return None,
            Beside::Never | Beside::Later(_) => ask(),
        };
        timeout(patience, asking).await.ok().flatten().map(read)
    }
}

/// The bridge's own handshake, to see whether there is one.
pub(super) fn initialize() -> Frame {
    let params = serde_json::json!({
        "protocolVersion": NEWEST_LEGACY,
        "capabilities": {},
        "clientInfo": { "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") },
    });
    let id = Id::Text("mcp-bridge/initialize".into());
    Frame::request(&id, method::INITIALIZE, Some(&params.to_string()))
}

/// What those hear who waited for a server that said nothing.
pub(super) fn silent() -> String {
    format!(
        "it answered neither server/discover nor initialize within {} s; look into its log, or say with --server-era what it \
         speaks",
        (SILENCE + PATIENCE).as_secs()
    )
}

#[cfg(test)]
mod tests;
