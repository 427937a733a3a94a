//! The caller's side of a call: the duty to answer it, and the wish of its caller to have the answer.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::{
    Translation,
    request::Refusal,
    seal::{self, Digest},
};
use crate::{
    json::Object,
    message::{Frame, Id, code, text},
    peer::{Caller, CallerId, Envelope, NotTaken, Reply},
    protocol::meta,
};

/// The caller's side of a call.
pub(super) struct Front {
    pub(super) caller: Arc<Caller>,
    pub(super) frame: Frame,
    reply: Reply,
    withdrawn: Option<oneshot::Receiver<()>>,
    translation: Arc<Translation>,
    key: (CallerId, Id),
    /// See [`Front::digest`], once it was asked for.
    digest: Option<Digest>,
}

impl Front {
    pub(super) fn new(
        caller: Arc<Caller>,
        frame: Frame,
        reply: Reply,
        withdrawn: oneshot::Receiver<()>,
        translation: Arc<Translation>,
        key: (CallerId, Id),
    ) -> Front {
        Front { caller, frame, reply, withdrawn: Some(withdrawn), translation, key, digest: None }
    }

    /// Resolves when the caller does not want the answer any more: it cancelled, or hung up. Cancel-safe.
    pub(super) async fn withdrawn(&mut self) {
        if let Some(withdrawn) = &mut self.withdrawn {
            tokio::select! {
                said = withdrawn => match said {
                    Ok(()) => return,
                    Err(_) => self.withdrawn = None,
                },
                () = self.reply.gone() => return,
            }
        }
        self.reply.gone().await;
    }

    /// Which request it is, for the handle of a call that is parked.
    pub(super) fn digest(&mut self) -> Digest {
        *self.digest.get_or_insert_with(|| seal::request(self.frame.method(), self.frame.body()))
    }

    /// Lets go of the params but for the progress token: they may be megabytes. A call that may be parked leaves their digest;
    /// that is worth it where they take room that other messages wait for.
    pub(super) fn forget_params(&mut self, may_park: bool) {
        if may_park {
            if !self.frame.is_holding() {
                return;
            }
            self.digest();
        }
        let mut kept = Object::new();
        if let Some(token) = self.frame.token_text() {
            kept.set("_meta", format!("{{\"{}\":{token}}}", meta::PROGRESS_TOKEN));
        }
        let id = self.key.1.clone();
        self.frame = Frame::request_of(&id, self.frame.method(), &kept);
    }

    /// What tells it apart from all other calls in flight.
    pub(super) fn key(&self) -> &(CallerId, Id) {
        &self.key
    }

    /// The id of the request as its caller wrote it.
    pub(super) fn id_text(&self) -> &str {
        self.reply.id_text()
    }

    /// Sends something ahead of the answer without waiting.
    pub(super) fn try_update(&self, from: &Arc<Caller>, frame: Frame) -> Result<(), NotTaken> {
        self.reply.updates().try_send(Envelope::one_way(from.clone(), frame))
    }

    /// The same, and waits while the caller is slow. False when the caller does not want the answer any more.
    pub(super) async fn update(&mut self, from: &Arc<Caller>, frame: Frame) -> bool {
        let updates = self.reply.updates();
        tokio::select! {
            sent = updates.send(Envelope::one_way(from.clone(), frame)) => sent.is_ok(),
            () = self.withdrawn() => false,
        }
    }

    /// Answers with a result, as JSON text.
    pub(super) fn answer(self, result: &str) {
        let frame = Frame::result(self.reply.id_text(), result);
        self.send(frame);
    }

    /// The same with an object, made of what the server answered.
    pub(super) fn answer_object(self, result: &Object<'_>, answer: &Frame) {
        let frame = Frame::result_of(self.reply.id_text(), result).in_place_of(answer);
        self.send(frame);
    }

    /// Answers with a question, unless the caller has taken its request back or hung up. False then: nobody will answer it.
    pub(super) fn ask(self, question: &str) -> bool {
        // Whoever finds the call in the table takes it out: a cancellation comes before this, or after it.
        let wanted = self.translation.ended(&self.key) && !self.reply.is_gone();
        if wanted {
            self.reply.answer(Frame::result("0", question));
        } else {
            self.reply.fail(code::CANCELLED, text::CANCELLED, None);
        }
        wanted
    }

    /// Answers with a server's error, as JSON text.
    pub(super) fn answer_error(self, error: &str) {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{},"error":{error}}}"#, self.reply.id_text());
        let frame = Frame::parse(text.into())
            .unwrap_or_else(|why| Frame::error(self.reply.id_text(), code::INTERNAL, &why.to_string(), None));
        self.send(frame);
    }

    pub(super) fn refuse(self, refusal: Refusal) {
        let frame = Frame::error(self.reply.id_text(), refusal.code, &refusal.message, refusal.data);
        self.send(frame);
    }

    pub(super) fn cancelled(self) {
        self.refuse(Refusal::new(code::CANCELLED, text::CANCELLED));
    }

    fn send(self, frame: Frame) {
        // First out of the table, then answered: the caller may use the id again from then on.
        self.translation.ended(&self.key);
        self.reply.answer(frame);
    }
}
