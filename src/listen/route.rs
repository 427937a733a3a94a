//! Where a request goes.
//!
//! Owns the paths, the order of the checks, the table of servers and the two health routes. Talks to the guard and the
//! mounts. It never looks at what a route is for.
//!
//! The table is one value behind one pointer. It is exchanged whole; who has come by the old one goes on with that.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{Method, StatusCode};
use hyper::body::Incoming;
use tracing::error;

use super::{
    client,
    door::{Admission, Admitted, Door},
    guard::{Guard, Passed},
    mount::{Endpoint, Mount, Table},
    rate::{Counted, Knock, Limiter},
    ready::{self, Ready},
    stream::Arrival,
};
use crate::{
    audit::{Audit, Refused, Visitor, Who},
    config::{NetworkSpec, traffic::Proxy},
    message::code,
    peer::Principal,
    scope::Scope,
    wire::{
        exchange::{Body, Refusal, Response},
        ws::accept::Slot,
    },
};

/// Readiness. Liveness has a path that can be chosen.
const READY_PATH: &str = "/readyz";

/// Servers that are not at the root are below this, by their names.
pub(super) const NAMED: &str = "/servers/";

type Request = http::Request<Incoming>;

/// The routes of one listening socket.
#[derive(Debug)]
pub struct Routes {
    guard: Guard,
    door: Door,
    /// Believed in what they say of their client's address.
    proxies: Vec<Proxy>,
    limiter: Option<Arc<Limiter>>,
    audit: Option<Audit>,
    scope: Scope,
    /// What a proxy may leave in front of each path.
    prefix: String,
    health_path: String,
    table: RwLock<Arc<Table>>,
}

enum Route {
    Health,
    Ready,
    /// What tokens the resource at this path takes.
    Metadata(String),
    /// A path of a server's, and which one.
    Server(Arc<Mount>, usize),
}

/// A request that has come past the guard and the door.
enum Entered {
    Answered(Response),
    Server(Arc<Mount>, usize, Admitted),
    /// Who calls is not known yet.
    Asking(Option<(Arc<Mount>, usize)>, BoxFuture<'static, Result<Admitted, Refusal>>),
}

impl Routes {
    /// The routes that a configuration asks for. Readiness ends with `scope`.
    pub fn new(network: &NetworkSpec, table: Table, scope: &Scope) -> Routes {
        Routes {
            guard: Guard::new(network),
            door: Door::new(network),
            proxies: network.traffic.proxies.clone(),
            limiter: Limiter::new(&network.traffic, Instant::now()),
            audit: None,
            scope: scope.clone(),
            prefix: prefix(network),
            health_path: network.health_path.clone(),
            table: RwLock::new(Arc::new(table)),
        }
    }

    /// With an audit log, if there is one.
    pub fn noting(self, audit: Option<Audit>) -> Routes {
        Routes { audit, ..self }
    }

    /// The servers that are offered now.
    pub fn table(&self) -> Arc<Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Offers these servers from now on, and gives back those from before. Whoever calls this ends what is not carried
    /// over; as long as it is held, what its clients say in their sessions leads there.
    pub fn swap(&self, table: Table) -> Arc<Table> {
        let mut now = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let table = Arc::new(table.after(&now));
        std::mem::replace(&mut *now, table)
    }

    /// Answers a request. A panic on the way is a defect: it costs this request, and no other.
    pub async fn handle(&self, request: Request, arrival: &Arrival) -> Response {
        let answer = AssertUnwindSafe(self.guarded(request, arrival)).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            error!("a request met a defect in the bridge; the lines above say where");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the bridge met a defect; its log says more")
                .code(code::INTERNAL)
                .into_response()
        })
    }

    /// Ends every session.
    pub fn end(&self) {
        self.table().mounts().for_each(|mount| mount.end());
    }

    async fn guarded(&self, mut request: Request, arrival: &Arrival) -> Response {
        let passed = match self.guard.check(&request, arrival) {
            Ok(passed) => passed,
            Err(refusal) => return self.refused(refusal, self.visitor(&request, arrival, None)),
        };
        let (knock, mut entered) = match self.knock(&passed, &request, arrival) {
            Ok(knock) => (knock, self.enter(&passed, &request, arrival)),
            Err(denied) => (None, Err(denied)),
        };
        if let Ok(Entered::Asking(there, later)) = entered {
            entered = later.await.and_then(|admitted| self.let_in(there, admitted));
        }
        let visitor = self.visitor(&request, arrival, entered.as_ref().ok());
        let counted = knock.and_then(|knock| count(knock, &mut request, &mut entered));
        let mut response = match entered {
            Ok(Entered::Answered(response)) => response,
            Ok(Entered::Server(mount, place, Admitted { principal, tools, claims })) => {
                if let Some(tools) = tools {
                    request.extensions_mut().insert(tools);
                }
                request.extensions_mut().insert(claims);
                if let Some(visitor) = &visitor {
                    request.extensions_mut().insert(visitor.clone());
                }
                let under_way = mount.begin();
                let mut response = match mount.endpoint(place) {
                    Some(Endpoint::Http(http)) => http.handle(request, principal).await,
                    Some(Endpoint::SseStream(sse)) => Box::pin(sse.handle_stream(&request, principal)).await,
                    Some(Endpoint::SseMessages(sse)) => Box::pin(sse.handle_message(request, principal)).await,
                    Some(Endpoint::Ws(ws)) => {
                        if let Some(slot) = request.extensions_mut().get_mut::<Slot>() {
                            slot.hold(under_way.clone());
                        }
                        ws.handle(request, principal)
                    }
                    None => self.not_found().into_response(),
                };
                if matches!(response.body(), Body::Events(_)) {
                    response.extensions_mut().insert(under_way);
                }
                note(&mut response, visitor);
                response
            }
            Ok(Entered::Asking(..)) => self.not_found().into_response(),
            Err(refusal) => self.refused(refusal, visitor),
        };
        self.guard.finish(passed, &mut response);
        if let Some(counted) = counted {
            response.extensions_mut().insert(counted);
        }
        response
    }

    /// Who calls, for the audit log; `None` where none is kept.
    fn visitor(&self, request: &Request, arrival: &Arrival, entered: Option<&Entered>) -> Option<Visitor> {
        let audit = self.audit.as_ref()?;
        let address = client::address(request.headers(), arrival.peer, &self.proxies);
        let mut who = Who { address, ..Who::default() };
        let called = |mount: &Arc<Mount>, place: usize| (Some(mount.name().clone()), mount.wire(place));
        match entered {
            Some(Entered::Server(mount, place, admitted)) => {
                (who.server, who.wire) = called(mount, *place);
                who.principal = admitted.principal.as_ref().map(|Principal(name)| name.clone());
            }
            _ => {
                if let Some(Route::Server(mount, place)) = self.route(request.uri().path()) {
                    (who.server, who.wire) = called(&mount, place);
                }
            }
        }
        Some(Visitor::new(audit, who))
    }

    fn refused(&self, refusal: Refusal, visitor: Option<Visitor>) -> Response {
        let mut response = refusal.into_response();
        note(&mut response, visitor);
        response
    }

    /// What a request pays before the door. Health checks come from probes, and preflights from browsers on their own: they
    /// cost nothing.
    fn knock(&self, passed: &Passed, request: &Request, arrival: &Arrival) -> Result<Option<Knock>, Refusal> {
        let Some(limiter) = &self.limiter else { return Ok(None) };
        let preflight = passed.cors.is_some() && *request.method() == Method::OPTIONS;
        if preflight || matches!(self.route(request.uri().path()), Some(Route::Health | Route::Ready)) {
            return Ok(None);
        }
        let address = client::address(request.headers(), arrival.peer, &self.proxies);
        Ok(Some(limiter.knock(address, Instant::now())?))
    }

    /// Everything between the guard and a wire. Not async: what is not held across a wait takes no room in each
    /// connection.
    fn enter(&self, passed: &Passed, request: &Request, arrival: &Arrival) -> Result<Entered, Refusal> {
        if let Some(response) = self.guard.preflight(passed, request) {
            return Ok(Entered::Answered(response));
        }
        let route = self.leaving(request).or_else(|| self.route(request.uri().path()));
        match route {
            Some(Route::Health) => return ready::health(request).map(Entered::Answered),
            Some(Route::Ready) => return self.ready(request, arrival).answer(request).map(Entered::Answered),
            Some(Route::Metadata(path)) => return self.door.describe(request, &path).map(Entered::Answered),
            Some(Route::Server(..)) | None => {}
        }
        let path = match &route {
            Some(Route::Server(mount, place)) => mount.resource(*place),
            _ => String::new(),
        };
        let there = match route {
            Some(Route::Server(mount, place)) => Some((mount, place)),
            _ => None,
        };
        // Who is not let in is not told what there is.
        match self.door.admit(request, arrival, &path) {
            Admission::Now(admitted) => self.let_in(there, admitted?),
            Admission::Later(later) => Ok(Entered::Asking(there, later)),
        }
    }

    fn let_in(&self, there: Option<(Arc<Mount>, usize)>, admitted: Admitted) -> Result<Entered, Refusal> {
        let (mount, place) = there.ok_or_else(|| self.not_found())?;
        Ok(Entered::Server(mount, place, admitted))
    }

    fn route(&self, path: &str) -> Option<Route> {
        let inner = path.strip_prefix(self.prefix.as_str()).unwrap_or(path);
        let table = self.table();
        self.exact(&table, path).or_else(|| self.exact(&table, inner))
    }

    /// A server that is not offered any more, for what belongs to a session with it: a client's answer, above all.
    fn leaving(&self, request: &Request) -> Option<Route> {
        let path = request.uri().path();
        let inner = path.strip_prefix(self.prefix.as_str()).unwrap_or(path);
        let fits = |mount: Arc<Mount>| {
            let place = [path, inner].into_iter().find_map(|path| mount.place_of(without_slash(path)))?;
            mount.knows(place, request).then_some(Route::Server(mount, place))
        };
        self.table().leaving(fits)
    }

    /// A slash at the end makes no difference: clients add one. Names are compared as they stand in the path: what would
    /// have to be decoded first is no name.
    fn exact(&self, table: &Table, path: &str) -> Option<Route> {
        let path = without_slash(path);
        if let Some((mount, place)) = table.root().and_then(|mount| Some((mount, mount.place(path)?))) {
            return Some(Route::Server(mount.clone(), place));
        }
        if path == self.health_path.strip_suffix('/').unwrap_or(&self.health_path) {
            return Some(Route::Health);
        }
        if path == READY_PATH {
            return Some(Route::Ready);
        }
        if let Some(about) = self.door.asked_about(path) {
            return self.resource(table, about).map(Route::Metadata);
        }
        let (name, _) = path.strip_prefix(NAMED)?.split_once('/')?;
        let inner = path.get(NAMED.len() + name.len()..)?;
        let mount = table.named(name)?;
        Some(Route::Server(mount.clone(), mount.place(inner)?))
    }

    /// The path of the resource that metadata is asked for; the bridge itself where it is not said.
    fn resource(&self, table: &Table, about: &str) -> Option<String> {
        let about = about.strip_prefix(self.prefix.as_str()).unwrap_or(about);
        if about.is_empty() || about == "/" {
            return Some(String::new());
        }
        match self.exact(table, about) {
            Some(Route::Server(mount, place)) => Some(mount.resource(place)),
            _ => None,
        }
    }

    fn not_found(&self) -> Refusal {
        let table = self.table();
        let mut paths: Vec<String> = table.root().into_iter().flat_map(|root| root.offers("")).collect();
        let named = table.mounts().find(|mount| !mount.is_root());
        paths.extend(named.into_iter().flat_map(|named| named.offers("/servers/<name>")));
        let paths = paths.join(", ");
        Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at this path; the bridge serves {paths}"))
    }

    /// What can be had. Only callers who may know are told of which servers.
    fn ready(&self, request: &Request, arrival: &Arrival) -> Ready {
        if self.scope.is_stopped() {
            return Ready::Ending;
        }
        let states = self.table().states();
        match self.door.is_open() || matches!(self.door.admit(request, arrival, ""), Admission::Now(Ok(_))) {
            true => Ready::Each(states),
            false => Ready::Whole(ready::any(&states)),
        }
    }
}

/// Notes a refusal that the response says, if it is to be noted.
fn note(response: &mut Response, visitor: Option<Visitor>) {
    if let (Some(refused), Some(visitor)) = (response.extensions_mut().remove::<Refused>(), visitor) {
        visitor.refused(refused, response.status().as_u16());
    }
}

/// What a request pays past the door. A POST is a call until its answer has been sent, and a WebSocket connection until it
/// ends; the streams that other requests open are no calls.
fn count(knock: Knock, request: &mut Request, entered: &mut Result<Entered, Refusal>) -> Option<Counted> {
    let Ok(Entered::Server(mount, place, admitted)) = entered else { return None };
    let upgrade = matches!(mount.endpoint(*place), Some(Endpoint::Ws(_)));
    let calls = upgrade || *request.method() == Method::POST;
    let counted = match knock.enter(admitted.principal.as_ref(), calls, Instant::now()) {
        Ok(running) => Counted::new(running?),
        Err(denied) => {
            *entered = Err(denied.into());
            return None;
        }
    };
    match request.extensions_mut().get_mut::<Slot>().filter(|_| upgrade) {
        Some(slot) => {
            slot.hold(counted);
            None
        }
        None => Some(counted),
    }
}

fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').filter(|path| !path.is_empty()).unwrap_or(path)
}

/// What a reverse proxy puts in front of each path.
pub fn prefix(network: &NetworkSpec) -> String {
    let prefix = network.base_url.as_ref().map(|base| base.path().trim_end_matches('/').to_owned());
    prefix.unwrap_or_default()
}

/// Where a server is, below the prefix.
pub fn home(name: &str, at_root: bool) -> String {
    if at_root { String::new() } else { format!("{NAMED}{name}") }
}
