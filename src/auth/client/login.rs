//! The steps of a login that involve the user, and the login that is asked for by command.
//!
//! Owns when a browser is opened, what the user is told, and how long is waited. Talks to `flow` for the protocol. The user
//! is told by a warning, which desktop clients show by default.

use std::{fmt, time::Duration};

use http::{Method, Request, StatusCode};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::watch,
    time::timeout,
};
use tracing::warn;
use url::Url;

use super::{
    Authorizer, Denied, Errand, Progress, browser,
    callback::{self, Callback, Rejected},
    challenge::{self, Challenge, Wanted},
    device,
    flow::{Login, Page},
    machine,
    record::{Client, ClientKind, Record, Token, address},
    revoke::{self, Revocation},
    store::{self, Store, StoreError},
    web,
};
use crate::{
    config::oauth::{Grant, LogoutSpec, OauthSpec, TokenDir},
    tls,
    wire::remote::fault::{Asked, Fault, shown, status_line},
};

impl Authorizer {
    /// A whole login. `kept`: what is known of an earlier one.
    pub(super) async fn log_in(
        &self,
        kept: Option<Record>,
        challenge: &Challenge,
        progress: &watch::Sender<Progress>,
    ) -> Result<Record, Denied> {
        let mut login = Login::discover(&self.spec, &self.server, challenge).await?;
        let issuer = login.issuer().map(str::to_owned);
        let kept = kept.as_ref();
        let same = kept.filter(|kept| kept.issuer == issuer);
        let scopes = login.scopes(same.map(|kept| kept.requested.as_slice()).unwrap_or_default()).await;
        let server = self.server.to_string();
        let (client, token, resource) = match self.spec.grant {
            Grant::Machine => {
                let Some(known) = &self.spec.client else {
                    return Err(Denied::failed("--client-credentials needs --client-id"));
                };
                let (client, token) = machine::token(&login, known, &scopes, &server).await?;
                (client, token, server.clone())
            }
            Grant::Device => self.by_device(&mut login, kept, &scopes, progress).await?,
            Grant::Browser | Grant::Url => self.by_page(&mut login, kept, &scopes, progress).await?,
        };
        // What was registered by hand has its secret in the user's own file.
        let secret = client.secret.filter(|_| client.kind == ClientKind::Dynamic);
        let (client, metadata) = (Client { secret, ..client }, login.metadata.clone());
        Ok(Record { server, resource, issuer, client, metadata, requested: scopes, token: Some(token) })
    }

    async fn by_page(
        &self,
        login: &mut Login<'_>,
        kept: Option<&Record>,
        scopes: &[String],
        progress: &watch::Sender<Progress>,
    ) -> Result<(Client, Token, String), Denied> {
        let callback = self.listen(kept).await?;
        let client = login.identify(kept, scopes, &callback.redirect_uri()).await?;
        let page = login.page(scopes).await?;
        let errand = Errand { url: page.url.clone(), code: None };
        let (server, at) = (shown(&self.server), &page.url);
        let came_up = self.spec.grant == Grant::Browser
            && match browser::open(at, self.spec.browser.as_deref()).await {
                Ok(()) => true,
                Err(why) => {
                    warn!("no browser came up: {why}");
                    false
                }
            };
        match came_up {
            true => warn!("{server} asks for a login: go to your browser, or open {at}"),
            false => warn!("{server} asks for a login: open {at} in a browser on this machine"),
        }
        progress.send_replace(Progress::Waiting(errand, came_up));
        let answer = match timeout(self.open_for(), self.answer(&callback, &page)).await {
            Ok(answer) => answer.map_err(|why| Denied::Failed(format!("the login failed: {why}")))?,
            Err(_) => {
                let minutes = self.open_for().as_secs_f64() / 60.0;
                return Err(Denied::Failed(format!(
                    "nobody logged in within {minutes:.1} min (--auth-timeout); run mcp-bridge login {}",
                    shown(&self.server)
                )));
            }
        };
        // No second answer is taken from here on.
        drop(callback);
        let token = login.redeem(&page, &answer, scopes).await?;
        Ok((client, token, page.resource))
    }

    /// How long a login is open. Whoever waits for it in a bridge is told what to open before that, and may use it then.
    fn open_for(&self) -> Duration {
        self.spec.patience.saturating_mul(if self.spec.takes_paste { 1 } else { 2 })
    }

    /// A server may insist on the very redirect URI that the client was registered with, port included.
    async fn listen(&self, kept: Option<&Record>) -> Result<Callback, Denied> {
        let before = kept.filter(|kept| kept.client.kind == ClientKind::Dynamic);
        let before = before.and_then(|kept| Url::parse(kept.client.redirect_uri.as_deref()?).ok()?.port());
        Callback::bind(self.spec.callback_port, before).await.map_err(|error| {
            Denied::Failed(format!(
                "cannot listen on 127.0.0.1:{} for the browser to come back ({error}); give another --callback-port",
                self.spec.callback_port
            ))
        })
    }

    /// The answer, from the browser or, where the user types commands, from a pasted URL.
    async fn answer(&self, callback: &Callback, page: &Page) -> Result<callback::Answer, String> {
        if !self.spec.takes_paste {
            return callback.answer(&page.expected).await;
        }
        tokio::select! {
            answer = callback.answer(&page.expected) => answer,
            answer = pasted(page) => answer,
        }
    }

    async fn by_device(
        &self,
        login: &mut Login<'_>,
        kept: Option<&Record>,
        scopes: &[String],
        progress: &watch::Sender<Progress>,
    ) -> Result<(Client, Token, String), Denied> {
        // Nobody comes back to it; a client that registers must name something, and the same one each time.
        let client = login.identify(kept, scopes, "http://127.0.0.1/callback").await?;
        let resource = login.page(scopes).await.map_or_else(|_| self.server.to_string(), |page| page.resource);
        let errand = device::begin(login, &client, scopes, &resource).await?;
        let told = Errand { url: errand.url.clone(), code: Some(errand.code.clone()) };
        warn!("{} asks for a login: open {} anywhere and enter {}", shown(&self.server), told.url, errand.code);
        progress.send_replace(Progress::Waiting(told, false));
        let finished = timeout(self.open_for(), device::finish(login, &client, errand, scopes, &resource)).await;
        let token =
            finished.unwrap_or_else(|_| Err(Denied::failed("the code was not used in time (--auth-timeout)")))?;
        Ok((client, token, resource))
    }
}

/// Reads the redirect's URL from the terminal, for a browser on another machine.
async fn pasted(page: &Page) -> Result<callback::Answer, String> {
    let mut lines = BufReader::new(crate::wire::stdio::stdin()).lines();
    // Ends with an answer; without a terminal, never: the browser's answer ends the login then.
    while let Ok(Some(line)) = lines.next_line().await {
        match callback::judge_pasted(&line, &page.expected) {
            Ok(answer) => return Ok(answer),
            Err(Rejected::Final(why)) => return Err(why),
            Err(Rejected::Stray) if line.trim().is_empty() => {}
            Err(Rejected::Stray) => {
                warn!("that is not the URL of this login's last page; paste all of it, from http://127.0.0.1 on");
            }
        }
    }
    std::future::pending().await
}

/// What a login by command came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoginEnd {
    /// There is a new token.
    Done(Vec<(&'static str, String)>),
    /// The server takes anybody.
    NotNeeded,
}

/// `mcp-bridge login`: a login now, whatever is kept.
pub async fn login(url: &Url, spec: OauthSpec) -> Result<LoginEnd, Denied> {
    let seen = probe(&address(url), &spec.tls).await?;
    let authorizer = Authorizer::new(url, spec);
    let Some(store) = &authorizer.store else {
        return Err(Denied::failed("this machine names no place to keep a token in; give one with --auth-dir"));
    };
    let locked = store.lock(authorizer.spec.patience).await?;
    // What was asked for earlier is not asked for again: a command is how users start anew.
    let kept = locked.load().ok().flatten().filter(|record| authorizer.fits(record));
    let kept = kept.map(|record| Record { requested: Vec::new(), ..record });
    let (progress, _told) = watch::channel(Progress::Working);
    let (challenge, open) = match seen {
        Seen::Challenge(challenge) => (challenge, None),
        Seen::Open(status) => (Challenge::default(), Some(status)),
    };
    match authorizer.log_in(kept, &challenge, &progress).await {
        Ok(record) => {
            locked.save(&record)?;
            Ok(LoginEnd::Done(record.status(super::now())))
        }
        Err(Denied::NotOffered) => match open {
            Some(None) => Ok(LoginEnd::NotNeeded),
            Some(Some(status)) => Err(Denied::Unreachable(nothing_there(url, status))),
            None => Err(Denied::NotOffered),
        },
        Err(denied) => Err(denied),
    }
}

/// What a server said to somebody without a token.
enum Seen {
    /// It asks for one.
    Challenge(Challenge),
    /// It does not. With the status, if no server took the question.
    Open(Option<StatusCode>),
}

/// A login is asked for by nobody there; the URL is the likely mistake.
fn nothing_there(url: &Url, status: StatusCode) -> String {
    let asked = Asked { bare: matches!(url.path(), "" | "/"), ..Asked::default() };
    let next = match status.as_u16() {
        404 | 410 => asked.nothing_there(),
        500.. => "try again later, or look into the server's log",
        _ => "check the URL, and who may call that server",
    };
    format!("{} answers HTTP {} and asks for no login; {next}", shown(url), status_line(status))
}

/// Whether something that is no MCP server, or none that works, answered.
fn is_amiss(status: StatusCode) -> bool {
    matches!(status.as_u16(), 403 | 404 | 410 | 421 | 500..=599)
}

async fn probe(url: &Url, tls: &tls::client::Client) -> Result<Seen, Denied> {
    let builder = web::builder(tls, url, true).map_err(|error| Denied::failed(error.to_string()))?;
    let client = builder.timeout(PROBE).build().map_err(|_| Denied::failed("the HTTP client cannot be set up"))?;
    let mut answers = Vec::with_capacity(2);
    for method in [Method::POST, Method::GET] {
        let request = Request::builder().method(&method).uri(url.as_str());
        let request = request
            .header(http::header::ACCEPT, "application/json, text/event-stream")
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(if method == Method::POST { PING } else { "" })
            .map_err(|_| Denied::failed("the URL cannot be asked"))?;
        let request = request.try_into().map_err(|_| Denied::failed("the URL cannot be asked"))?;
        let response = client.execute(request).await.map_err(|error| {
            Denied::Unreachable(format!("cannot reach {}: {}", shown(url), Fault::read(&error, false).why))
        })?;
        if let Some(Wanted::Token(challenge)) = challenge::read(response.status(), response.headers()) {
            return Ok(Seen::Challenge(challenge));
        }
        answers.push(response.status());
    }
    if answers.last() == Some(&StatusCode::UNAUTHORIZED) {
        return Err(Denied::failed("it wants another kind of login than OAuth; see its help"));
    }
    // With HTTP+SSE, one of the two may be 404 where a server is.
    let amiss = answers.iter().all(|status| is_amiss(*status));
    Ok(Seen::Open(answers.first().copied().filter(|_| amiss)))
}

/// For each question of [`probe`].
const PROBE: Duration = Duration::from_secs(30);

/// Changes nothing, in either era.
const PING: &str = r#"{"jsonrpc":"2.0","id":"login","method":"ping"}"#;

/// `mcp-bridge logout`: forgets what is kept of a server, then gives the tokens back. `None`: nothing was kept.
pub async fn logout(url: &Url, spec: LogoutSpec) -> Result<Option<Revocation>, Denied> {
    let locked = Store::new(&spec.dir, &address(url)).lock(PROBE).await?;
    let kept = locked.load();
    // Deleted unread, its tokens could never be given back.
    if let Err(sealed @ StoreError::Sealed(_)) = kept {
        return Err(sealed.into());
    }
    let removed = locked.remove()?;
    // Others need not wait for an authorization server.
    drop(locked);
    Ok(match kept {
        _ if !removed => None,
        Ok(Some(record)) => Some(revoke::revoke(record, spec).await),
        Ok(None) => Some(Revocation::NoToken),
        // There may have been tokens in it.
        Err(_) => Some(Revocation::Failed("what was kept could not be read".into())),
    })
}

/// `mcp-bridge auth status`: what is kept, of one server or of all, without any secret.
pub fn status(url: Option<&Url>, dir: &TokenDir) -> Result<Vec<Status>, Denied> {
    let records = match url {
        Some(url) => Store::new(dir, &address(url)).load().transpose().into_iter().collect(),
        None => store::all(dir)?,
    };
    let told = |record: Result<Record, StoreError>| match record {
        Ok(record) => Status(record.status(super::now())),
        Err(error) => Status(vec![("error", error.to_string())]),
    };
    Ok(records.into_iter().map(told).collect())
}

/// One server, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status(pub Vec<(&'static str, String)>);

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.0 {
            writeln!(f, "{name:<8}{}", crate::observe::flat(value))?;
        }
        Ok(())
    }
}
