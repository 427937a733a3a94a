//! Exchanges of the modern era with all servers: each stands alone.
//!
//! Owns the way in, and the answer to `server/discover`. Talks to the servers through the line. It never keeps anything of
//! a caller.

use std::sync::Arc;

use futures::future::join_all;
use tokio::sync::mpsc;
use tracing::warn;

use super::{Aggregate, asking::Failure, line::Line};
use crate::{
    aggregate::{Offer, discovered},
    message::{Frame, code},
    peer::{Caller, Envelope, Reply},
    protocol::method,
};

/// Serves exchanges until nobody can send any more. Waits for no server.
pub(super) async fn serve(whole: Arc<Aggregate>, mut rx: mpsc::Receiver<Envelope>) {
    let scope = whole.scope.clone();
    let line = Line::shared(whole);
    while let Some(Envelope { from, frame, reply }) = rx.recv().await {
        match (frame.method(), reply) {
            (method::DISCOVER, Some(reply)) => drop(scope.spawn(discover(line.clone(), from, frame, reply))),
            (method::LISTEN, Some(reply)) => drop(scope.spawn(line.clone().listen(from, frame, reply))),
            (_, Some(reply)) => line.request(from, frame, reply),
            (_, None) => line.notification(&from, frame),
        }
    }
}

/// Says what the servers are together.
async fn discover(line: Arc<Line>, from: Arc<Caller>, frame: Frame, reply: Reply) {
    let (this, caller, asked) = (&*line, &from, &frame);
    let found =
        this.whole.all().map(|server| async move { (server, this.ask_soon(server, caller, asked, None).await) });
    let mut offers: Vec<(usize, &str, Offer)> = Vec::new();
    let mut failed = None;
    for (server, answer) in join_all(found).await {
        let name = line.whole.name(server);
        match answer {
            Ok(answer) => offers.push((server, name, line.whole.said(server, answer.body().unwrap_or_default()))),
            Err(Failure::Nothing) => warn!(server = name, "left out: it does not know {}", method::DISCOVER),
            Err(Failure::Because(why)) => {
                failed.get_or_insert_with(|| format!("no server can be used; {name}: {why}"));
            }
        }
    }
    match failed {
        Some(why) if offers.is_empty() => reply.fail(code::INTERNAL, &why, None),
        _ => {
            let answer = Frame::result(reply.id_text(), &discovered(&line.whole.names, &offers));
            reply.answer(answer);
        }
    }
}
