//! The loop that writes: what the partner says, with the ids that the far end knows.

use std::{io, pin::pin};

use tracing::debug;

use super::{MAX_TABLE, Role, Settled, Shared, WRITE_BATCH, now, refuse};
use crate::{
    message::{Frame, Kind, code, text},
    peer::{Caller, Envelope, Inbox, Reply},
    pipe::{Ended, FrameSink},
    protocol::cancellation,
};

/// The loop.
pub(super) struct Writing<'a, W> {
    pub(super) shared: &'a Shared,
    pub(super) sink: W,
    pub(super) rx: Inbox,
}

impl<W: FrameSink> Writing<'_, W> {
    /// Ends when the partner has nothing more to say, or when a client is let go; then drops the sink, which closes that half
    /// of the pipe.
    pub(super) async fn run(mut self) {
        let mut envelopes = Vec::new();
        let mut frames = Vec::new();
        let mut left = pin!(self.shared.client_left());
        loop {
            let many = tokio::select! {
                biased;
                many = self.rx.recv_many(&mut envelopes, WRITE_BATCH) => many,
                () = &mut left => return self.part().await,
            };
            if many == 0 {
                return;
            }
            frames.extend(envelopes.drain(..).filter_map(|envelope| self.prepare(envelope)));
            if let Err(error) = self.write(&frames).await {
                return self.broken(error).await;
            }
            frames.clear();
        }
    }

    /// A client's last messages: what is there, what its leaving brings about, and an answer to each call that has none
    /// then. Whoever holds a question sees that its client is gone, but he may hold it for ever.
    async fn part(mut self) {
        self.rx.close();
        let shared = self.shared;
        let mut last_words = pin!(shared.last_words());
        let mut envelopes = Vec::new();
        loop {
            let many = tokio::select! {
                biased;
                many = self.rx.recv_many(&mut envelopes, WRITE_BATCH) => many,
                () = &mut last_words => 0,
            };
            let mut frames: Vec<_> = envelopes.drain(..).filter_map(|envelope| self.prepare(envelope)).collect();
            if many == 0 {
                frames = shared.cut_off_all();
            }
            let written = self.write(&frames).await;
            if many == 0 || written.is_err() {
                return;
            }
        }
    }

    /// Writes, unless the far end does not read and nobody waits for that any more.
    async fn write(&mut self, frames: &[Frame]) -> io::Result<()> {
        tokio::select! {
            biased;
            written = self.sink.write(frames) => written,
            () = self.shared.given_up() => Err(io::Error::new(io::ErrorKind::TimedOut, "it does not read")),
        }
    }

    /// The far end reads no more. A client that is gone ends the pipe; what is still asked of a server is answered.
    async fn broken(mut self, error: io::Error) {
        debug!(name = %self.shared.rules.name, "cannot write: {error}");
        if self.shared.rules.role == Role::Accept {
            return;
        }
        drop(self.sink);
        let ended = Ended { message: format!("the server closed its input ({error})"), data: None };
        while let Some(envelope) = self.rx.recv().await {
            if let Some(reply) = envelope.reply {
                refuse(reply, self.shared.table().ended.as_ref().unwrap_or(&ended));
            }
        }
    }

    /// The frame to write, if any, with the ids that the far end knows.
    fn prepare(&self, envelope: Envelope) -> Option<Frame> {
        let Envelope { from, frame, reply } = envelope;
        if from.id == self.shared.own.id {
            return Some(frame);
        }
        match (frame.kind(), reply) {
            (Kind::Request(_), Some(reply)) => self.park(&from, &frame, reply),
            (Kind::Request(_), None) => None,
            (Kind::Response(Some(id)), _) => {
                if self.shared.settle(id)? == Settled::Subscription && !frame.is_error() {
                    // The other way to say so; see `Shared::end_subscriptions`.
                    self.shared.say_now(cancellation(&id.to_json(), None));
                }
                Some(frame)
            }
            (Kind::Response(None), _) => None,
            (Kind::Notification, _) if frame.cancelled().is_some() => self.cancel(&from, &frame),
            (Kind::Notification, _) => Some(frame),
        }
    }

    fn park(&self, from: &Caller, frame: &Frame, reply: Reply) -> Option<Frame> {
        let mut table = self.shared.table();
        if let Some(ended) = &table.ended {
            refuse(reply, ended);
            return None;
        }
        // On a shared server each caller has its own share, or one could lock out all others; together they are bounded
        // by what a table may hold.
        let (mine, all) = (table.pending.in_flight(from.id), table.pending.len());
        if mine >= self.shared.rules.max_in_flight || all >= MAX_TABLE {
            let text = "too many requests are in flight to this server; wait for an answer before the next one";
            reply.fail(code::LIMIT, text, None);
            return None;
        }
        let deadline = self.shared.rules.request_timeout.map(|timeout| now() + timeout);
        Some(table.pending.park(from.id, frame, reply, deadline))
    }

    fn cancel(&self, from: &Caller, frame: &Frame) -> Option<Frame> {
        let withdrawn = self.shared.table().pending.cancel(from.id, frame.cancelled()?)?;
        withdrawn.home.fail(code::CANCELLED, text::CANCELLED, None);
        Some(frame.with(None, Some(&withdrawn.wire_id)))
    }
}
