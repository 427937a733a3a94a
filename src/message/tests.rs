//! What is a message, what is none, and what rewriting leaves alone.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn refused(text: &str) -> FrameError {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap_err()
}

#[test]
fn kinds_are_told_apart() {
    assert_eq!(*frame(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#).kind(), Kind::Request(Id::Number(7)));
    assert_eq!(*frame(r#"{"jsonrpc":"2.0","method":"x"}"#).kind(), Kind::Notification);
    assert_eq!(*frame(r#"{"jsonrpc":"2.0","id":"a","result":{}}"#).kind(), Kind::Response(Some(Id::Text("a".into()))));
    assert_eq!(*frame(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1}}"#).kind(), Kind::Response(None));
    assert!(frame(r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#).is_error());
}

#[test]
fn what_other_readers_could_read_differently_is_refused() {
    for (text, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"a"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#, code::INVALID_REQUEST),
        (r#"{"id":1,"method":"a"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"Method":"a"}"#, code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, code::INVALID_REQUEST),
        (r#"["2.0",1,"a"]"#, code::INVALID_REQUEST),
        ("7", code::INVALID_REQUEST),
        (r#"{"jsonrpc":"2.0","id":1,"method":"a"} {}"#, code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0","id":NaN,"method":"a"}"#, code::PARSE_ERROR),
        (r#"{"jsonrpc":"2.0",/*c*/"id":1,"method":"a"}"#, code::PARSE_ERROR),
        ("\u{feff}{}", code::PARSE_ERROR),
        ("", code::PARSE_ERROR),
        ("{", code::PARSE_ERROR),
    ] {
        assert_eq!(refused(text).code(), code, "{text}: {}", refused(text));
    }
    let bad = Frame::parse(Bytes::from_static(b"{\"jsonrpc\":\"2.0\",\"method\":\"\xff\"}")).unwrap_err();
    assert_eq!(bad, FrameError::NotUtf8(27));
}

#[test]
fn a_depth_bomb_is_refused_and_brackets_in_strings_are_not_depth() {
    let bomb =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
    assert_eq!(refused(&bomb), FrameError::TooDeep);
    let unclosed = format!(r#"{{"jsonrpc":"2.0","id":{}"#, "[".repeat(500_000));
    assert_eq!(refused(&unclosed), FrameError::TooDeep);
    let fine = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"x":"{}\""}}}}"#, "[".repeat(5_000));
    assert_eq!(frame(&fine).method(), "a");
    let edge = |n: usize| format!(r#"{{"jsonrpc":"2.0","method":"a","params":{}{}}}"#, "[".repeat(n), "]".repeat(n));
    assert!(Frame::parse(edge(MAX_DEPTH - 1).into()).is_ok());
    assert_eq!(refused(&edge(MAX_DEPTH)), FrameError::TooDeep);
}

#[test]
fn ids_compare_by_meaning_and_keep_their_text() {
    assert_eq!(Id::parse(r#""a\/b""#), Id::parse(r#""a/b""#));
    assert_ne!(Id::parse("1"), Id::parse(r#""1""#));
    assert_eq!(Id::parse("12345678901234567890.10"), Some(Id::Other("12345678901234567890.10".into())));
    assert_eq!(Id::parse(&format!("\"{}\"", "x".repeat(MAX_ID))), None);
    let f = frame(r#"{"jsonrpc":"2.0","id": 1.0 ,"method":"a"}"#);
    assert_eq!(f.id_text(), "1.0");
    assert!(!f.ids_survive());
    assert!(!frame(r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"a"}"#).ids_survive());
    assert!(frame(r#"{"jsonrpc":"2.0","id":9007199254740991,"method":"a"}"#).ids_survive());
}

#[test]
fn rewriting_touches_nothing_but_the_ids() {
    let text = r#"{"method":"tools/call","params":{"_meta":{"progressToken":"t", "x":1e400},"n":1.50},"id":"call-1","extra":[1, 2],"jsonrpc":"2.0"}"#;
    let f = frame(text);
    assert_eq!(f.progress_token(), Some(&Id::Text("t".into())));
    let new = f.with(Some("17"), Some("1234567"));
    let want = text.replace("\"t\"", "1234567").replace("\"call-1\"", "17");
    assert_eq!(new.bytes(), want.as_bytes());
    assert_eq!(new.id_text(), "17");
    assert_eq!(new.token_text(), Some("1234567"));
    assert_eq!(new.body(), Some(r#"{"_meta":{"progressToken":1234567, "x":1e400},"n":1.50}"#));
    assert_eq!(new.with(Some("\"call-1\""), Some("\"t\"")).bytes(), text.as_bytes());
    assert_eq!(f.with(Some("\"call-1\""), None).bytes().as_ptr(), f.bytes().as_ptr(), "same text, same bytes");
}

#[test]
fn cancelled_and_progress_name_their_request() {
    let f = frame(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3,"reason":"x"}}"#);
    assert_eq!(f.cancelled(), Some(&Id::Number(3)));
    assert_eq!(f.with(None, Some("\"z\"")).cancelled(), Some(&Id::Text("z".into())));
    let f = frame(r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":0,"progress":1}}"#);
    assert_eq!(f.progress_token(), Some(&Id::Number(0)));
    let odd = frame(r#"{"jsonrpc":"2.0","id":1,"method":"x","params":["progressToken"]}"#);
    assert_eq!(odd.progress_token(), None);
}

#[test]
fn built_frames_read_like_parsed_ones() {
    for f in [
        Frame::error("\"a\"", -32603, "it \"broke\"", Some(serde_json::json!({"code": 1}))),
        Frame::error("null", -32700, "x", None),
        Frame::result("5", "{}"),
        Frame::request(&Id::Text("b\"1".into()), "ping", None),
        Frame::request(&Id::Number(1), "x", Some(r#"{"_meta":{"progressToken":9}}"#)),
        Frame::notification("notifications/cancelled", Some(r#"{"requestId":9}"#)),
    ] {
        let read = Frame::parse(f.bytes().clone()).unwrap();
        assert_eq!(read.kind(), f.kind());
        assert_eq!(read.id_text(), f.id_text());
        assert_eq!(read.body(), f.body());
        assert_eq!(read.progress_token(), f.progress_token());
        assert_eq!(read.cancelled(), f.cancelled());
        assert_eq!(read.is_error(), f.is_error());
    }
}

#[test]
fn pretty_printed_bodies_become_one_line() {
    let f = frame("{\r\n \"jsonrpc\": \"2.0\",\n \"method\": \"a\"\n}\n");
    assert_eq!(*f.line(), *r#"{   "jsonrpc": "2.0",  "method": "a" }"#.as_bytes());
}

#[test]
fn a_batch_is_several_frames_where_it_is_allowed() {
    let raw = Bytes::from_static(br#" [{"jsonrpc":"2.0","id":1,"method":"a"}, {"jsonrpc":"2.0","method":"b"}] "#);
    assert_eq!(Frame::parse(raw.clone()).unwrap_err(), FrameError::Batch);
    let frames = Frame::parse_batch(raw).unwrap();
    assert_eq!(frames.iter().map(Frame::method).collect::<Vec<_>>(), ["a", "b"]);
    assert!(Frame::parse_batch(Bytes::from_static(b"[]")).is_err());
    assert!(Frame::parse_batch(Bytes::from_static(b"[1]")).is_err());
    let many =
        |n: usize| Frame::parse_batch(format!("[{}]", vec![r#"{"jsonrpc":"2.0","method":"a"}"#; n].join(",")).into());
    assert_eq!(many(1024).unwrap().len(), 1024);
    assert!(many(1025).unwrap_err().to_string().contains("at most 1024 messages"));
    let tiny = Frame::parse_batch(format!("[{}0]", "0,".repeat(1_000_000)).into());
    assert!(tiny.unwrap_err().to_string().contains("at most 1024 messages"));
    assert!(matches!(Frame::parse_batch(Bytes::from_static(b"[1,2")), Err(FrameError::NotJson(_))));
}

#[test]
fn the_members_of_a_body_are_those_of_that_body() {
    let many: Vec<String> = (0..40).map(|n| format!("\"k{n}\":{n}")).collect();
    let many = format!("{{{}}}", many.join(","));
    for body in
        ["{}", r#"{ "a" : [1, {"b":"c"}] , "d":"e" }"#, r#"{"\u0061":1,"b":2}"#, &many, "[1]", "7", r#"{"a":1,"a":2}"#]
    {
        for text in [
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{body}}}"#),
            format!(r#"{{"params": {body} ,"method":"x","id":1,"jsonrpc":"2.0"}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{body}}}"#),
            // What else there is makes no difference.
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{body},"params":{{"no":1}}}}"#),
            format!(r#"{{"params":{{"no":1}},"jsonrpc":"2.0","id":1,"result":{body}}}"#),
            format!(r#"{{"jsonrpc":"2.0","id":1,"error":{body},"params":{{"no":1}}}}"#),
        ] {
            let frame = frame(&text);
            assert_eq!(frame.body(), Some(body));
            assert_eq!(frame.object(), Object::parse(body), "{text}");
            assert_eq!(frame.with_id("\"another\"").object(), Object::parse(body), "{text}");
        }
    }
}

#[test]
fn an_id_in_the_body_is_found_however_its_key_is_written() {
    for key in ["requestId", r"request\u0049d", r"\u0072equestId"] {
        let f = frame(&format!(r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"{key}":3}}}}"#));
        assert_eq!(f.cancelled(), Some(&Id::Number(3)), "{key}");
        assert_eq!(f.with(None, Some("\"z\"")).body(), Some(&*format!(r#"{{"{key}":"z"}}"#)));
    }
    for (meta, token) in
        [(r"\u005fmeta", "progressToken"), ("_meta", r"progress\u0054oken"), ("_met\\u0061", r"\u0070rogressToken")]
    {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"{meta}":{{"{token}":7}}}}}}"#);
        assert_eq!(frame(&text).progress_token(), Some(&Id::Number(7)), "{text}");
        let built = frame(&text).with_body(&frame(&text).object().unwrap());
        assert_eq!(built.progress_token(), Some(&Id::Number(7)), "{text}");
    }
    // As PHP writes it.
    let f = frame(
        r#"{"jsonrpc":"2.0","method":"notifications\/tools\/list_changed","params":{"_meta":{"io.modelcontextprotocol\/subscriptionId":7}}}"#,
    );
    assert_eq!((f.method(), f.subscription()), ("notifications/tools/list_changed", Some(&Id::Number(7))));
}

#[test]
fn an_id_in_the_body_that_readers_could_read_differently_is_refused() {
    let long = format!("7.{}", "0".repeat(MAX_ID));
    for (method, params) in [
        ("notifications/cancelled", r#"{"requestId":1,"requestId":2}"#),
        ("notifications/cancelled", r#"{"requestId":1,"request\u0049d":2}"#),
        ("notifications/cancelled", &format!(r#"{{"requestId":{long}}}"#)),
        ("notifications/progress", r#"{"progressToken":1,"progress":1,"progressToken":2}"#),
        ("x\",\"id\":\"1", r#"{"_meta":{"progressToken":1},"_meta":{}}"#),
        ("x\",\"id\":\"1", r#"{"_meta":{},"_meta":{"progressToken":1}}"#),
        ("x\",\"id\":\"1", r#"{"_meta":{"progressToken":1,"progressToken":2}}"#),
        ("x\",\"id\":\"1", &format!(r#"{{"_meta":{{"progressToken":{long}}}}}"#)),
        ("x", r#"{"_meta":{"io.modelcontextprotocol/subscriptionId":1,"io.modelcontextprotocol\/subscriptionId":2}}"#),
    ] {
        let text = format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#);
        assert_eq!(refused(&text).code(), code::INVALID_REQUEST, "{text}");
    }
    // None at all, for any reader.
    for token in ["null", "{}", "[1]", "true"] {
        let text =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x","params":{{"_meta":{{"progressToken":{token}}}}}}}"#);
        assert_eq!(frame(&text).progress_token(), None);
    }
}

#[test]
fn a_request_keeps_its_method_even_an_empty_one() {
    let f = frame(r#"{"jsonrpc":"2.0","id":1,"method":"","params":{"a":1}}"#);
    let built = f.with_body(&f.object().unwrap());
    assert_eq!(*frame(&String::from_utf8_lossy(built.bytes())).kind(), Kind::Request(Id::Number(1)));
    let moved = f.with_id("\"a long id instead\"");
    assert_eq!((moved.method(), moved.body()), ("", Some(r#"{"a":1}"#)));
}

/// Objects of keys that matter, however written, some of them twice.
fn any_body() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "_meta",
        r"\u005fmeta",
        "progressToken",
        r"progressTok\u0065n",
        "requestId",
        r"re\u0071uestId",
        "io.modelcontextprotocol/subscriptionId",
        r"io.modelcontextprotocol\/subscription\u0049d",
        "x",
    ]);
    let leaf = prop::sample::select(vec!["1", "-7", r#""a""#, r#""\u0061""#, "null", "true", "[1]", "{}"]);
    leaf.prop_map(str::to_owned).prop_recursive(2, 12, 4, move |inner| {
        prop::collection::vec((key.clone(), inner), 0..4).prop_map(|members| {
            let members = members.into_iter().map(|(key, value)| format!(r#""{key}":{value}"#));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn ids_in_bodies_are_those_that_another_reader_finds(body in any_body(), form in 0..4) {
        let head = match form {
            0 => r#""method":"notifications/cancelled","params""#,
            1 => r#""method":"notifications/progress","params""#,
            2 => r#""method":"x","id":1,"params""#,
            _ => r#""id":1,"result""#,
        };
        let text = format!(r#"{{"jsonrpc":"2.0",{head}:{body}}}"#);
        let Ok(f) = Frame::parse(text.clone().into()) else { return Ok(()) }; // Readers could differ.
        let body: Value = serde_json::from_str(f.body().unwrap()).unwrap();
        let (seen, there) = match form {
            0 => (f.cancelled(), &body["requestId"]),
            1 => (f.progress_token(), &body["progressToken"]),
            2 => (f.progress_token(), &body["_meta"]["progressToken"]),
            _ => (f.subscription(), &body["_meta"]["io.modelcontextprotocol/subscriptionId"]),
        };
        prop_assert_eq!(seen.cloned(), Id::parse(&there.to_string()), "{}", text);
        let other = f.with(Some("\"another id\""), Some("\"another\""));
        let again = frame(std::str::from_utf8(other.bytes()).unwrap());
        prop_assert_eq!((again.kind(), again.method(), again.body()), (other.kind(), other.method(), other.body()));
        prop_assert_eq!(again.progress_token(), other.progress_token());
    }
}
