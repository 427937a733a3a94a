//! What a legacy server asks of its client, and what the caller says to it when it comes back.
//!
//! Owns one open question and its one answer, and the reading of a retry. It never waits.

use super::{
    request::Refusal,
    results::asking::{self, InputRequest},
};
use crate::{
    json::{self, Object},
    message::{Frame, code},
    peer::Reply,
};

/// Questions that one call may have open. Each is kept until it is answered.
pub(super) const MAX_ASKED: usize = 32;

/// What a server asks without a call, more often than not.
pub(super) const ROOTS: &str = "roots/list";

/// Keys and values of `inputRequests`; the values are JSON text.
pub(super) type Entries = Vec<(Box<str>, Box<str>)>;

/// A question of the server's that waits for the caller.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its key among the `inputRequests`.
    pub(super) key: Box<str>,
    /// Its value there.
    text: Box<str>,
    method: Box<str>,
    reply: Reply,
}

impl Asked {
    pub(super) fn new(key: String, method: &str, request: InputRequest, reply: Reply) -> Asked {
        Asked { key: key.into(), text: request.text.into(), method: method.into(), reply }
    }

    /// Its entry among the `inputRequests`.
    pub(super) fn entry(&self) -> (Box<str>, Box<str>) {
        (self.key.clone(), self.text.clone())
    }

    /// Its id at the server.
    pub(super) fn id_text(&self) -> &str {
        self.reply.id_text()
    }

    /// Passes on what the caller said; JSON text.
    pub(super) fn answer(self, response: &str) {
        match asking::answer(response) {
            Some(result) => {
                let frame = Frame::result(self.reply.id_text(), &result);
                self.reply.answer(frame);
            }
            None => self.expire(),
        }
    }

    /// Nobody answered.
    pub(super) fn expire(self) {
        let frame = asking::unanswered(self.reply.id_text(), &self.method);
        self.reply.answer(frame);
    }

    /// The call that it belongs to is over.
    pub(super) fn moot(self) {
        self.reply.fail(code::CANCELLED, "the call that this belongs to is over", None);
    }
}

/// What a retry brings: `requestState` as it came, and the responses by key.
#[derive(Debug)]
pub(super) struct Retry<'a> {
    pub(super) state: String,
    pub(super) responses: Object<'a>,
}

impl<'a> Retry<'a> {
    /// Reads the params of a request; `None` when it is no retry.
    pub(super) fn of(params: &Object<'a>) -> Option<Result<Retry<'a>, Refusal>> {
        let state = json::member(params, "requestState")?;
        let Some(state) = json::string(state) else {
            return Some(Err(Refusal::new(code::INVALID_PARAMS, "requestState must be a string")));
        };
        let state = state.into_owned();
        let responses = match json::member(params, "inputResponses") {
            None => Some(Object::new()),
            Some(text) => Object::parse(text).filter(|all| all.iter().all(|(_, value)| Object::parse(value).is_some())),
        };
        Some(match responses {
            Some(responses) => Ok(Retry { state, responses }),
            None => {
                let text = "inputResponses must be an object whose members are objects";
                Err(Refusal::new(code::INVALID_PARAMS, text))
            }
        })
    }
}
