//! Ids in the params and results that refer to requests: progress tokens, cancelled ids, subscriptions.
//!
//! Owns where they stand, and how they are found. Pure. Tables decide by them which request is meant, so a message in which
//! two readers could see two ids is refused.

use std::{ops::Range, sync::LazyLock};

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{FrameError, Id, Kind, MAX_ID, position, read::not_read};
use crate::protocol::{meta, method};

// Made once: to prepare a search takes longer than most searches. Letters alone: what is none may have an escape.
static CANCELLED: LazyLock<Finder> = LazyLock::new(|| Finder::new("requestId"));
static TOKEN: LazyLock<Finder> = LazyLock::new(|| Finder::new(meta::PROGRESS_TOKEN));
static SUBSCRIPTION: LazyLock<Finder> = LazyLock::new(|| Finder::new("subscriptionId"));

/// An id inside the params that refers to a request, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Mark {
    pub(super) what: MarkKind,
    pub(super) id: Id,
    pub(super) at: Range<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkKind {
    /// `params._meta.progressToken` of a request, `params.progressToken` of `notifications/progress`.
    Token,
    /// `params.requestId` of `notifications/cancelled`.
    Cancelled,
    /// `_meta["io.modelcontextprotocol/subscriptionId"]` of any other notification, and of a result.
    Subscription,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(default, borrow, rename = "_meta")]
    meta: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "requestId")]
    request: Option<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Meta<'a> {
    #[serde(default, borrow, rename = "progressToken")]
    token: Option<&'a RawValue>,
    #[serde(default, borrow, rename = "io.modelcontextprotocol/subscriptionId")]
    subscription: Option<&'a RawValue>,
}

/// Whether this member of params, or of a result, may hold one. To look into `_meta` spares a look into all of the body.
pub(super) fn may_be_in(key: &str, value: &str) -> bool {
    match key {
        meta::PROGRESS_TOKEN | "requestId" => true,
        "_meta" => {
            let text = value.as_bytes();
            TOKEN.find(text).is_some() || SUBSCRIPTION.find(text).is_some() || has_escaped_letters(value)
        }
        _ => false,
    }
}

/// Finds the id inside the params that the tables need. Looks for the key's bytes first: most messages have none,
/// and a search costs a hundredth of a second parse. Where readers could differ about the id, the message is refused: it
/// would be sent on as it is, and the id may be that of another caller's request.
pub(super) fn find(text: &str, kind: &Kind, method: &str, body: &str) -> Result<Option<Mark>, FrameError> {
    let (what, finder) = match (kind, method) {
        (Kind::Notification, method::CANCELLED) => (MarkKind::Cancelled, &CANCELLED),
        (Kind::Notification, method::PROGRESS) | (Kind::Request(_), _) => (MarkKind::Token, &TOKEN),
        (Kind::Notification | Kind::Response(_), _) => (MarkKind::Subscription, &SUBSCRIPTION),
    };
    if !body.starts_with('{') || (finder.find(body.as_bytes()).is_none() && !has_escaped_letters(body)) {
        return Ok(None);
    }
    let Params { meta, token, request } = serde_json::from_str(body).map_err(not_read)?;
    let meta = match meta.filter(|meta| meta.get().starts_with('{')) {
        Some(meta) => serde_json::from_str(meta.get()).map_err(not_read)?,
        None => Meta::default(),
    };
    let value = match (what, kind) {
        (MarkKind::Cancelled, _) => request,
        (MarkKind::Token, Kind::Request(_)) => meta.token,
        (MarkKind::Token, _) => token,
        (MarkKind::Subscription, _) => meta.subscription,
    };
    let Some(value) = value.map(RawValue::get) else { return Ok(None) };
    match Id::parse(value) {
        Some(id) => Ok(Some(Mark { what, id, at: position(text, value) })),
        // A server may read the number that it is, which another's request has.
        None if matches!(value.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9')) => {
            Err(FrameError::NotRpc(format!("the id in its body is longer than {MAX_ID} bytes, or no text")))
        }
        None => Ok(None),
    }
}

/// Whether a letter may be written as an escape, such as one of a key. Nobody has to; what does is read.
fn has_escaped_letters(text: &str) -> bool {
    static ESCAPE: LazyLock<Finder> = LazyLock::new(|| Finder::new("\\u00"));
    let text = text.as_bytes();
    ESCAPE.find_iter(text).any(|at| matches!(text.get(at + 4), Some(b'4'..=b'7')))
}
