//! The bridge as an OAuth client: how it gets a token for a server that asks for one, keeps it and renews it.
//!
//! Owns the [`Authorizer`], of which there is one a remote server: the wires ask it what to show with each request, and
//! tell it what the server refused. Talks to the modules below: `challenge` reads refusals, `flow` (with `callback`,
//! `browser`, `device`, `machine`, `register`) gets a token, `store` keeps it (sealed, where `keyring` has a key), `revoke`
//! gives it back, `reach` and `web` see to it that no server sends the bridge anywhere. Within a process one task at a time
//! is at the login, and among processes one process: the others wait and take what it got. It never shows a token to
//! another origin than the one it is for, and logs none.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};
use tracing::{debug, info, warn};
use url::Url;

use self::{
    challenge::Wanted,
    record::{ClientKind, Record, Token, now},
    store::{Locked, Store, StoreError},
};
use crate::{
    config::{
        Secret,
        oauth::{Grant, OauthSpec, Proof},
    },
    scope::Scope,
    wire::remote::fault::shown,
};

mod browser;
mod callback;
mod challenge;
mod device;
mod flow;
pub mod keyring;
pub mod login;
mod machine;
mod post;
mod reach;
pub mod record;
mod register;
pub mod revoke;
pub mod store;
mod web;

/// After a login that failed, the next request does not bring up the next browser window before this is over.
const BREATHER: Duration = Duration::from_secs(30);

/// Logins in one process because a token allowed too little. A server that always wants more would have its user log in
/// for ever.
const MAX_STEP_UPS: u32 = 3;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The server refuses, and publishes nothing about a login.
    #[error("it publishes no login")]
    NotOffered,
    /// It did not work. To stand after "URL wants a login: ".
    #[error("{0}")]
    Failed(String),
    /// The server itself cannot be reached, by a command that asks it first.
    #[error("{0}")]
    Unreachable(String),
    /// The user is to open a page; the login goes on.
    #[error("{}", .0.in_words())]
    Open(Errand),
}

/// What the user is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errand {
    /// The page to open.
    pub url: Url,
    /// What to type there, where that is a login on another device.
    pub code: Option<String>,
}

impl Errand {
    fn in_words(&self) -> String {
        match &self.code {
            None => format!("open {} in a browser on this machine, log in, then try again", self.url),
            Some(code) => format!("open {} anywhere, enter {code}, then try again", self.url),
        }
    }
}

impl Denied {
    fn failed(why: impl Into<String>) -> Denied {
        Denied::Failed(why.into())
    }
}

impl From<StoreError> for Denied {
    fn from(error: StoreError) -> Denied {
        Denied::Failed(error.to_string())
    }
}

/// A refusal that a token may help against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demand {
    wanted: Wanted,
    /// The token that was shown.
    used: Option<Secret>,
    /// Nothing was refused yet: the token ends soon.
    early: bool,
}

/// What is shown to the server.
#[derive(Clone)]
pub struct Credential {
    secret: Secret,
    header: HeaderValue,
}

impl Credential {
    fn of(token: &Token) -> Option<Credential> {
        let mut header = HeaderValue::from_str(&format!("Bearer {}", token.access)).ok()?;
        header.set_sensitive(true);
        Some(Credential { secret: Secret::new(token.access.as_str()), header })
    }

    /// The value of `Authorization`.
    pub fn header(&self) -> &HeaderValue {
        &self.header
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(***)")
    }
}

/// Gets tokens for one server.
pub struct Authorizer {
    server: Url,
    spec: OauthSpec,
    store: Option<Store>,
    state: Mutex<State>,
    scope: Scope,
}

/// Whether they do the same; what they have come to is another matter.
impl PartialEq for Authorizer {
    fn eq(&self, other: &Authorizer) -> bool {
        self.server == other.server && self.spec == other.spec
    }
}

impl fmt::Debug for Authorizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorizer").field("server", &shown(&self.server)).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct State {
    read: bool,
    token: Option<(Token, Credential)>,
    /// Where the token came from, as long as the server has not taken it.
    untried: Option<Source>,
    work: Option<watch::Receiver<Progress>>,
    failed: Option<(Instant, Denied)>,
    step_ups: u32,
    /// The server offers no login: its refusals are the last word.
    off: bool,
}

/// Where a token came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Renewal,
    Login,
}

/// How far the one task is.
#[derive(Debug, Clone)]
enum Progress {
    Working,
    /// For the user. Whether a page came up by itself, so that it is worth to wait for what comes of it.
    Waiting(Errand, bool),
    Done(Result<(), Denied>),
}

impl Authorizer {
    /// For the server at `url`. Nothing is read or sent yet.
    pub fn new(url: &Url, spec: OauthSpec) -> Arc<Authorizer> {
        let mut server = record::address(url);
        let store = spec.dir.as_ref().map(|dir| Store::new(dir, &server));
        // What tokens are asked for, and what authorization servers see. A query may hold a secret.
        server.set_query(None);
        Arc::new(Authorizer { server, spec, store, state: Mutex::default(), scope: Scope::new() })
    }

    /// The poison of a lock means that a task panicked elsewhere; a token is a token.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to show with the next request, if there is anything. Renews it when it ends soon.
    pub async fn credential(self: &Arc<Self>) -> Option<Credential> {
        let (token, credential) = self.current()?;
        let renewable = token.refresh.is_some() || self.spec.grant == Grant::Machine;
        if !renewable || !token.is_stale(now()) {
            return Some(credential);
        }
        let used = Some(credential.secret.clone());
        let demand = Demand { wanted: Wanted::Token(challenge::Challenge::default()), used, early: true };
        if let Err(denied) = self.satisfy(&demand).await {
            debug!("the token for {} could not be renewed ahead of its end: {denied}", shown(&self.server));
        }
        self.current().map(|(_, credential)| credential)
    }

    fn current(&self) -> Option<(Token, Credential)> {
        let mut state = self.state();
        if state.off {
            return None;
        }
        if !std::mem::replace(&mut state.read, true)
            && let Some(store) = &self.store
        {
            match store.load() {
                Ok(Some(record)) if self.fits(&record) => self.take(&mut state, record.token, None),
                Ok(_) => {}
                Err(error) => warn!("{error}"),
            }
        }
        state.token.clone()
    }

    fn take(&self, state: &mut State, token: Option<Token>, source: Option<Source>) {
        state.token = token.and_then(|token| Credential::of(&token).map(|credential| (token, credential)));
        state.untried = source;
    }

    /// Whether what was kept is of the client that is configured now.
    fn fits(&self, record: &Record) -> bool {
        match (&self.spec.client, record.client.kind) {
            (Some(known), ClientKind::Registered) => known.id == record.client.id,
            (Some(_), _) => false,
            (None, kind) => kind != ClientKind::Registered,
        }
    }

    /// Reads a response to a request that showed `used`. `Some`: the server did nothing, and [`Authorizer::satisfy`] may
    /// help.
    pub fn demand(&self, status: StatusCode, headers: &HeaderMap, used: Option<&Credential>) -> Option<Demand> {
        let wanted = challenge::read(status, headers);
        let mut state = self.state();
        let shown = state.token.as_ref().map(|(_, credential)| &credential.secret);
        let newest = used.is_some_and(|used| shown == Some(&used.secret));
        if newest && !matches!(wanted, Some(Wanted::Token(_))) && status != StatusCode::UNAUTHORIZED {
            state.untried = None;
        }
        if state.off {
            return None;
        }
        let used = used.map(|used| used.secret.clone());
        wanted.map(|wanted| Demand { wanted, used, early: false })
    }

    /// Gets a token that may do. Waits for the user, where one is asked, as long as a login is open.
    pub async fn satisfy(self: &Arc<Self>, demand: &Demand) -> Result<(), Denied> {
        let mut progress = self.begin(demand)?;
        let deadline = Instant::now() + self.spec.patience;
        // Ends with the work, or with what the user is to do, where nobody waits for that or the wait was long enough.
        loop {
            let waiting = match &*progress.borrow_and_update() {
                Progress::Done(done) => return done.clone(),
                Progress::Waiting(errand, false) => return Err(Denied::Open(errand.clone())),
                Progress::Waiting(errand, true) => Some(errand.clone()),
                Progress::Working => None,
            };
            let changed = match waiting {
                Some(errand) => match timeout_at(deadline, progress.changed()).await {
                    Ok(changed) => changed,
                    Err(_) => return Err(Denied::Open(errand)),
                },
                None => progress.changed().await,
            };
            if changed.is_err() {
                return Err(Denied::failed("the bridge is shutting down"));
            }
        }
    }

    /// Joins the work that is under way, or begins it.
    fn begin(self: &Arc<Self>, demand: &Demand) -> Result<watch::Receiver<Progress>, Denied> {
        let mut state = self.state();
        if let Some(work) = state.work.as_ref().filter(|work| !matches!(&*work.borrow(), Progress::Done(_))) {
            return Ok(work.clone());
        }
        if let Some((_, denied)) = state.failed.as_ref().filter(|(when, _)| when.elapsed() < BREATHER) {
            return Err(denied.clone());
        }
        let (tx, rx) = watch::channel(Progress::Working);
        state.work = Some(rx.clone());
        drop(state);
        let (this, demand) = (self.clone(), demand.clone());
        self.scope.spawn(async move {
            let done = this.obtain(&demand, &tx).await;
            let mut state = this.state();
            match &done {
                Err(Denied::NotOffered) => state.off = true,
                Err(denied) if !demand.early => state.failed = Some((Instant::now(), denied.clone())),
                _ => {}
            }
            drop(state);
            tx.send_replace(Progress::Done(done));
        });
        Ok(rx)
    }

    /// The one task: with the right to change what is kept, takes what another process got meanwhile, else renews, else logs
    /// in.
    async fn obtain(&self, demand: &Demand, progress: &watch::Sender<Progress>) -> Result<(), Denied> {
        let Some(store) = &self.store else {
            return Err(Denied::failed("this machine names no place to keep a token in; give one with --auth-dir"));
        };
        let locked = store.lock(self.spec.patience).await?;
        let kept = locked.load()?;
        let mut record = kept.filter(|record| self.fits(record));
        if let Some(token) = record.as_ref().and_then(|record| record.token.as_ref())
            && Some(token.access.as_str()) != demand.used.as_ref().map(Secret::expose)
            && token.left(now()) != Some(0)
        {
            debug!("another process got a token for {}", shown(&self.server));
            self.take(&mut self.state(), Some(token.clone()), None);
            return Ok(());
        }
        let untried = self.state().untried;
        match &demand.wanted {
            Wanted::Token(_) if untried == Some(Source::Login) => {
                return Err(Denied::failed(
                    "it refuses the token that its own authorization server has just given; ask its owner why",
                ));
            }
            Wanted::Token(_) => {
                if untried != Some(Source::Renewal)
                    && let Some(known) = &mut record
                    && self.renewed(&locked, known).await?
                {
                    return Ok(());
                }
                if demand.early && self.spec.grant != Grant::Machine {
                    return Err(Denied::failed("a login is needed")); // But nobody asked for one yet.
                }
            }
            Wanted::Scope(challenge) => self.step_up(record.as_ref(), &challenge.scopes())?,
        }
        let record = self.log_in(record, demand.wanted.challenge(), progress).await?;
        locked.save(&record)?;
        info!("logged in to {}", shown(&self.server));
        self.take(&mut self.state(), record.token, Some(Source::Login));
        Ok(())
    }

    /// Renews the token. What the authorization server refuses for good is forgotten.
    async fn renewed(&self, locked: &Locked, record: &mut Record) -> Result<bool, Denied> {
        if record.token.as_ref().is_none_or(|token| token.refresh.is_none()) {
            return Ok(false);
        }
        match flow::renew(&self.spec, &self.server, record, self.client_secret().as_ref()).await {
            flow::Renewed::Token(token) => {
                record.token = Some(token.clone());
                locked.save(record)?;
                debug!("renewed the token for {}", shown(&self.server));
                self.take(&mut self.state(), Some(token), Some(Source::Renewal));
                Ok(true)
            }
            flow::Renewed::Refused => {
                debug!("the token for {} cannot be renewed any more", shown(&self.server));
                record.token = None;
                locked.save(record)?;
                Ok(false)
            }
            flow::Renewed::Failed(denied) => Err(denied),
        }
    }

    fn client_secret(&self) -> Option<Secret> {
        match self.spec.client.as_ref().map(|client| &client.proof) {
            Some(Proof::Secret(secret)) => Some(secret.clone()),
            _ => None,
        }
    }

    /// Whether a login with more scopes makes sense.
    fn step_up(&self, record: Option<&Record>, wanted: &[String]) -> Result<(), Denied> {
        let asked = record.map(|record| record.requested.as_slice()).unwrap_or_default();
        let mut state = self.state();
        if !wanted.is_empty() && wanted.iter().all(|scope| asked.contains(scope)) {
            return Err(Denied::failed(format!(
                "it wants a token that allows {}, which its authorization server was asked for and did not grant",
                wanted.join(" ")
            )));
        }
        if state.step_ups >= MAX_STEP_UPS {
            return Err(Denied::failed(format!(
                "it wants more rights after {MAX_STEP_UPS} logins for that; ask its owner what a token must allow"
            )));
        }
        state.step_ups += 1;
        Ok(())
    }
}
