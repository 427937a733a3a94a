//! The servers that a socket offers, each with its wires.
//!
//! Owns which server is called what, and which of its wires is at which path. Talks to the wires and to each server's
//! registry. It never sees a request.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use tokio_util::task::{TaskTracker, task_tracker::TaskTrackerToken};

use super::{
    ready::State,
    route::{NAMED, home, prefix},
};
use crate::{
    config::{Limits, NetworkSpec, ServerName},
    registry::Registry,
    scope::Scope,
    wire::{
        Wire, exchange::KeepAlive, http::accept::Accept as Http, legacy_sse::accept::Accept as Sse,
        ws::accept::Accept as Ws,
    },
};

/// A server that is to be offered.
#[derive(Debug, Clone)]
pub struct Offered {
    /// What it is called.
    pub name: ServerName,
    /// Whether it is at the root.
    pub at_root: bool,
    /// Hands out its processes and connections.
    pub registry: Arc<Registry>,
    /// Its own.
    pub limits: Arc<Limits>,
    /// Where the tasks of its sessions run.
    pub scope: Scope,
}

/// One server on the network, with a wire at each path.
#[derive(Debug)]
pub struct Mount {
    server: Offered,
    /// Paths below the server's own, and what is there.
    places: Vec<(String, Endpoint)>,
    /// What to tell those who ask for another path: path and title of each wire.
    wires: Vec<(String, &'static str)>,
    /// Counts the exchanges that are under way.
    exchanges: TaskTracker,
}

/// An exchange that is under way, up to the end of its answer.
pub type UnderWay = TaskTrackerToken;

/// What answers at a path.
#[derive(Debug)]
pub enum Endpoint {
    /// Streamable HTTP.
    Http(Http),
    /// The event stream of HTTP+SSE.
    SseStream(Arc<Sse>),
    /// Where its clients POST.
    SseMessages(Arc<Sse>),
    /// WebSocket.
    Ws(Ws),
}

impl Mount {
    /// The server with the wires that `network` asks for. Its sessions run until [`Mount::end`].
    pub fn new(server: Offered, network: &NetworkSpec) -> Arc<Mount> {
        let below = format!("{}{}", prefix(network), home(server.name.as_str(), server.at_root));
        let mut places = Vec::new();
        for output in &network.outputs {
            let endpoints = server.endpoints(output.wire, network, &below, &output.paths);
            places.extend(output.paths.iter().cloned().zip(endpoints));
        }
        let wires = network.outputs.iter().map(|output| (output.path().into(), output.wire.listed().title)).collect();
        Arc::new(Mount { server, places, wires, exchanges: TaskTracker::new() })
    }

    /// What the server is called.
    pub fn name(&self) -> &ServerName {
        &self.server.name
    }

    /// Whether it is at the root.
    pub fn is_root(&self) -> bool {
        self.server.at_root
    }

    /// Who hands out its processes and connections.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.server.registry
    }

    /// The number of the place at this path, if there is one.
    pub fn place(&self, path: &str) -> Option<usize> {
        self.places.iter().position(|(place, _)| place.strip_suffix('/').unwrap_or(place) == path)
    }

    /// The path of the resource that a place belongs to, below the prefix: messages of HTTP+SSE belong to its stream.
    pub fn resource(&self, place: usize) -> String {
        let main = match self.endpoint(place) {
            Some(Endpoint::SseMessages(_)) => place.saturating_sub(1),
            _ => place,
        };
        let path = self.places.get(main).map_or("", |(path, _)| path.strip_suffix('/').unwrap_or(path));
        format!("{}{path}", home(self.server.name.as_str(), self.server.at_root))
    }

    /// The number of the place that a whole path leads to, below the prefix: the one at the root has a name, too.
    pub fn place_of(&self, path: &str) -> Option<usize> {
        let named = path.strip_prefix(NAMED).and_then(|path| path.strip_prefix(self.name().as_str()));
        let at_root = || self.server.at_root.then(|| self.place(path)).flatten();
        named.and_then(|path| self.place(path)).or_else(at_root)
    }

    /// Whether a request to a place belongs to a session here. Connections know by themselves where they belong.
    pub fn knows<B>(&self, place: usize, request: &http::Request<B>) -> bool {
        match self.endpoint(place) {
            Some(Endpoint::Http(http)) => http.knows(request.headers()),
            Some(Endpoint::SseMessages(sse)) => sse.knows(request.uri()),
            Some(Endpoint::SseStream(_) | Endpoint::Ws(_)) | None => false,
        }
    }

    /// What is at a place.
    pub fn endpoint(&self, place: usize) -> Option<&Endpoint> {
        self.places.get(place).map(|(_, endpoint)| endpoint)
    }

    /// What the wire at a place is called.
    pub fn wire(&self, place: usize) -> Option<&'static str> {
        let wire = match self.endpoint(place)? {
            Endpoint::Http(_) => Wire::Http,
            Endpoint::SseStream(_) | Endpoint::SseMessages(_) => Wire::Sse,
            Endpoint::Ws(_) => Wire::Ws,
        };
        Some(wire.listed().word)
    }

    /// Its paths below `home`, for people.
    pub fn offers(&self, home: &str) -> Vec<String> {
        self.wires.iter().map(|(path, title)| format!("{home}{path} ({title})")).collect()
    }

    /// Why it cannot be used now.
    pub fn ready(&self) -> Result<(), String> {
        self.server.registry.ready()
    }

    /// Counts an exchange for as long as this lives.
    pub fn begin(&self) -> UnderWay {
        self.exchanges.token()
    }

    /// Resolves when no exchange is under way. For a server that is offered no more.
    pub async fn idle(&self) {
        self.exchanges.close();
        self.exchanges.wait().await;
    }

    /// Ends its sessions. Calls that are still in flight are cut off.
    pub fn end(&self) {
        for (_, endpoint) in &self.places {
            match endpoint {
                Endpoint::Http(http) => http.end(),
                Endpoint::SseStream(sse) => sse.end(),
                Endpoint::SseMessages(_) => {}
                Endpoint::Ws(ws) => ws.end(),
            }
        }
    }
}

impl Offered {
    /// What is at the paths of a wire, one for each.
    fn endpoints(&self, wire: Wire, network: &NetworkSpec, below: &str, paths: &[String]) -> Vec<Endpoint> {
        let keep_alive = KeepAlive { every: network.keepalive, as_event: network.keepalive_event };
        let (registry, limits, scope) = (self.registry.clone(), self.limits.clone(), self.scope.clone());
        match wire {
            Wire::Stdio => Vec::new(),
            Wire::Http => vec![Endpoint::Http(Http::new(registry, limits, keep_alive, scope))],
            Wire::Ws => vec![Endpoint::Ws(Ws::new(registry, limits, network.keepalive, scope))],
            Wire::Sse => {
                let messages = format!("{below}{}", paths.get(1).map_or("", String::as_str));
                let sse = Arc::new(Sse::new(registry, limits, keep_alive, messages, scope));
                vec![Endpoint::SseStream(sse.clone()), Endpoint::SseMessages(sse)]
            }
        }
    }
}

/// The servers of a socket. Never changes; another one takes its place.
#[derive(Debug, Default)]
pub struct Table {
    root: Option<Arc<Mount>>,
    named: HashMap<ServerName, Arc<Mount>>,
    /// In the order of the configuration.
    all: Vec<Arc<Mount>>,
    /// What the configuration has and cannot be offered: its name, and why.
    bad: Vec<(String, String)>,
    /// Not offered any more, but their sessions have calls in flight, which may wait for their clients. Whoever ends
    /// them holds them up to then.
    leaving: Vec<Weak<Mount>>,
}

impl Table {
    /// A table of these.
    pub fn new(mounts: impl IntoIterator<Item = Arc<Mount>>) -> Table {
        let mut table = Table::default();
        for mount in mounts {
            if mount.is_root() {
                table.root = Some(mount.clone());
            }
            table.named.insert(mount.name().clone(), mount.clone());
            table.all.push(mount);
        }
        table
    }

    /// With servers that cannot be offered: the name of each, and why.
    pub fn with_bad(mut self, bad: Vec<(String, String)>) -> Table {
        self.bad = bad;
        self
    }

    /// With the servers of the table before it that are not in this one, as long as they are there.
    pub(super) fn after(mut self, before: &Table) -> Table {
        let gone = before.all.iter().filter(|mount| !self.all.iter().any(|other| Arc::ptr_eq(mount, other)));
        let still = before.leaving.iter().filter(|mount| mount.strong_count() > 0);
        self.leaving = still.cloned().chain(gone.map(Arc::downgrade)).collect();
        self
    }

    /// Of the servers that are not offered any more, one that fits.
    pub(super) fn leaving<T>(&self, fits: impl FnMut(Arc<Mount>) -> Option<T>) -> Option<T> {
        self.leaving.iter().filter_map(Weak::upgrade).find_map(fits)
    }

    /// What each server is called, and whether it can be had; those that cannot be offered at last.
    pub fn states(&self) -> Vec<State> {
        let mounts =
            self.all.iter().map(|mount| State { name: mount.name().to_string(), why_not: mount.ready().err() });
        let bad = self.bad.iter().map(|(name, why)| {
            let shown = ServerName::new(name).map_or_else(|error| error.shown(), |name| name.to_string());
            State { name: shown, why_not: Some(why.clone()) }
        });
        mounts.chain(bad).collect()
    }

    /// The server at the root.
    pub fn root(&self) -> Option<&Arc<Mount>> {
        self.root.as_ref()
    }

    /// The server of this name. The one at the root has one, too.
    pub fn named(&self, name: &str) -> Option<&Arc<Mount>> {
        self.named.get(name)
    }

    /// All of them.
    pub fn mounts(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.all.iter()
    }
}
