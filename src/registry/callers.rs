//! A server that gets variables from its callers (`--header-env`, `--claim-env`): each caller has processes
//! of its own.
//!
//! Owns one registry for each set of values of callers, which is found again by the values themselves: two callers
//! share processes exactly when theirs are the same. Talks to [`Children`]. A value goes into the environment of a process
//! and nowhere else: never into a log line, an error, or an argument.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{HeaderMap, HeaderName};
use tokio::{sync::Semaphore, time::Instant};

use super::{Ground, OpenError, Registry, Server, children::Children, gate::Gate, readiness::Readiness};
use crate::{
    auth::resource::TokenClaims,
    config::{CallerEnv, Limits, Secret, Sharing, Source, tools::ToolFilter},
    scope::Scope,
};

/// The longest value, in bytes: values are kept. Longer than any token, shorter than what a request's head may hold.
const MAX_VALUE: usize = 8 * 1024;

/// How long processes are kept for modern callers that do not come back. Longer than a parked call waits for its caller.
const KEPT: Duration = Duration::from_secs(15 * 60);

/// How often those are looked for.
const SWEEP: Duration = Duration::from_secs(60);

/// What a caller sent, and what its token says: a value for each source, in the order of the configuration, or none.
type Values = Box<[Option<Secret>]>;

/// The callers that were there lately.
pub(super) struct Callers {
    children: Arc<Children>,
    limits: Limits,
    sessions: Arc<Semaphore>,
    scope: Scope,
    /// Which tools every caller is offered, and where that is seen to.
    tools: (ToolFilter, Scope),
    /// At most as many as there may be processes.
    known: Arc<Mutex<HashMap<Values, Known>>>,
}

#[derive(Debug)]
struct Known {
    registry: Arc<Registry>,
    children: Arc<Children>,
    used: Instant,
}

impl Known {
    /// Whether nobody would miss it. Sessions keep their own processes.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.registry) == 1 && !self.children.is_in_use()
    }
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

fn lock(known: &Mutex<HashMap<Values, Known>>) -> MutexGuard<'_, HashMap<Values, Known>> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Callers {
    pub(super) fn new(
        children: Arc<Children>,
        limits: &Limits,
        sessions: Arc<Semaphore>,
        ground: &Ground,
        tools: &ToolFilter,
    ) -> Callers {
        let (known, scope) = (Arc::new(Mutex::default()), &ground.scope);
        scope.spawn(sweep(Arc::downgrade(&known), scope.clone()));
        let tools = (tools.clone(), ground.way.clone());
        Callers { children, limits: limits.clone(), sessions, scope: scope.clone(), tools, known }
    }

    /// The registry for a caller who sent these headers, and whose token says this.
    pub(super) fn registry_for(&self, headers: &HeaderMap, claims: &TokenClaims) -> Result<Arc<Registry>, OpenError> {
        let values = read(&self.children.spec.caller_env, headers, claims)?;
        let mut known = lock(&self.known);
        if let Some(found) = known.get_mut(&values) {
            found.used = Instant::now();
            return Ok(found.registry.clone());
        }
        let most = self.children.most();
        let evicted = if known.len() < most { None } else { Some(evict(&mut known)) };
        if matches!(evicted, Some(None)) {
            return Err(OpenError::Crowded { limit: most });
        }
        let names = self.children.spec.caller_env.iter();
        let variables = names.zip(&values).filter_map(|((_, name), value)| Some((name.to_string(), value.clone()?)));
        let readiness = Arc::new(Readiness::default());
        let children = self.children.with(variables, readiness.clone());
        let server = Server::Child(children.clone());
        let (limits, sessions) = (&self.limits, self.sessions.clone());
        let gate = Gate::new(&self.tools.0, &self.tools.1);
        let registry = Registry::new(server, Sharing::Own, limits, &self.scope, sessions, readiness, (None, gate));
        known.insert(values, Known { registry: registry.clone(), children, used: Instant::now() });
        drop(known);
        if let Some(evicted) = evicted.flatten() {
            self.scope.spawn(async move { evicted.registry.close().await });
        }
        Ok(registry)
    }

    /// Lets all go.
    pub(super) async fn close(&self) {
        let all = std::mem::take(&mut *lock(&self.known));
        for known in all.into_values() {
            known.children.close().await;
        }
    }
}

/// The one that was there longest ago, of those whom nobody would miss.
fn evict(known: &mut HashMap<Values, Known>) -> Option<Known> {
    let idle = known.iter().filter(|(_, known)| known.is_idle());
    let oldest = idle.min_by_key(|(_, known)| known.used).map(|(values, _)| values.clone())?;
    known.remove(&oldest)
}

/// Lets go of those that do not come back. Ends with the bridge.
async fn sweep(known: Weak<Mutex<HashMap<Values, Known>>>, scope: Scope) {
    let mut tick = tokio::time::interval(SWEEP);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = scope.stopped() => return,
        }
        let Some(known) = known.upgrade() else { return };
        let mut let_go = Vec::new();
        lock(&known).retain(|_, known| {
            let keep = known.used.elapsed() < KEPT || !known.is_idle();
            if !keep {
                let_go.push(known.registry.clone());
            }
            keep
        });
        for registry in let_go {
            // A registry of one caller has no callers of its own: this does not come back here.
            Box::pin(registry.close()).await;
        }
    }
}

/// The values of a caller. A header or a claim that is not there is a variable that is not set.
fn read(wanted: &CallerEnv, headers: &HeaderMap, claims: &TokenClaims) -> Result<Values, OpenError> {
    let value = |(source, _): (&Source, &str)| {
        let value = match source {
            Source::Header(name) => sent(headers, name),
            Source::Claim(name) => claims.get(name).map(Option::<&Secret>::cloned),
        };
        value.and_then(checked).map_err(|why| OpenError::Caller(source.clone(), why))
    };
    wanted.iter().map(value).collect()
}

fn sent(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Secret>, &'static str> {
    let mut all = headers.get_all(name).iter();
    let Some(value) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return Err("it is there twice; send it once");
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) => Ok(Some(Secret::new(text))),
        Err(_) => Err("its value is not UTF-8; encode it"),
    }
}

fn checked(value: Option<Secret>) -> Result<Option<Secret>, &'static str> {
    let Some(text) = value.as_ref().map(Secret::expose) else { return Ok(None) };
    if text.len() > MAX_VALUE {
        return Err("its value is longer than 8 KiB; send a shorter one");
    }
    // HTTP lets none of these through in a header, but a claim may have them; a variable with one would end early, or be
    // two lines to a shell.
    if text.contains(['\0', '\n', '\r']) {
        return Err("its value has a NUL or a line break; leave it out");
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn wanted() -> CallerEnv {
        CallerEnv::new(vec![
            (HeaderName::from_static("x-token"), "TOKEN".into()),
            (HeaderName::from_static("x-user"), "USER_NAME".into()),
        ])
        .unwrap()
    }

    fn headers(pairs: &[(&'static str, &'static [u8])]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_bytes(v).unwrap())).collect()
    }

    #[test]
    fn values_are_read_in_order_and_a_missing_one_is_none() {
        let values = read(&wanted(), &headers(&[("x-user", b"me")]), &TokenClaims::default()).unwrap();
        assert_eq!(*values, [None, Some(Secret::new("me"))]);
        let empty = read(&wanted(), &headers(&[("x-token", b"")]), &TokenClaims::default()).unwrap();
        assert_eq!(empty[0], Some(Secret::new("")));
    }

    #[test]
    fn what_cannot_be_a_variable_is_refused_without_telling_it() {
        let mut twice = headers(&[("x-token", b"hunter2")]);
        twice.append("x-token", HeaderValue::from_static("hunter3"));
        for bad in [twice, headers(&[("x-token", b"hunter2\xff")]), headers(&[("x-token", &[b'h'; 9000])])] {
            let error = read(&wanted(), &bad, &TokenClaims::default()).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("x-token") && !shown.contains("hunter") && !shown.contains("hhh"), "{shown}");
        }
    }
    #[test]
    fn a_claim_is_not_read_from_a_header_and_is_refused_without_telling_it() {
        let wanted = CallerEnv::default().and_claims(vec![("x-user".into(), "USER_NAME".into())]).unwrap();
        let claims = |value: &str| -> TokenClaims {
            serde_json::from_value(serde_json::json!({"x-user": value, "other": 1})).unwrap()
        };
        let headers = headers(&[("x-user", b"you")]);
        assert_eq!(*read(&wanted, &headers, &claims("me")).unwrap(), [Some(Secret::new("me"))]);
        assert_eq!(*read(&wanted, &headers, &TokenClaims::default()).unwrap(), [None]);
        for bad in ["hunter\0", "hunter\nB=2", "hunter\r", &"hunter2".repeat(2000)] {
            let error = read(&wanted, &headers, &claims(bad)).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains("x-user") && !shown.contains("hunter"), "{shown}");
        }
    }
}
