//! Who calls, on the way from the socket to the answer.
//!
//! Owns what is counted of a session and of each call, and the moment at which a line is due: a call's is when its answer
//! goes home, a session's when nothing holds its caller any more. Talks to the [`Audit`]. It never waits.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use super::{
    Audit,
    record::{Bytes, Event, Outcome, Reason, Record, Routed, What, Who},
};
use crate::message::Frame;

/// From whom one request came, and where that is noted. The front puts it into the request, and the wire that reads the
/// body takes it out.
#[derive(Debug, Clone)]
pub struct Visitor {
    audit: Audit,
    who: Arc<Who>,
}

/// A refusal that is to be noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub reason: Reason,
    /// What was asked, if that was read.
    pub what: Option<What>,
}

impl Visitor {
    /// A visitor of whom this is known.
    pub fn new(audit: &Audit, who: Who) -> Visitor {
        Visitor { audit: audit.clone(), who: Arc::new(who) }
    }

    /// The one that the front put into a request.
    pub fn of<B>(request: &http::Request<B>) -> Option<Visitor> {
        request.extensions().get().cloned()
    }

    /// Notes that it was refused with this status.
    pub fn refused(&self, refused: Refused, status: u16) {
        let Refused { reason, what } = refused;
        self.note(None, Event::Refusal { reason, status: Some(status), code: None, what, routed: None });
    }

    fn note(&self, session: Option<Arc<str>>, event: Event) {
        self.audit.note(Record { time: SystemTime::now(), who: self.who.clone(), session, event });
    }
}

/// A caller as the audit log has it.
#[derive(Debug, Clone)]
pub struct Account {
    visitor: Visitor,
    /// `None`: an exchange that stands alone.
    visit: Option<Arc<Visit>>,
}

/// Two are equal that are the same.
impl PartialEq for Account {
    fn eq(&self, other: &Account) -> bool {
        let visits = match (&self.visit, &other.visit) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        visits && self.visitor.who == other.visitor.who
    }
}

impl Eq for Account {}

/// A session. Its line is written when it is dropped.
#[derive(Debug)]
struct Visit {
    visitor: Visitor,
    id: Arc<str>,
    began: Instant,
    opened: AtomicBool,
    calls: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Account {
    /// An exchange that stands alone.
    pub fn lone(visitor: Visitor) -> Account {
        Account { visitor, visit: None }
    }

    /// A session. `number` is another one for each session of this process.
    pub fn session(visitor: Visitor, number: u64) -> Account {
        let visit = Visit {
            id: format!("{}-{number}", visitor.audit.run()).into(),
            visitor: visitor.clone(),
            began: Instant::now(),
            opened: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
        };
        Account { visitor, visit: Some(Arc::new(visit)) }
    }

    /// The session has begun. One that never did has no line.
    pub fn opened(&self) {
        if let Some(visit) = &self.visit {
            visit.opened.store(true, Ordering::Relaxed);
        }
    }

    /// The same session, in a request that came from elsewhere.
    pub fn at(&self, visitor: &Visitor) -> Account {
        Account { visitor: visitor.clone(), visit: self.visit.clone() }
    }

    /// A call that begins now.
    pub fn begin(&self, request: &Frame) -> Arc<Call> {
        Arc::new(Call {
            account: self.clone(),
            what: What::of(request),
            began: Instant::now(),
            received: request.bytes().len() as u64,
            sent: AtomicU64::new(0),
            routed: OnceLock::new(),
            refused: OnceLock::new(),
        })
    }

    /// Notes a request that was refused with an error of this code.
    pub fn refused(&self, reason: Reason, code: i32, request: &Frame) {
        let (status, code, what) = (None, Some(code), Some(What::of(request)));
        self.visitor.note(self.id(), Event::Refusal { reason, status, code, what, routed: None });
    }

    fn id(&self) -> Option<Arc<str>> {
        self.visit.as_ref().map(|visit| visit.id.clone())
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if !*self.opened.get_mut() {
            return;
        }
        let bytes = Bytes { received: *self.received.get_mut(), sent: *self.sent.get_mut() };
        let (took, calls) = (self.began.elapsed(), *self.calls.get_mut());
        self.visitor.note(Some(self.id.clone()), Event::Session { took, calls, bytes });
    }
}

/// One call, from its request to its answer.
#[derive(Debug)]
pub struct Call {
    account: Account,
    what: What,
    began: Instant,
    received: u64,
    sent: AtomicU64,
    routed: OnceLock<Routed>,
    refused: OnceLock<(Reason, i32)>,
}

impl Call {
    /// So many bytes went to the caller ahead of the answer.
    pub fn sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// It is for this server of several, which gets this request.
    pub fn routed(&self, server: &str, request: &Frame) {
        self.routed.get_or_init(|| Routed::new(server, request));
    }

    /// It is refused: the answer is that.
    pub fn refused(&self, reason: Reason, code: i32) {
        self.refused.get_or_init(|| (reason, code));
    }

    /// This is the answer. `heard`: somebody waits for it.
    pub fn ended(&self, answer: &Frame, heard: bool) {
        self.sent(answer.bytes().len());
        let bytes = Bytes { received: self.received, sent: self.sent.load(Ordering::Relaxed) };
        let (what, routed) = (self.what.clone(), self.routed.get().cloned());
        if let Some(visit) = &self.account.visit {
            visit.calls.fetch_add(1, Ordering::Relaxed);
            visit.received.fetch_add(bytes.received, Ordering::Relaxed);
            visit.sent.fetch_add(bytes.sent, Ordering::Relaxed);
        }
        let event = match self.refused.get() {
            Some((reason, code)) => {
                Event::Refusal { reason: *reason, status: None, code: Some(*code), what: Some(what), routed }
            }
            None => {
                let outcome = if heard { Outcome::of(answer, what.method()) } else { Outcome::Gone };
                Event::Call { outcome, what, routed, took: self.began.elapsed(), bytes }
            }
        };
        self.account.visitor.note(self.account.id(), event);
    }
}
