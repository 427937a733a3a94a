//! The audit log: one JSON line for each session, call and refusal (`--audit-log`).
//!
//! Owns the queue of lines between those who call and the file. Talks to a thread of its own, which writes. What a line
//! says is the matter of `record`, when one is due that of `account`. It never makes a call wait, and never holds what was
//! said in one.
//!
//! A line that finds the queue full, or the disk, is lost; how many were is a line of its own as soon as that can be
//! written, and the log says so. To hold up calls until there is room would make the disk a way to stop the bridge.

use std::{
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, SyncSender},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Mutex, oneshot};
use tracing::warn;

use self::{record::Record, writer::Writer};

mod account;
mod record;
mod writer;

pub use self::{
    account::{Account, Call, Refused, Visitor},
    record::{Outcome, Reason, What, Who},
};

/// Lines that may wait for the disk, about 2 MB. At 20,000 calls a second they are what happens in 0.4 s.
const QUEUE: usize = 8 * 1024;

/// Between two warnings about lines that were lost.
const WARNING: Duration = Duration::from_secs(60);

/// Where the lines go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Beside the log.
    Stderr,
    /// A file, which is appended to.
    File(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Stderr => f.write_str("the audit log on stderr"),
            Place::File(path) => write!(f, "the audit log {}", path.display()),
        }
    }
}

/// Why there is no audit log.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {place}: {why}; name a file in a directory that can be written, with --audit-log")]
pub struct AuditError {
    place: Place,
    why: io::Error,
}

/// The way to the audit log. Clones are the same.
#[derive(Debug, Clone)]
pub struct Audit(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    tx: SyncSender<Entry>,
    marks: Arc<Marks>,
    /// Tells the sessions of this run from those of another.
    run: Box<str>,
    /// Resolves when all is written.
    done: Mutex<oneshot::Receiver<()>>,
}

/// What goes through the queue.
#[derive(Debug)]
enum Entry {
    Line(Box<Record>),
    /// There is a mark to look at.
    Look,
}

/// What is said beside the queue, which may be full.
#[derive(Debug, Default)]
struct Marks {
    /// Lines that were lost and are not told of.
    lost: AtomicU64,
    reopen: AtomicBool,
    ending: AtomicBool,
    /// When lost lines were warned of last.
    warned: std::sync::Mutex<Option<Instant>>,
}

impl Marks {
    /// Whether it is time to warn of lost lines; it is then done.
    fn may_warn(&self) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let may = warned.is_none_or(|at| at.elapsed() >= WARNING);
        if may {
            *warned = Some(Instant::now());
        }
        may
    }
}

impl Audit {
    /// Opens the place and begins to write there.
    pub fn start(place: &Place) -> Result<Audit, AuditError> {
        let failed = |why| AuditError { place: place.clone(), why };
        let (tx, rx) = mpsc::sync_channel(QUEUE);
        let (ended, done) = oneshot::channel();
        let marks = Arc::<Marks>::default();
        let writer = Writer::open(place, rx, marks.clone(), ended).map_err(failed)?;
        std::thread::Builder::new().name("audit".into()).spawn(move || writer.run()).map_err(failed)?;
        let run = uuid::Uuid::new_v4().simple().to_string().chars().take(8).collect();
        Ok(Audit(Arc::new(Inner { place: place.clone(), tx, marks, run, done: Mutex::new(done) })))
    }

    /// Opens the file again, by its name: it was moved away.
    pub fn reopen(&self) {
        self.0.marks.reopen.store(true, Ordering::Release);
        // Where there is no room the writer is at work, and looks when it is done.
        drop(self.0.tx.try_send(Entry::Look));
    }

    /// Waits until all is written that was said so far, or the time is over. Nothing is to be said after that.
    pub async fn close(&self, at_most: Duration) {
        self.0.marks.ending.store(true, Ordering::Release);
        drop(self.0.tx.try_send(Entry::Look));
        let mut done = self.0.done.lock().await;
        if tokio::time::timeout(at_most, &mut *done).await.is_err() {
            warn!("the audit log could not be written to its end in {} s; its last lines are lost", at_most.as_secs());
        }
    }

    fn note(&self, record: Record) {
        if self.0.tx.try_send(Entry::Line(Box::new(record))).is_ok() {
            return;
        }
        // The writer itself may say nothing for long: it waits for the disk.
        if self.0.marks.lost.fetch_add(1, Ordering::Relaxed) == 0 && self.0.marks.may_warn() {
            warn!("{} is slower than its callers; lines are lost, and counted", self.0.place);
        }
    }

    fn run(&self) -> &str {
        &self.0.run
    }
}

#[cfg(test)]
mod tests;
