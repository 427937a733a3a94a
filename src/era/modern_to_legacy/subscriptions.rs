//! `subscriptions/listen` over a legacy server, which knows one client and notifies it of what it likes.
//!
//! Owns what each subscription wants, and how many there are. Talks to one [`Backend`] for each subscription, by way of
//! the [`Pool`]: subscriptions of the same callers share their server with their calls. It never passes on a notice that
//! was not asked for, and never leaves a gap unsaid: when the server was lost, all that is subscribed counts as changed.

mod filter;
#[cfg(test)]
mod tests;
mod uris;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::{StreamExt, future::ready, stream};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tracing::{debug, warn};

pub(super) use self::uris::Uris;
use self::{filter::Filter, uris::Answer};
use super::{
    front::Front,
    lock,
    pool::{Key, Need, Pool, Use},
    request::Refusal,
    results::Opened,
};
use crate::{
    message::{Frame, code},
    peer::Principal,
    protocol::subscription_ended,
};

/// Subscriptions of one principal, and bytes of all their URIs. They live for as long as their callers like; more would
/// be an attack on memory.
const MAX_SEATS: (usize, usize) = (1024, 8 * 1024 * 1024);

/// How long a subscriber may leave a notice unread. Servers are not slowed down for it: it is cut off.
const STALL: Duration = Duration::from_secs(30);

/// Questions about URIs that a server gets at once.
const ASK_AT_ONCE: usize = 16;

/// Pauses between attempts to get a server again, from the first to the longest, and how many attempts there are.
const RETRY: (Duration, Duration, u32) = (Duration::from_millis(250), Duration::from_secs(15), 10);

/// Counts subscriptions.
#[derive(Debug, Default)]
pub(super) struct Seats(Mutex<HashMap<Option<Principal>, (usize, usize)>>);

/// The place of one subscription, until it is dropped.
struct Seat {
    pool: Arc<Pool>,
    principal: Option<Principal>,
    weight: usize,
}

impl Seat {
    fn take(pool: &Arc<Pool>, principal: Option<Principal>, filter: &Filter) -> Result<Seat, Refusal> {
        let (most, heaviest) = MAX_SEATS;
        let weight = filter.weight();
        let mut table = lock(&pool.seats.0);
        let (count, bytes) = table.get(&principal).copied().unwrap_or_default();
        if count >= most || bytes + weight > heaviest {
            let text = format!(
                "{count} subscriptions with {bytes} bytes of URIs are open already; end some first (the limits are \
                 {most} and {heaviest})"
            );
            return Err(Refusal::new(code::LIMIT, text));
        }
        table.insert(principal.clone(), (count + 1, bytes + weight));
        drop(table);
        Ok(Seat { pool: pool.clone(), principal, weight })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut table = lock(&self.pool.seats.0);
        let Some((count, bytes)) = table.get_mut(&self.principal) else { return };
        *count = count.saturating_sub(1);
        *bytes = bytes.saturating_sub(self.weight);
        if *count == 0 {
            table.remove(&self.principal);
        }
    }
}

/// Why a subscription is over.
#[derive(Debug)]
enum End {
    /// Its caller does not want it any more.
    Withdrawn,
    /// The bridge shuts down.
    Stopped,
    /// Its caller does not read.
    Stalled,
    /// There is no server.
    Failed(Refusal),
}

/// Serves one subscription until its caller, the server or the bridge ends it.
pub(super) async fn listen(pool: &Arc<Pool>, key: Key, client: Option<&str>, mut front: Front) {
    let filter = match Filter::read(front.frame.body()) {
        Ok(filter) => filter,
        Err(refusal) => return front.refuse(refusal),
    };
    // A subscription may last for days. Two with all that a message may have would leave no other caller room.
    front.forget_params(false);
    let seat = match Seat::take(pool, key.principal.clone(), &filter) {
        Ok(seat) => seat,
        Err(refusal) => return front.refuse(refusal),
    };
    let id = front.id_text().to_string();
    let mut subscription = Subscription { pool, key, client, filter, id, front: &mut front };
    let end = subscription.run().await;
    let id = subscription.id;
    match end {
        End::Withdrawn => front.cancelled(),
        End::Stopped => front.answer(&subscription_ended(&id)),
        End::Stalled => {
            warn!("cut off a subscriber that does not read");
            let text = format!("cut off: no notice was read for {} s; listen again", STALL.as_secs());
            front.refuse(Refusal::new(code::LIMIT, text));
        }
        End::Failed(refusal) => front.refuse(refusal),
    }
    drop(seat);
}

/// One subscription.
struct Subscription<'a> {
    pool: &'a Arc<Pool>,
    key: Key,
    client: Option<&'a str>,
    /// What was asked for; once it is acknowledged, what is honoured.
    filter: Filter,
    /// As the caller wrote it.
    id: String,
    front: &'a mut Front,
}

/// A server that is listened to. Dropped, the server hears that its URIs are not wanted any more.
struct Line {
    using: Option<Use>,
    pool: Arc<Pool>,
    notices: mpsc::Receiver<Frame>,
    /// Those that this subscription counts for.
    uris: Vec<Box<str>>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let (Some(using), uris) = (self.using.take(), std::mem::take(&mut self.uris)) else { return };
        if uris.is_empty() || using.backend.is_over() || self.pool.is_stopped() {
            return;
        }
        let patience = self.pool.patience();
        self.pool.spawn(async move {
            let leaving = stream::iter(uris).map(|uri| {
                let backend = using.backend.clone();
                async move { backend.uris.leave(&backend, &uri, patience).await }
            });
            leaving.buffer_unordered(ASK_AT_ONCE).collect::<()>().await;
        });
    }
}

impl Subscription<'_> {
    /// Ends when the caller, the bridge or the server's absence ends it.
    async fn run(&mut self) -> End {
        let (mut line, honoured) = match self.connect().await {
            Ok(connected) => connected,
            Err(end) => return end,
        };
        self.filter = honoured;
        if let Err(end) = self.send(self.filter.acknowledgement(&self.id)).await {
            return end;
        }
        if self.filter.is_empty() {
            // Nothing will come: no server is kept for it.
            drop(line);
            return self.ended().await;
        }
        loop {
            let notice = tokio::select! {
                notice = line.notices.recv() => notice,
                end = ended(self.front, self.pool) => return end,
            };
            let told = match notice {
                Some(notice) if self.filter.wants(&notice) => self.send(filter::copy(&notice, &self.id)).await,
                Some(_) => Ok(()),
                None => self.renew(&mut line).await,
            };
            if let Err(end) = told {
                return end;
            }
        }
    }

    async fn ended(&mut self) -> End {
        ended(self.front, self.pool).await
    }

    /// Sends something to the caller, who has to read it in time.
    async fn send(&mut self, frame: Frame) -> Result<(), End> {
        let from = self.front.caller.clone();
        tokio::select! {
            sent = timeout(STALL, self.front.update(&from, frame)) => match sent {
                Ok(true) => Ok(()),
                Ok(false) => Err(End::Withdrawn),
                Err(_) => Err(End::Stalled),
            },
            () = self.pool.stopped() => Err(End::Stopped),
        }
    }

    /// Gets a server and subscribes there; gives what it honours.
    async fn connect(&mut self) -> Result<(Line, Filter), End> {
        let line = Line::open(self.pool, self.key.clone(), self.client, &self.filter);
        tokio::select! {
            line = line => line.map_err(End::Failed),
            end = ended(self.front, self.pool) => Err(end),
        }
    }

    /// The server ended, or spoke faster than it was heard. Gets one that is listened to, and says that all has changed.
    async fn renew(&mut self, line: &mut Line) -> Result<(), End> {
        if !line.watch_again() {
            let (mut pause, longest, mut attempts) = RETRY;
            *line = loop {
                match self.connect().await {
                    Ok((line, _)) => break line,
                    Err(End::Failed(refusal)) if attempts > 0 => {
                        debug!("a subscription has no server: {}", refusal.message);
                        attempts -= 1;
                    }
                    Err(end) => return Err(end),
                }
                tokio::select! {
                    () = sleep(pause) => pause = (pause * 2).min(longest),
                    end = ended(self.front, self.pool) => return Err(end),
                }
            };
        }
        for notice in self.filter.everything(&self.id) {
            self.send(notice).await?;
        }
        Ok(())
    }
}

/// Resolves when the caller or the bridge ends the subscription. Cancel-safe.
async fn ended(front: &mut Front, pool: &Pool) -> End {
    tokio::select! {
        () = front.withdrawn() => End::Withdrawn,
        () = pool.stopped() => End::Stopped,
    }
}

impl Line {
    async fn open(
        pool: &Arc<Pool>,
        key: Key,
        client: Option<&str>,
        filter: &Filter,
    ) -> Result<(Line, Filter), Refusal> {
        let using = pool.get(key, Need::Any, client).await?;
        let opened: Arc<Opened> = using.backend.opened().await?;
        let mut honoured = filter.honoured(|path| opened.offers(path));
        // Heard from before the first URI is asked for: a notice can come as soon as the server knows.
        let notices = using.backend.watch();
        let mut line = Line { notices, pool: pool.clone(), using: None, uris: std::mem::take(&mut honoured.uris) };
        line.uris.iter().for_each(|uri| using.backend.uris.join(uri));
        let using = line.using.insert(using);
        honoured.uris = ask(using, &line.uris, pool.patience()).await;
        Ok((line, honoured))
    }

    /// Listens on where the server is still there. False when it is not.
    fn watch_again(&mut self) -> bool {
        let Some(using) = self.using.as_ref().filter(|using| !using.backend.is_over()) else { return false };
        self.notices = using.backend.watch();
        true
    }
}

/// Asks the server for each URI; gives those that it accepts. One that it does not answer stands for all that follow.
async fn ask(using: &Use, uris: &[Box<str>], patience: Duration) -> Vec<Box<str>> {
    let silent = Arc::new(AtomicBool::new(false));
    let asking = stream::iter(uris.to_vec()).map(|uri| {
        let (backend, silent) = (using.backend.clone(), silent.clone());
        async move {
            if silent.load(Ordering::Relaxed) {
                return None;
            }
            let answer = backend.uris.ask(&backend, &uri, patience).await;
            silent.fetch_or(answer == Answer::Silent, Ordering::Relaxed);
            (answer == Answer::Yes).then_some(uri)
        }
    });
    asking.buffered(ASK_AT_ONCE).filter_map(ready).collect().await
}
