//! What a pipe is: one ordered stream of frames each way, whose answers are found by id.
//!
//! Owns the two traits that a pipe wire implements (stdio, child, legacy SSE in both roles, WebSocket) and the line
//! codec. Talks to nobody above. It never correlates; [`crate::pump`] does.

use std::{future::Future, io};

use crate::message::{Frame, FrameError};

/// The reading half of a pipe.
pub trait FrameSource: Send + 'static {
    /// The next message; an error for something that is none (the pipe goes on), `None` when the far end has closed.
    /// Cancel-safe.
    fn next(&mut self) -> impl Future<Output = Option<Result<Frame, FrameError>>> + Send;

    /// Why it closed; asked once, after `next` gave `None`. Answers within a second: callers wait for it.
    fn end(&mut self) -> impl Future<Output = Ended> + Send;
}

/// The writing half of a pipe.
pub trait FrameSink: Send + 'static {
    /// Writes all frames, in order, and flushes. Waits while the far end does not read.
    fn write(&mut self, frames: &[Frame]) -> impl Future<Output = io::Result<()>> + Send;
}

/// Why a far end is gone, in words for the callers that wait for its answers.
#[derive(Debug, Clone)]
pub struct Ended {
    /// One line.
    pub message: String,
    /// Error data: exit code, last lines of stderr.
    pub data: Option<serde_json::Value>,
}
