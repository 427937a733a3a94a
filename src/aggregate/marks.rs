//! Ids of what servers ask of one client: each server counts by itself, so that two of them use the same.
//!
//! Owns the mark, which is the server's number. Pure. It never touches what a server answers.

use std::borrow::Cow;

use crate::{
    json,
    message::{Frame, Id, Kind},
};

/// What a server says, as the client is to see it: a request with its id and its progress token marked, the end of one
/// with the id that it names. Everything else is as it came. The way home of a request knows the server's own id.
pub fn marked(server: usize, frame: Frame) -> Frame {
    match frame.kind() {
        Kind::Request(id) => {
            let (id, token) = (mark(server, id), frame.progress_token().map(|token| mark(server, token)));
            frame.with(Some(&id), token.as_deref())
        }
        Kind::Notification => match frame.cancelled() {
            Some(id) => frame.with(None, Some(&mark(server, id))),
            None => frame,
        },
        Kind::Response(_) => frame,
    }
}

/// Of a client's progress on something that a server asked: which server, and the message with the server's own token.
/// `None` where the token was none of these.
pub fn unmarked(frame: &Frame) -> Option<(usize, Frame)> {
    let Id::Text(token) = frame.progress_token()? else { return None };
    let rest = token.strip_prefix('m')?;
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let (server, rest) = rest.split_at_checked(end)?;
    let own: Cow<'_, str> = match rest.split_at_checked(1)? {
        ("t", text) => json::quote(text).into(),
        (_, number) => number.into(),
    };
    Some((server.parse().ok()?, frame.with(None, Some(&own))))
}

/// As JSON text.
fn mark(server: usize, id: &Id) -> String {
    json::quote(&match id {
        Id::Number(number) => format!("m{server}n{number}"),
        Id::Other(number) => format!("m{server}o{number}"),
        Id::Text(text) => format!("m{server}t{text}"),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(text: &str) -> Frame {
        Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn what_servers_ask_is_told_apart_and_its_progress_finds_back() {
        for (id, seen) in [("1", "\"m3n1\""), ("1.0", "\"m3o1.0\""), ("\"1\"", "\"m3t1\"")] {
            let asked = frame(&format!(
                r#"{{"jsonrpc":"2.0","id":{id},"method":"x","params":{{"_meta":{{"progressToken":{id}}}}}}}"#
            ));
            let asked = marked(3, asked);
            assert_eq!((asked.id_text(), asked.token_text()), (seen, Some(seen)));
            let progress = frame(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{seen}}}}}"#
            ));
            let (server, progress) = unmarked(&progress).unwrap();
            assert_eq!((server, progress.token_text()), (3, Some(id)));
            let ended = frame(&format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{id}}}}}"#
            ));
            assert_eq!(marked(3, ended).cancelled(), Id::parse(seen).as_ref());
        }
        let own = r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"mine"}}"#;
        assert!(unmarked(&frame(own)).is_none());
        assert_eq!(marked(3, frame(own)).token_text(), Some("\"mine\""));
        assert_eq!(marked(3, Frame::result("1", "{}")).id_text(), "1");
    }
}
