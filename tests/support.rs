//! The harness: the real binary under test, clients that speak each wire byte by byte, and servers that the test scripts.
//!
//! Owns every wait: [`soon`] bounds each of them and says what was awaited. Nothing here sleeps to synchronise, and no
//! port is fixed. It shares no protocol code with the bridge, so that both cannot be wrong in the same way.

use std::{future::Future, time::Duration};

use mcp_bridge::scope::Scope;

pub mod actor;
pub mod authority;
pub mod certs;
pub mod client;
pub mod http;
pub mod issuer;
pub mod processes;
pub mod program;
pub mod remote;
pub mod route;
pub mod script;
pub mod user;

/// Longest wait for anything: long enough for a busy machine, short enough for a test that hangs.
pub const GUARD: Duration = Duration::from_secs(40);

/// Between two looks at what has no event to wait for.
const LOOK: Duration = Duration::from_millis(10);

/// Fails the test when `future` takes longer than [`GUARD`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(GUARD, future).await;
    waited.unwrap_or_else(|_| panic!("waited {} s in vain for {what}", GUARD.as_secs()))
}

/// Waits until `check` gives something. Only for what has no event to wait for: process tables and files.
pub async fn eventually<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(found) = check() {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
}

/// As [`eventually`], for what has to be asked of another program.
pub async fn at_last<T>(what: &str, mut check: impl AsyncFnMut() -> Option<T>) -> T {
    soon(what, async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    })
    .await
}

/// Runs something beside the test. It ends with the test's runtime.
pub fn background(task: impl Future<Output = ()> + Send + 'static) {
    drop(Scope::new().spawn(task));
}
