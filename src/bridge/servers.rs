//! The servers of a service: started, exchanged for others, and let go.
//!
//! Owns which servers are offered now and what each one stands on. Talks to the routes, which it hands a new table, and to
//! the log about every difference. It never reads a file.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tracing::{info, warn};

use super::time_to_end;
use crate::{
    aggregate::Template,
    audit::Audit,
    config::{
        AGGREGATE, Config, Limits, NetworkSpec, ServerName, ServerSpec,
        load::{Bad, Loaded},
    },
    listen::{Mount, Offered, Routes, Table},
    registry::{Ground, Member, Registry},
};

/// The servers of one bridge.
#[derive(Debug)]
pub(super) struct Servers {
    network: NetworkSpec,
    limits: Limits,
    ground: Ground,
    routes: Arc<Routes>,
    now: Mutex<Now>,
}

#[derive(Debug, Default)]
struct Now {
    running: Vec<Running>,
    /// All of them as one.
    whole: Option<Whole>,
    bad: Vec<Bad>,
    notes: Vec<String>,
}

/// One server that is offered.
#[derive(Debug, Clone)]
struct Running {
    spec: ServerSpec,
    mount: Arc<Mount>,
    /// Its own: it can be ended alone.
    ground: Ground,
}

/// All servers as one, at the root.
#[derive(Debug, Clone)]
struct Whole {
    prefix: Template,
    /// The servers, in their order.
    of: Vec<Arc<Mount>>,
    mount: Arc<Mount>,
    ground: Ground,
}

impl Servers {
    /// The servers of a configuration. None of them is started before somebody asks for it.
    pub(super) fn new(config: &Config, network: &NetworkSpec, ground: &Ground, audit: Option<Audit>) -> Arc<Servers> {
        let servers = Servers {
            network: network.clone(),
            limits: config.limits.clone(),
            ground: ground.clone(),
            routes: Arc::new(Routes::new(network, Table::default(), &ground.scope).noting(audit)),
            now: Mutex::default(),
        };
        let (bad, notes) = config.file.as_ref().map(|file| (file.bad.clone(), file.notes.clone())).unwrap_or_default();
        tell(&bad, &notes, &Now::default());
        let running: Vec<_> = config.servers.iter().map(|spec| servers.run(spec.clone())).collect();
        let whole = servers.together(config.aggregate.as_ref(), &running, None);
        servers.offer(&mut servers.now(), Now { running, whole, bad, notes });
        Arc::new(servers)
    }

    /// What leads to them.
    pub(super) fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// How long the slowest of them may take to end.
    pub(super) fn time_to_end(&self) -> Duration {
        self.now().running.iter().map(|running| time_to_end(&running.spec)).max().unwrap_or_default()
    }

    /// Offers these from now on. Servers that are the same keep their sessions; the sessions of the others have the time
    /// that they have at the end of the bridge. Says what differs, a line each, and whether anything does.
    pub(super) fn exchange(&self, loaded: Loaded) -> bool {
        let mut now = self.now();
        let mut before: HashMap<_, _> =
            now.running.iter().map(|running| (running.spec.name.clone(), running.clone())).collect();
        let mut differs = tell(&loaded.bad, &loaded.notes, &now);
        let mut running = Vec::with_capacity(loaded.servers.len());
        let mut leaving = Vec::new();
        for spec in loaded.servers {
            let was = before.remove(&spec.name);
            if let Some(same) = was.as_ref().filter(|was| was.spec == spec) {
                running.push(same.clone());
                continue;
            }
            let what = if was.is_some() { "changed" } else { "added" };
            info!("server {:?} {what}", spec.name.as_str());
            differs = true;
            leaving.extend(was);
            running.push(self.run(spec));
        }
        for (name, gone) in before {
            info!("server {:?} removed", name.as_str());
            differs = true;
            leaving.push(gone);
        }
        let before = now.whole.take();
        let had = before.is_some();
        let whole = self.together(loaded.aggregate.as_ref(), &running, before.as_ref());
        let stays = |one: &Whole| whole.as_ref().is_some_and(|whole| Arc::ptr_eq(&whole.mount, &one.mount));
        let left = before.filter(|one| !stays(one));
        differs |= whole.is_some() != had || left.is_some();
        self.offer(&mut now, Now { running, whole, bad: loaded.bad, notes: loaded.notes });
        if let Some(Whole { mount, ground, .. }) = left {
            self.let_go(mount, ground, Duration::ZERO);
        }
        for one in leaving {
            let end = time_to_end(&one.spec);
            self.let_go(one.mount, one.ground, end);
        }
        differs
    }

    /// Ends as the whole bridge does: nothing new, time for the calls in flight, then `end` for the server.
    fn let_go(&self, mount: Arc<Mount>, ground: Ground, end: Duration) {
        let (grace, bridge) = (self.limits.grace, self.ground.scope.clone());
        self.ground.scope.spawn(async move {
            ground.scope.stop();
            if tokio::time::timeout(grace, mount.idle()).await.is_err() {
                warn!("some calls to {:?} were still in flight after --grace, and are cut off", mount.name().as_str());
            }
            mount.end();
            mount.registry().close().await;
            // Sessions with remote servers end by themselves; the rest of the time is for those that do not. A bridge that
            // ends sees to all of them at once.
            if tokio::time::timeout(end, bridge.stopped()).await.is_err() {
                ground.way.stop();
            }
        });
    }

    /// Lets go of what callers share. To be called when no call is in flight any more.
    pub(super) async fn close(&self) {
        let running = self.now().running.clone();
        for one in running {
            one.mount.registry().close().await;
        }
        let whole = self.now().whole.clone();
        if let Some(whole) = whole {
            whole.mount.registry().close().await;
        }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn offer(&self, now: &mut Now, next: Now) {
        let bad = next.bad.iter().map(|bad| (bad.name.clone(), bad.brief.clone())).collect();
        let whole = next.whole.iter().map(|whole| whole.mount.clone());
        let mounts = whole.chain(next.running.iter().map(|running| running.mount.clone()));
        drop(self.routes.swap(Table::new(mounts).with_bad(bad)));
        *now = next;
    }

    /// These servers as one, if that is wanted; what was there before, where nothing differs: it keeps its sessions.
    fn together(&self, prefix: Option<&Template>, running: &[Running], before: Option<&Whole>) -> Option<Whole> {
        let prefix = prefix?;
        // What runs for nobody in particular has no variables of a caller's.
        let fits = |running: &&Running| !running.mount.registry().reads_headers();
        let of: Vec<_> = running.iter().filter(fits).map(|running| running.mount.clone()).collect();
        let is_same = |whole: &&Whole| {
            let pairs = || whole.of.iter().zip(&of);
            whole.prefix == *prefix && whole.of.len() == of.len() && pairs().all(|(one, other)| Arc::ptr_eq(one, other))
        };
        if let Some(same) = before.filter(is_same) {
            return Some(same.clone());
        }
        let ground = self.ground.of_one();
        let member = |mount: &Arc<Mount>| Member { name: mount.name().clone(), registry: mount.registry().clone() };
        let offered = Offered {
            name: ServerName::near(AGGREGATE),
            at_root: true,
            registry: Registry::aggregate(of.iter().map(member).collect(), prefix, &self.limits, &ground),
            limits: Arc::new(self.limits.clone()),
            scope: ground.scope.clone(),
        };
        Some(Whole { prefix: prefix.clone(), of, mount: Mount::new(offered, &self.network), ground })
    }

    fn run(&self, spec: ServerSpec) -> Running {
        let ground = self.ground.of_one();
        let limits = self.limits.of(&spec.overrides);
        let offered = Offered {
            name: spec.name.clone(),
            at_root: spec.at_root,
            registry: Registry::of(&spec, &limits, &ground),
            limits: Arc::new(limits),
            scope: ground.scope.clone(),
        };
        Running { mount: Mount::new(offered, &self.network), spec, ground }
    }
}

/// Says what is wrong with a file, unless it was said before. Whether there was anything new.
fn tell(bad: &[Bad], notes: &[String], before: &Now) -> bool {
    for note in notes.iter().filter(|note| !before.notes.contains(note)) {
        warn!("{note}");
    }
    for one in bad.iter().filter(|one| !before.bad.contains(one)) {
        warn!("{}; this server is not offered, the others are", one.why);
    }
    bad.iter().any(|one| !before.bad.contains(one)) || before.bad.iter().any(|one| !bad.contains(one))
}
