//! Any bytes as a message: no panic, what is one is JSON to another reader, too, nothing changed that was not to be changed,
//! and every rewritten form is a message again, of the same kind.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use mcp_bridge::message::{Frame, Kind};
use serde_json::{Value, value::RawValue};

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";

fuzz_target!(|input: &[u8]| {
    let raw = Bytes::copy_from_slice(input);
    let _ = Frame::parse_batch(raw.clone());
    let Ok(frame) = Frame::parse(raw) else { return };
    assert_eq!(frame.bytes(), input.trim_ascii());
    serde_json::from_slice::<&RawValue>(frame.bytes()).expect("a message is JSON");
    if let Some(body) = frame.body() {
        serde_json::from_str::<&RawValue>(body).expect("so is its body");
    }

    let line = frame.line();
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'));
    let again = Frame::parse(Bytes::copy_from_slice(&line)).expect("a message on one line is a message");
    assert_eq!((again.kind(), again.method()), (frame.kind(), frame.method()));
    assert_eq!(again.progress_token(), frame.progress_token());
    assert_eq!(again.cancelled(), frame.cancelled());

    assert_eq!(again.subscription(), frame.subscription());

    // What another reader takes for an id in the body is one here, too: a server may act on it.
    if let Ok(all) = serde_json::from_slice::<Value>(frame.bytes()) {
        let (params, result) = (&all["params"], &all["result"]);
        let (there, here) = match (frame.kind(), frame.method()) {
            (Kind::Notification, "notifications/cancelled") => (&params["requestId"], frame.cancelled()),
            (Kind::Notification, "notifications/progress") => (&params["progressToken"], frame.progress_token()),
            (Kind::Request(_), _) => (&params["_meta"]["progressToken"], frame.progress_token()),
            (Kind::Notification, _) => (&params["_meta"][SUBSCRIPTION], frame.subscription()),
            (Kind::Response(_), _) => (&result["_meta"][SUBSCRIPTION], frame.subscription()),
        };
        assert!(here.is_some() || frame.is_error() || !(there.is_string() || there.is_number()), "missed {there}");
    }

    if matches!(frame.kind(), Kind::Notification | Kind::Response(None)) {
        return; // There may be no id to put another one in its place.
    }
    let stamped = frame.with_id("\"stamp\"");
    let again = Frame::parse(stamped.bytes().clone()).expect("a message with another id is a message");
    assert_eq!(again.id_text(), "\"stamp\"");
    assert_eq!((again.method(), again.body(), again.is_error()), (frame.method(), frame.body(), frame.is_error()));
    let back = again.with_id(frame.id_text());
    assert_eq!(back.bytes(), frame.bytes());
});
