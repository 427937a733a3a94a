//! The first contact: does a modern server answer at this URL?
//!
//! Owns the bridge's own `server/discover` over HTTP and the judgement of what comes back (2026-07-28, Versioning and
//! Streamable HTTP, Backward Compatibility). It never opens a session, and never takes a failure of the network, of a
//! gateway or of authorization for the mark of an era.

use std::sync::Arc;

use http::StatusCode;
use tokio::time::timeout;

use super::exchange::{headers, post};
use crate::{
    annotations::Annotations,
    message::{Frame, code},
    protocol::{self, ErrorHead, MODERN, Revision, supported_versions},
    wire::{
        http::connect::{
            calls::Table,
            opening::patience,
            reading::{Posted, Reader, asked, frames_of},
        },
        remote::{
            ConnectError, Way,
            events::{Events, StreamFault},
            fault::{Fault, FaultKind, one_line},
        },
    },
};

/// Revisions that are shown of those a server names.
const MAX_SHOWN: usize = 8;

/// What a first contact came to.
#[derive(Debug)]
pub(crate) enum Contact {
    /// A server that speaks the modern revision.
    Modern,
    /// None.
    Legacy {
        /// What shows it; to stand after the URL.
        why: String,
        /// Whether it takes messages by POST all the same, as Streamable HTTP does.
        takes_posts: bool,
    },
    /// That cannot be known, or is of no use.
    Failed(ConnectError),
}

/// Asks the server what it is, as patiently as configured. Nothing is changed by that, so it may be repeated.
pub(crate) async fn discover(way: &Arc<Way>) -> Contact {
    let question = protocol::discover();
    let reader = Reader::new(way, &Table::new(1));
    match way.patiently(|| within_patience(way, &reader, &question)).await {
        Ok(contact) => {
            match &contact {
                Contact::Failed(why) => way.failed(why.clone()),
                Contact::Modern => way.worked(),
                Contact::Legacy { .. } => {}
            }
            contact
        }
        Err(fault) => {
            let failed = way.unreachable(&fault);
            way.failed(failed.clone());
            Contact::Failed(failed)
        }
    }
}

async fn within_patience(way: &Way, reader: &Reader, question: &Frame) -> Result<Contact, Fault> {
    let patience = patience(&way.limits);
    match timeout(patience, ask(way, reader, question)).await {
        Ok(contact) => contact.map_err(|fault| Fault { sent: false, ..fault }),
        Err(_) => {
            let within = patience.as_secs();
            let why = format!("it did not answer server/discover within {within} s; look into the server's log");
            Err(Fault::new(FaultKind::Silent, true, why))
        }
    }
}

async fn ask(way: &Way, reader: &Reader, question: &Frame) -> Result<Contact, Fault> {
    let headers = headers(question, &Annotations::default())
        .map_err(|trouble| Fault::new(FaultKind::Setup, false, trouble.message))?;
    let incoming = post(way, question, &headers, &Arc::default()).await?;
    let status = incoming.response.status();
    Ok(match reader.read(incoming, asked(question), way.server.id).await? {
        Posted::Answer(answer) => judge(way, status, answer),
        Posted::Stream(mut events) => judge(way, status, first_answer(way, reader, &mut events, question).await?),
        Posted::Refused(status) if matches!(status.as_u16(), 502..=504) => {
            return Err(Fault::new(FaultKind::Gateway, false, format!("it answered {}", way.in_words(status))));
        }
        Posted::Refused(status) | Posted::SessionGone(status) => by_status(way, status, false, "no message"),
        Posted::NotMcp(why) => Contact::Legacy { why, takes_posts: true },
    })
}

async fn first_answer(way: &Way, reader: &Reader, events: &mut Events, question: &Frame) -> Result<Frame, Fault> {
    let broken = || Fault::new(FaultKind::Broken, true, "the stream ended before the answer; try again");
    let Some(id) = asked(question) else { return Err(broken()) };
    // Ends with the answer or with the stream.
    loop {
        match events.next().await {
            Ok(Some(event)) => {
                let answer = frames_of(&event, &way.shown()).into_iter().find(|frame| reader.is_answer(frame, id));
                if let Some(answer) = answer {
                    return Ok(answer);
                }
            }
            Ok(None) => return Err(broken()),
            Err(StreamFault::Broken(fault)) => return Err(fault),
            Err(StreamFault::TooLarge(error)) => {
                return Err(Fault::new(FaultKind::Silent, true, error.to_string()));
            }
        }
    }
}

/// What an answer shows. No single code means the older era: whatever is not of the modern one does.
fn judge(way: &Way, status: StatusCode, answer: Frame) -> Contact {
    let versions = supported_versions(&answer).unwrap_or_default();
    if !answer.is_error() {
        return if versions.iter().any(|version| version == MODERN) {
            Contact::Modern
        } else {
            // Some servers of the older era advertise themselves so.
            legacy(format!("answered server/discover without revision {MODERN}"))
        };
    }
    let failed = |why: String| Contact::Failed(ConnectError::Protocol(format!("{} {why}", way.shown())));
    match ErrorHead::code_of(&answer) {
        Some(code::UNSUPPORTED_VERSION) => {
            if versions.iter().any(|version| version == MODERN) {
                return Contact::Modern; // Whatever else it had against the question.
            }
            if versions.iter().any(|version| Revision::parse_legacy(version).is_some()) {
                return legacy(format!("speaks {}", list(&versions)));
            }
            failed(format!("speaks {}, and mcp-bridge {MODERN}; use a newer mcp-bridge", list(&versions)))
        }
        Some(code @ (code::HEADER_MISMATCH | code::MISSING_CAPABILITY)) => failed(format!(
            "is a server of revision {MODERN} and refuses server/discover (code {code}); look for a proxy that drops headers"
        )),
        code => by_status(way, status, true, &code.map_or_else(|| "an error".into(), |code| format!("error {code}"))),
    }
}

fn legacy(why: String) -> Contact {
    Contact::Legacy { why, takes_posts: true }
}

/// `answered`: it was a JSON-RPC error.
fn by_status(way: &Way, status: StatusCode, answered: bool, with: &str) -> Contact {
    match status.as_u16() {
        401 | 403 | 408 | 425 | 429 | 500.. => Contact::Failed(way.refused(status, None)),
        // The older transport has its POSTs elsewhere: here there is nothing, or only what is to be read.
        number => Contact::Legacy {
            why: format!("answered server/discover with HTTP {number} and {with}"),
            takes_posts: answered || !matches!(number, 404 | 405),
        },
    }
}

fn list(versions: &[String]) -> String {
    if versions.is_empty() {
        return "revisions that it does not name".into();
    }
    let shown: Vec<_> = versions.iter().take(MAX_SHOWN).map(|version| one_line(version)).collect();
    shown.join(", ")
}
