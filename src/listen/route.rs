//! Where a request goes.
//!
//! Owns the paths, the order of the checks and the two health routes. Talks to the guard and the wires. It never looks
//! at what a route is for.

use std::{panic::AssertUnwindSafe, sync::Arc};

use futures::FutureExt as _;
use http::{HeaderValue, Method, StatusCode, header};
use hyper::body::Incoming;
use tracing::error;

use super::guard::{Guard, Passed};
use crate::{
    config::{Limits, NetworkSpec},
    message::code,
    peer::Principal,
    registry::Registry,
    scope::Scope,
    wire::{
        exchange::{self, KeepAlive, Refusal, Response},
        http::accept::Accept as Http,
        legacy_sse::accept::Accept as Sse,
    },
};

/// Readiness. Liveness has a path that can be chosen.
const READY_PATH: &str = "/readyz";

type Request = http::Request<Incoming>;

/// The routes of one listening socket.
#[derive(Debug)]
pub struct Routes {
    guard: Guard,
    registry: Arc<Registry>,
    scope: Scope,
    /// What a proxy may leave in front of each path.
    prefix: String,
    health_path: String,
    http: Option<(String, Http)>,
    sse: Option<(String, String, Sse)>,
}

enum Route<'a> {
    Health,
    Ready,
    Http(&'a Http),
    SseStream(&'a Sse),
    SseMessage(&'a Sse),
}

/// A request that has come past the guard and the door.
enum Entered<'a> {
    Answered(Response),
    Http(&'a Http, Option<Principal>),
    SseStream(&'a Sse, Option<Principal>),
    SseMessage(&'a Sse, Option<Principal>),
}

impl Routes {
    /// The routes that a configuration asks for. The tasks of sessions run in `scope`.
    pub fn new(network: &NetworkSpec, registry: Arc<Registry>, limits: &Arc<Limits>, scope: &Scope) -> Routes {
        let keep_alive = KeepAlive { every: network.keepalive, as_event: network.keepalive_event };
        let prefix = network.base_url.as_ref().map(|base| base.path().trim_end_matches('/').to_owned());
        let prefix = prefix.unwrap_or_default();
        let http = network.http.as_ref().map(|routes| {
            let http = Http::new(registry.clone(), limits.clone(), keep_alive, scope.clone());
            (routes.path.clone(), http)
        });
        let sse = network.sse.as_ref().map(|routes| {
            let shown = format!("{prefix}{}", routes.message_path);
            let sse = Sse::new(registry.clone(), limits.clone(), keep_alive, shown, scope.clone());
            (routes.sse_path.clone(), routes.message_path.clone(), sse)
        });
        let health_path = network.health_path.clone();
        Routes { guard: Guard::new(network), registry, scope: scope.clone(), prefix, health_path, http, sse }
    }

    /// Answers a request. A panic on the way is a defect: it costs this request, and no other.
    pub async fn handle(&self, request: Request) -> Response {
        let answer = AssertUnwindSafe(self.guarded(request)).catch_unwind().await;
        answer.unwrap_or_else(|_| {
            error!("a request met a defect in the bridge; the lines above say where");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the bridge met a defect; its log says more")
                .code(code::INTERNAL)
                .into_response()
        })
    }

    /// Ends every session.
    pub fn end(&self) {
        self.http.iter().for_each(|(_, http)| http.end());
        self.sse.iter().for_each(|(_, _, sse)| sse.end());
    }

    async fn guarded(&self, request: Request) -> Response {
        let passed = match self.guard.check(&request) {
            Ok(passed) => passed,
            Err(refusal) => return refusal.into_response(),
        };
        let mut response = match self.enter(&passed, &request) {
            Ok(Entered::Answered(response)) => response,
            Ok(Entered::Http(http, principal)) => http.handle(request, principal).await,
            Ok(Entered::SseStream(sse, principal)) => Box::pin(sse.handle_stream(&request, principal)).await,
            Ok(Entered::SseMessage(sse, principal)) => Box::pin(sse.handle_message(request, principal)).await,
            Err(refusal) => refusal.into_response(),
        };
        self.guard.finish(passed, &mut response);
        response
    }

    /// Everything between the guard and a wire. Not async: what is not held across a wait takes no room in each
    /// connection.
    fn enter(&self, passed: &Passed, request: &Request) -> Result<Entered<'_>, Refusal> {
        if let Some(response) = self.guard.preflight(passed, request) {
            return Ok(Entered::Answered(response));
        }
        let route = self.route(request.uri().path());
        match route {
            Some(Route::Health) => return health(request, Ok(())).map(Entered::Answered),
            Some(Route::Ready) => return health(request, self.ready()).map(Entered::Answered),
            _ => {}
        }
        let principal = self.guard.admit(request.headers())?;
        match route {
            Some(Route::Http(http)) => Ok(Entered::Http(http, principal)),
            Some(Route::SseStream(sse)) => Ok(Entered::SseStream(sse, principal)),
            Some(Route::SseMessage(sse)) => Ok(Entered::SseMessage(sse, principal)),
            _ => Err(self.not_found()),
        }
    }

    fn route(&self, path: &str) -> Option<Route<'_>> {
        let inner = path.strip_prefix(self.prefix.as_str()).unwrap_or(path);
        self.exact(path).or_else(|| self.exact(inner))
    }

    /// A slash at the end makes no difference: clients add one.
    fn exact(&self, path: &str) -> Option<Route<'_>> {
        let is = |route: &str| path == route || path.strip_suffix('/').is_some_and(|path| path == route);
        if let Some((http_path, http)) = &self.http
            && is(http_path)
        {
            return Some(Route::Http(http));
        }
        if let Some((sse_path, message_path, sse)) = &self.sse {
            if is(message_path) {
                return Some(Route::SseMessage(sse));
            }
            if is(sse_path) {
                return Some(Route::SseStream(sse));
            }
        }
        if is(&self.health_path) {
            return Some(Route::Health);
        }
        is(READY_PATH).then_some(Route::Ready)
    }

    fn not_found(&self) -> Refusal {
        let http = self.http.iter().map(|(path, _)| format!("{path} (Streamable HTTP)"));
        let sse = self.sse.iter().map(|(path, _, _)| format!("{path} (SSE)"));
        let paths = http.chain(sse).collect::<Vec<_>>().join(" and ");
        Refusal::new(StatusCode::NOT_FOUND, format!("there is nothing at this path; the bridge serves {paths}"))
    }

    /// Why no session can be opened, in words for callers who may know.
    fn ready(&self) -> Result<(), String> {
        if self.scope.is_stopped() {
            return Err("shutting down".into());
        }
        self.registry.ready().map_err(|reason| if self.guard.is_open() { reason } else { "not ready".into() })
    }
}

fn health(request: &Request, state: Result<(), String>) -> Result<Response, Refusal> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "this path takes GET");
        return Err(refusal.header(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
    }
    let mut response = match state {
        Ok(()) => exchange::text(StatusCode::OK, "ok\n"),
        Err(reason) => exchange::text(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    };
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
