//! Events of one response body.
//!
//! Owns the response and the decoder of its event stream. Talks to the network below and to both remote wires above. It
//! never reconnects.

use bytes::Bytes;
use reqwest::Response;

use super::fault::Fault;
use crate::wire::event_stream::{DecodeError, Decoder, Event};

/// An event stream under way.
#[derive(Debug)]
pub(crate) struct Events {
    response: Response,
    decoder: Decoder,
    chunk: Bytes,
}

/// Why there is no next event.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StreamFault {
    /// The stream can be read on.
    #[error(transparent)]
    TooLarge(#[from] DecodeError),
    #[error(transparent)]
    Broken(Fault),
}

impl Events {
    /// `max_event`: the cap on one event's data, in bytes.
    pub(crate) fn new(response: Response, max_event: usize) -> Events {
        Events { response, decoder: Decoder::new(max_event), chunk: Bytes::new() }
    }

    /// The next event; `None` at the end of the stream. Cancel-safe: the only wait is for the next chunk.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, StreamFault> {
        loop {
            if let Some(event) = self.decoder.decode(&mut self.chunk)? {
                return Ok(Some(event));
            }
            match self.response.chunk().await {
                Ok(Some(chunk)) => self.chunk = chunk,
                Ok(None) => return Ok(None),
                Err(error) => return Err(StreamFault::Broken(Fault::read(&error, true))),
            }
        }
    }

    /// The last `retry` of the stream, which counts even where its block never ended.
    pub(crate) fn retry(&self) -> Option<std::time::Duration> {
        self.decoder.retry()
    }
}
