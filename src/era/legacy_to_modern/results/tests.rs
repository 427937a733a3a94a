//! Every row of the tables of results and errors.

use super::*;
use bytes::Bytes;

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn answer(method: &str, revision: Revision, result: &str) -> Answer {
    read(method, revision, &frame(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)), "1")
}

fn done(method: &str, revision: Revision, result: &str) -> String {
    match answer(method, revision, result) {
        Answer::Done(frame) => frame.body().unwrap().to_string(),
        other => panic!("{result}: {other:?}"),
    }
}

fn unusable(method: &str, result: &str) -> String {
    match answer(method, Revision::V2025_11_25, result) {
        Answer::Unusable(why) => why,
        other => panic!("{result}: {other:?}"),
    }
}

const A: Revision = Revision::V2024_11_05;
const B: Revision = Revision::V2025_03_26;
const C: Revision = Revision::V2025_06_18;
const D: Revision = Revision::V2025_11_25;

#[test]
fn what_no_legacy_revision_has_is_taken_out_and_the_rest_keeps_its_bytes() {
    for method in ["prompts/list", "resources/list", "resources/templates/list", "resources/read", "tools/list"] {
        let result =
            r#"{"resultType":"complete","x":[1.0, {"ttlMs":1}],"ttlMs":5,"cacheScope":"private","_meta":{"a":1}}"#;
        assert_eq!(done(method, A, result), r#"{"x":[1.0, {"ttlMs":1}],"_meta":{"a":1}}"#, "{method}");
    }
    let mine = r#"{"resultType":"complete","ttlMs":5}"#;
    assert_eq!(done("tools/call", D, mine), r#"{"ttlMs":5}"#, "a tool's own field");
    assert_eq!(done("vendor/x", D, r#"{"a":1}"#), r#"{"a":1}"#, "without a type it is complete");
    assert_eq!(done("completion/complete", D, "{}"), "{}");
}

#[test]
fn output_schemas_stay_where_the_client_knows_them() {
    let object = r#"{"name":"o","outputSchema":{"type":"object"},"icons":[ ]}"#;
    let array = r#"{"name":"a","outputSchema":{"type":"array"},"title":"t"}"#;
    let either = r#"{"name":"e","outputSchema":{"type":["object","null"]}}"#;
    let open = r#"{"name":"f","outputSchema":true}"#;
    let plain = r#"{ "name":"p" }"#;
    let all = format!(r#"{{"tools":[{object}, {array}, {either}, {open}, {plain}],"nextCursor":"c"}}"#);
    let bare = r#"{"name":"a","title":"t"},{"name":"e"},{"name":"f"},{ "name":"p" }"#;
    for revision in [C, D] {
        let want = format!(r#"{{"tools":[{object},{bare}],"nextCursor":"c"}}"#);
        assert_eq!(done("tools/list", revision, &all), want);
    }
    for revision in [A, B] {
        let want = format!(r#"{{"tools":[{{"name":"o","icons":[ ]}},{bare}],"nextCursor":"c"}}"#);
        assert_eq!(done("tools/list", revision, &all), want);
    }
    let untouched = format!(r#"{{"tools":[ {plain} ]}}"#);
    assert_eq!(done("tools/list", A, &untouched), untouched);
}

#[test]
fn structured_content_stays_where_the_client_knows_it() {
    let object = r#"{"content":[{"type":"text","text":"x"}],"structuredContent":{"a":1.0},"isError":false}"#;
    let without = r#"{"content":[{"type":"text","text":"x"}],"isError":false}"#;
    assert_eq!(done("tools/call", C, object), object);
    assert_eq!(done("tools/call", D, object), object);
    assert_eq!(done("tools/call", A, object), without);
    assert_eq!(done("tools/call", B, object), without);
    for revision in [A, B, C, D] {
        let list = r#"{"content":[{"type":"text","text":"x"}],"structuredContent":[1],"isError":false}"#;
        assert_eq!(done("tools/call", revision, list), without);
        let alone = r#"{"content":[],"structuredContent":[1, "b"]}"#;
        let text = r#"{"content":[{"type":"text","text":"[1, \"b\"]"}]}"#;
        assert_eq!(done("tools/call", revision, alone), text, "what only the structure says is not lost");
    }
}

#[test]
fn blocks_that_a_revision_lacks_become_texts() {
    let text = r#"{"type":"text","text":"\"audio\" \"resource_link\""}"#;
    let link = r#"{"type":"resource_link","uri":"file:///a","name":"a","annotations":{"priority":1}}"#;
    let audio = r#"{"type":"audio","data":"AA==","mimeType":"audio/wav"}"#;
    let linked = r#"{"type":"text","text":"resource a: file:///a","annotations":{"priority":1}}"#;
    let heard = r#"{"type":"text","text":"[audio/wav left out: this client's revision 2024-11-05 has no audio]"}"#;
    for (revision, blocks) in
        [(A, [text, linked, heard]), (B, [text, linked, audio]), (C, [text, link, audio]), (D, [text, link, audio])]
    {
        let given = format!(r#"{{"content":[{text},{link},{audio}]}}"#);
        let want = format!(r#"{{"content":[{}]}}"#, blocks.join(","));
        assert_eq!(done("tools/call", revision, &given), want);
        let message = |block: &str| format!(r#"{{"role":"user","content":{block}}}"#);
        let given = format!(r#"{{"messages":[{}]}}"#, [text, link, audio].map(message).join(","));
        let want = format!(r#"{{"messages":[{}]}}"#, blocks.map(message).join(","));
        assert_eq!(done("prompts/get", revision, &given), want);
    }
}

#[test]
fn results_of_the_wrong_kind_are_errors_that_say_so() {
    for (method, result, why) in [
        ("tools/call", "[]", "the server answered tools/call with what is no object"),
        (
            "tools/call",
            r#"{"resultType":"task","taskId":"t"}"#,
            "the server answered tools/call with a result of type \"task\", which this client did not ask for",
        ),
        (
            "vendor/x",
            r#"{"resultType":"later"}"#,
            "the server answered vendor/x with a result of type \"later\", which this client did not ask for",
        ),
        ("tools/call", r#"{"resultType":7}"#, "the server answered tools/call with a resultType that is no string"),
        (
            "tools/list",
            r#"{"resultType":"input_required","requestState":"s"}"#,
            "the server asked for input in the middle of tools/list, which 2026-07-28 does not allow",
        ),
        (
            "tools/call",
            r#"{"resultType":"input_required"}"#,
            "the server asked for input during tools/call, but named neither an input nor a state to come back with",
        ),
        (
            "tools/call",
            r#"{"resultType":"input_required","inputRequests":{}}"#,
            "the server asked for input during tools/call, but named neither an input nor a state to come back with",
        ),
        (
            "prompts/get",
            r#"{"resultType":"input_required","inputRequests":[]}"#,
            "the server asked for input during prompts/get, but its inputRequests are no object, or have a key twice",
        ),
        (
            "resources/read",
            r#"{"resultType":"input_required","requestState":{}}"#,
            "the server asked for input during resources/read, but its requestState is no string",
        ),
        (
            "tools/call",
            r#"{"resultType":"input_required","inputRequests":{"a":{"params":{}}}}"#,
            "the server asked for input during tools/call, but one of its inputRequests is no request",
        ),
    ] {
        assert_eq!(unusable(method, result), why);
    }
}

#[test]
fn input_is_read_in_the_servers_order_and_the_state_keeps_its_bytes() {
    let result = r#"{"resultType":"input_required","inputRequests":{"b":{"method":"roots/list"},"a":{"method":"elicitation/create","params":{"n": 1.0}}},"requestState":"\u0041"}"#;
    let Answer::Input(input) = answer("tools/call", A, result) else { panic!() };
    let roots = Wanted { key: "b".into(), method: "roots/list".into(), params: None };
    let form = Wanted { key: "a".into(), method: "elicitation/create".into(), params: Some(r#"{"n": 1.0}"#.into()) };
    assert_eq!(input, Input { requests: vec![roots, form], state: Some(r#""\u0041""#.into()) });
}

#[test]
fn errors_pass_but_for_those_that_concern_the_bridge() {
    let error = |code: i32| {
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"m","data":{{"a":1}}}}}}"#);
        read("tools/call", D, &frame(&text), "1")
    };
    for code in [-32700, -32600, -32601, -32602, -32603, -32000, -32002, -32021, -32042, 7] {
        assert!(matches!(error(code), Answer::Failed), "{code}");
    }
    assert!(matches!(error(-32022), Answer::Unspoken));
    let Answer::Unusable(why) = error(-32020) else { panic!() };
    assert_eq!(why, "the server refused the headers that the bridge made for this request: m");
}
