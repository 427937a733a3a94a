//! What is known of the tools behind this endpoint: which of their arguments the headers of a call must repeat.
//!
//! Owns a small book for each principal, since lists may vary with the authorization and with nothing else (2026-07-28,
//! Base Protocol, Statelessness). It is learned from the lists that pass; where it lacks a tool, the list is asked for.
//! Talks to the registry. It never holds up a call for a list that cannot be had, and never changes one that passes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::HeaderMap;
use tokio::time::{Instant, timeout};
use tracing::debug;

use super::modern::Exchange;
use crate::{
    annotations::{Annotations, PARAM},
    json::{self, Object},
    message::{Frame, Id},
    peer::{Caller, Principal},
    protocol::{meta_beside, method},
    registry::Registry,
    scope::Scope,
    wire::http::{mirror::Tools, rules::Fault},
};

/// Books at once. Principals come from the configuration or from an authorization server; when there are more, all is
/// learned again.
const MAX_BOOKS: usize = 256;

/// Bytes of one book, about. A server's list must not fill memory; tools beyond this are not checked.
const MAX_WEIGHT: usize = 256 * 1024;

/// Pages of one list. A server that always names a next page must not keep a call waiting.
const MAX_PAGES: usize = 32;

/// How long a list is good. A server whose tools change tells it to those who listen, and they list again; this is for the
/// others.
const GOOD: Duration = Duration::from_secs(5 * 60);

/// How soon after one question the next one may follow.
const AGAIN: Duration = Duration::from_secs(10);

/// How long a call waits for a list.
const PATIENCE: Duration = Duration::from_secs(5);

/// The books of one endpoint.
#[derive(Debug, Default)]
pub struct Books {
    books: Mutex<HashMap<Option<Principal>, Arc<Book>>>,
}

/// What a book says about a call.
#[derive(Debug)]
pub enum Checked {
    /// This, and that is all there is to know.
    Sure(Result<(), Fault>),
    /// The list has to be asked for first: see [`Book::check_anew`].
    Unsure(Arc<Book>),
}

/// What one principal's lists say.
#[derive(Debug, Default)]
pub struct Book {
    pages: Mutex<Pages>,
    /// Held while the list is asked for: whoever comes second waits for the one answer.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Pages {
    tools: HashMap<Box<str>, Arc<Annotations>>,
    weight: usize,
    /// When the end of a list was seen, or the last question failed.
    listed: Option<Instant>,
    /// When it was last asked for.
    asked: Option<Instant>,
}

impl Books {
    /// Checks the headers of a call of the tool `name` that repeat arguments.
    pub fn check(&self, name: &str, headers: &HeaderMap, call: &Frame, principal: Option<&Principal>) -> Checked {
        let book = self.book(principal);
        let now = Instant::now();
        let (annotations, is_stale, may_ask) = {
            let pages = book.lock();
            (pages.tools.get(name).cloned(), pages.is_stale(now), pages.may_ask(now))
        };
        let verdict = annotations.map(|annotations| annotations.check(headers, call).map_err(Fault::from));
        let is_unsure = is_stale
            || match &verdict {
                Some(verdict) => verdict.is_err(),
                None => headers.keys().any(|header| header.as_str().starts_with(PARAM)),
            };
        if is_unsure && may_ask { Checked::Unsure(book) } else { Checked::Sure(verdict.unwrap_or(Ok(()))) }
    }

    /// Who reads the answer to a `tools/list` that passes.
    pub fn learning(&self, list: &Frame, principal: Option<&Principal>) -> Learning {
        let params = list.body().and_then(Object::parse);
        let from_start = params.is_none_or(|params| params.get("cursor").is_none());
        Learning { book: self.book(principal), from_start }
    }

    fn book(&self, principal: Option<&Principal>) -> Arc<Book> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        let key = principal.cloned();
        if books.len() >= MAX_BOOKS && !books.contains_key(&key) {
            books.clear();
        }
        books.entry(key).or_default().clone()
    }
}

impl Book {
    /// Checks a call once more, after the server was asked for its tools.
    pub async fn check_anew(
        &self,
        registry: &Registry,
        scope: &Scope,
        name: &str,
        headers: &HeaderMap,
        call: &Frame,
        principal: Option<&Principal>,
    ) -> Result<(), Fault> {
        self.ask(registry, scope, call, principal).await;
        let annotations = self.lock().tools.get(name).cloned();
        // A tool that it does not know has nothing to check.
        annotations.map_or(Ok(()), |annotations| annotations.check(headers, call).map_err(Fault::from))
    }

    /// Asks the server for its tools, as the client of this call would.
    async fn ask(&self, registry: &Registry, scope: &Scope, call: &Frame, principal: Option<&Principal>) {
        let _turn = self.asking.lock().await;
        if !self.lock().may_ask(Instant::now()) {
            return;
        }
        let listed = timeout(PATIENCE, list(registry, scope, call, principal)).await.ok().flatten();
        let mut pages = self.lock();
        pages.asked = Some(Instant::now());
        match listed {
            Some(listed) => {
                pages.clear();
                listed.into_iter().for_each(|tools| pages.add(tools));
            }
            None => debug!("the list of tools cannot be had; calls pass with the headers that they have"),
        }
        // Also when it failed: a server that does not answer must not hold up a call every few seconds.
        pages.listed = pages.asked;
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pages {
    fn is_stale(&self, now: Instant) -> bool {
        self.listed.is_none_or(|listed| now.saturating_duration_since(listed) > GOOD)
    }

    fn may_ask(&self, now: Instant) -> bool {
        self.asked.is_none_or(|asked| now.saturating_duration_since(asked) > AGAIN)
    }

    fn clear(&mut self) {
        self.tools.clear();
        self.weight = 0;
    }

    fn add(&mut self, tools: Tools) {
        // A tool whose annotations are not valid is none that a client of this transport may call: there is nothing to check.
        for (name, annotations) in tools.good.into_iter().filter(|(name, _)| !name.is_empty()) {
            let weight = size_of::<(Box<str>, Arc<Annotations>)>() + name.len() + annotations.weight();
            if self.weight + weight > MAX_WEIGHT {
                debug!("the server has more tools than are remembered; the headers of some calls are not checked");
                return;
            }
            self.weight += weight;
            self.tools.insert(name.into(), Arc::new(annotations));
        }
    }
}

/// Reads one answer to `tools/list` on its way to the client.
#[derive(Debug)]
pub struct Learning {
    book: Arc<Book>,
    /// The client asked for the first page.
    from_start: bool,
}

impl Learning {
    /// Takes note of what it says.
    pub fn read(self, answer: &Frame) {
        let Some(tools) = page(answer) else { return };
        let mut pages = self.book.lock();
        let is_last = tools.cursor.is_none();
        if is_last && self.from_start {
            pages.clear();
        }
        pages.add(tools);
        if is_last {
            pages.listed = Some(Instant::now());
        }
    }
}

fn page(answer: &Frame) -> Option<Tools> {
    answer.body().filter(|_| !answer.is_error()).and_then(Tools::read)
}

/// All pages of the list; `None` when it cannot be had. Each page is an exchange of its own.
async fn list(registry: &Registry, scope: &Scope, call: &Frame, principal: Option<&Principal>) -> Option<Vec<Tools>> {
    let meta = meta_beside(call);
    let mut pages: Vec<Tools> = Vec::new();
    // Ends with the last page.
    while pages.len() < MAX_PAGES {
        let cursor = match pages.last().map(|page| page.cursor.as_deref()) {
            None => String::new(),
            Some(Some(cursor)) => format!(r#","cursor":{}"#, json::quote(cursor)),
            Some(None) => break,
        };
        let params = format!(r#"{{"_meta":{meta}{cursor}}}"#);
        let request = Frame::request(&Id::Number(0), method::TOOLS_LIST, Some(&params));
        let mut exchange =
            Exchange::open(registry, scope, request, Caller::modern(principal.cloned()), None).await.ok()?;
        pages.push(page(&exchange.answer().await?)?);
    }
    Some(pages)
}
