use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    asking::{BadCapabilities, Capabilities, MAX_CAPABILITIES, Need, answer, input_request, unanswered},
    *,
};
use crate::message::Frame;

const SERVER: &str = r#"{"name":"old","version":"3"}"#;

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn params(modern: &str, token: Option<i64>) -> Option<String> {
    Some(super::params(Object::parse(modern)?, token)).filter(|params| !params.is_empty()).map(|params| params.text())
}

fn result(name: &str, result: &str, server: Option<&str>) -> Option<String> {
    Object::parse(result).map(|result| super::result(name, result, server).text())
}

#[test]
fn params_lose_what_only_a_modern_server_reads() {
    for (modern, legacy) in [
        (
            r#"{"name":"greet","arguments":{"x":1.0},"inputResponses":{"s8":{"action":"accept"}},"requestState":"v1.sealed","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"sampling":{}}}}"#,
            Some(r#"{"name":"greet","arguments":{"x":1.0}}"#),
        ),
        (
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","progressToken":1e0,"traceparent":"00-a","com.example/x":[ 1 ],"io.modelcontextprotocol/clientInfo":{},"io.modelcontextprotocol/logLevel":"info"},"uri":"file:\/\/\/a"}"#,
            Some(r#"{"_meta":{"progressToken":1e0,"traceparent":"00-a","com.example/x":[ 1 ]},"uri":"file:\/\/\/a"}"#),
        ),
        (r#"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#, None),
        (
            r#"{"task":{"ttl":5},"name":"x","big":12345678901234567890123}"#,
            Some(r#"{"name":"x","big":12345678901234567890123}"#),
        ),
        (r#"{"_meta":7,"a":1}"#, Some(r#"{"_meta":7,"a":1}"#)),
        ("{}", None),
    ] {
        assert_eq!(params(modern, None).as_deref(), legacy, "{modern}");
    }
}

#[test]
fn the_context_of_a_completion_goes_only_to_revisions_that_have_it() {
    let text = r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""},"context":{"arguments":{"b":"c"}},"x":1}"#;
    let without = r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":""},"x":1}"#;
    for (name, revision, legacy) in [
        ("completion/complete", "2024-11-05", without),
        ("completion/complete", "2025-03-26", without),
        ("completion/complete", "2025-06-18", text),
        ("completion/complete", "2025-11-25", text),
        ("vendor/complete", "2024-11-05", text),
    ] {
        let mut params = Object::parse(text).unwrap();
        suit(name, &mut params, Revision::parse_legacy(revision).unwrap());
        assert_eq!(params.text(), legacy, "{name} {revision}");
    }
}

#[test]
fn params_get_the_progress_token_of_the_bridge() {
    for (modern, legacy) in [
        ("{}", r#"{"_meta":{"progressToken":7}}"#),
        (r#"{"_meta":7,"a":1}"#, r#"{"_meta":{"progressToken":7},"a":1}"#),
        (
            r#"{"a":1,"_meta":{"progressToken":"x","b":2,"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
            r#"{"a":1,"_meta":{"progressToken":7,"b":2}}"#,
        ),
    ] {
        assert_eq!(params(modern, Some(7)).as_deref(), Some(legacy), "{modern}");
    }
}

#[test]
fn results_say_that_they_are_complete_and_may_not_be_kept() {
    let cacheable = [
        "server/discover",
        "tools/list",
        "prompts/list",
        "resources/list",
        "resources/templates/list",
        "resources/read",
    ];
    for name in cacheable {
        let text = result(name, r#"{"a":1.0,"_meta":{"x":1e2}}"#, Some(SERVER)).unwrap();
        assert_eq!(
            text,
            format!(
                r#"{{"a":1.0,"_meta":{{"x":1e2,"{}":{SERVER}}},"resultType":"complete","ttlMs":0,"cacheScope":"private"}}"#,
                meta::SERVER_INFO
            )
        );
    }
    for name in ["tools/call", "prompts/get", "completion/complete", "vendor/x"] {
        assert_eq!(result(name, "{}", None).unwrap(), r#"{"resultType":"complete"}"#);
    }
    let task = r#"{"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"},"x":1}}"#;
    assert_eq!(result("tools/call", task, None).unwrap(), r#"{"_meta":{"x":1},"resultType":"complete"}"#);
    let odd = result("tools/call", r#"{"resultType":"task","_meta":null}"#, Some(SERVER)).unwrap();
    assert_eq!(odd, format!(r#"{{"resultType":"complete","_meta":{{"{}":{SERVER}}}}}"#, meta::SERVER_INFO));
    for broken in ["[]", "null", "1", r#"{"a":1,"a":2}"#] {
        assert_eq!(result("tools/call", broken, None), None, "{broken}");
    }
}

#[test]
fn a_handshake_becomes_what_discover_answers() {
    let initialize = r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true},"resources":{"subscribe":true},"logging":{},"tasks":{"list":{}},"com.example/x":{"y":1.0}},"serverInfo":{"name":"old","version":"3"},"instructions":"hi","_meta":{"a":1}}"#;
    let opened = opened(initialize).unwrap();
    assert_eq!(
        value(&opened.discover),
        json!({
            "resultType": "complete",
            "supportedVersions": ["2026-07-28"],
            "capabilities": {
                "tools": {"listChanged": true}, "resources": {"subscribe": true}, "logging": {},
                "com.example/x": {"y": 1.0},
            },
            "instructions": "hi",
            "ttlMs": 0,
            "cacheScope": "private",
            "_meta": {"a": 1, "io.modelcontextprotocol/serverInfo": {"name": "old", "version": "3"}},
        })
    );
    assert_eq!(opened.server.as_deref(), Some(SERVER));
    assert_eq!(opened.revision, Revision::V2025_11_25);
    assert!(opened.offers(&["tools", "listChanged"]) && opened.offers(&["tasks"]));
    assert!(!opened.offers(&["prompts"]) && !opened.offers(&["resources", "listChanged"]));
}

#[test]
fn a_handshake_that_cannot_be_used_says_why() {
    for (initialize, why) in [
        ("[]", "is no object"),
        (r#"{"protocolVersion":"2026-07-28"}"#, "revision \"2026-07-28\""),
        (r#"{"capabilities":{}}"#, "revision \"\""),
    ] {
        let error = opened(initialize).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
    let bare = opened(r#"{"protocolVersion":"2024-11-05","serverInfo":"x","capabilities":[]}"#).unwrap();
    assert_eq!((bare.server, bare.capabilities.as_str()), (None, "{}"));
    assert!(!value(&bare.discover).as_object().unwrap().contains_key("_meta"));
}

#[test]
fn errors_keep_what_they_say_and_get_codes_of_the_modern_era() {
    for (legacy, modern) in [
        (r#"{"code":-32601,"message":"no"}"#, r#"{"code":-32601,"message":"no"}"#),
        (r#"{"code":-32019,"message":"x","data":1.0}"#, r#"{"code":-32019,"message":"x","data":1.0}"#),
        (r#"{"code":-32100,"message":"x"}"#, r#"{"code":-32100,"message":"x"}"#),
        (r#"{"code":7,"message":"mine","z":[ ]}"#, r#"{"code":7,"message":"mine","z":[ ]}"#),
        (
            r#"{"code":-32002,"message":"gone","data":{"uri":"file:///a"}}"#,
            r#"{"code":-32602,"message":"gone","data":{"uri":"file:///a"}}"#,
        ),
        (
            r#"{"code":-32021,"message":"x","data":{"a":1.0}}"#,
            r#"{"code":-32603,"message":"x","data":{"a":1.0,"originalCode":-32021}}"#,
        ),
        (r#"{"code":-32099,"message":"x"}"#, r#"{"code":-32603,"message":"x","data":{"originalCode":-32099}}"#),
        (
            r#"{"code":-32020,"message":"x","data":"why"}"#,
            r#"{"code":-32603,"message":"x","data":{"originalData":"why","originalCode":-32020}}"#,
        ),
        (
            r#"{"code":-32042,"message":"x","data":{"elicitations":[]}}"#,
            r#"{"code":-32603,"message":"x","data":{"elicitations":[],"originalCode":-32042}}"#,
        ),
        (
            r#"{"code":"a"}"#,
            r#"{"code":-32603,"message":"the server's error has no code","data":{"originalError":{"code":"a"}}}"#,
        ),
        ("1", r#"{"code":-32603,"message":"the server's error is no object"}"#),
    ] {
        assert_eq!(error(legacy), Failed::Error(modern.to_string()), "{legacy}");
    }
}

#[test]
fn urls_to_open_first_become_input_requests() {
    let legacy = r#"{"code":-32042,"message":"x","data":{"elicitations":[{"mode":"url","elicitationId":"e1","url":"https://a.example/","message":"Sign in"},{"url":"https://b.example/"}]}}"#;
    let Failed::OpenFirst(requests) = error(legacy) else { panic!() };
    assert_eq!(
        requests.iter().map(|request| value(&request.text)).collect::<Vec<_>>(),
        [
            json!({"method":"elicitation/create","params":{"mode":"url","url":"https://a.example/","message":"Sign in"}}),
            json!({"method":"elicitation/create","params":{"mode":"url","url":"https://b.example/","message":"The server asks to open this address first."}}),
        ]
    );
    assert!(requests.iter().all(|request| request.need == Need::Url));

    let many =
        json!({"code": -32042, "message": "x", "data": {"elicitations": vec![json!({"url": "a:"}); MAX_URLS + 1]}});
    assert!(matches!(error(&many.to_string()), Failed::Error(_)));
    assert!(matches!(error(r#"{"code":-32042,"data":{"elicitations":[{"url":7}]}}"#), Failed::Error(_)));
}

#[test]
fn capabilities_are_declared_to_a_legacy_server_in_its_terms() {
    for (modern, legacy) in [
        (r#"{"elicitation":{}}"#, r#"{"elicitation":{}}"#),
        (
            r#"{"roots":{"listChanged":true},"sampling":{"tools":{}},"experimental":{"a":{"b":1.0}},"extensions":{"x/y":{}},"tasks":{},"com.example/z":1}"#,
            r#"{"com.example/z":1,"experimental":{"a":{"b":1}},"roots":{},"sampling":{"tools":{}}}"#,
        ),
        (r#"{"roots":null,"sampling":true}"#, "{}"),
        ("{}", "{}"),
    ] {
        assert_eq!(Capabilities::read(modern).unwrap().key().as_ref(), legacy);
    }
    assert_eq!(Capabilities::read("[]"), Err(BadCapabilities::NoObject));
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(MAX_CAPABILITIES));
    assert_eq!(Capabilities::read(&long), Err(BadCapabilities::TooLong));
}

#[test]
fn the_same_capabilities_have_the_same_key() {
    let key = |text| Capabilities::read(text).unwrap().key().to_string();
    let one = key(r#"{"sampling":{},"elicitation":{"form":{},"url":{}}}"#);
    assert_eq!(one, key(r#"{ "elicitation": {"url":{ },"form":{}}, "extensions":{"a":{}}, "sampling":{}}"#));
    assert_ne!(one, key(r#"{"sampling":{},"elicitation":{}}"#));
}

#[test]
fn a_caller_can_be_asked_what_it_declared() {
    use Need::{Form, Roots, Sampling, SamplingWithTools, UnknownMode, Url};
    for (declared, allowed) in [
        ("{}", vec![]),
        (r#"{"roots":{}}"#, vec![Roots]),
        (r#"{"sampling":{}}"#, vec![Sampling]),
        (r#"{"sampling":{"tools":{}}}"#, vec![Sampling, SamplingWithTools]),
        (r#"{"elicitation":{}}"#, vec![Form]),
        (r#"{"elicitation":{"url":{}}}"#, vec![Url]),
        (r#"{"elicitation":{"form":{},"url":{}}}"#, vec![Form, Url]),
    ] {
        let capabilities = Capabilities::read(declared).unwrap();
        for need in [Roots, Sampling, SamplingWithTools, Form, Url, UnknownMode] {
            assert_eq!(capabilities.allow(need), allowed.contains(&need), "{declared} {need:?}");
        }
        assert_eq!(capabilities.can_be_asked(), !allowed.is_empty());
    }
    assert_eq!(Need::Url.missing(), json!({"requiredCapabilities": {"elicitation": {"url": {}}}}));
    assert_eq!(Need::Sampling.refusal().0, code::METHOD_NOT_FOUND);
    assert_eq!(Need::Url.refusal().0, code::INVALID_PARAMS);
}

#[test]
fn a_servers_question_becomes_an_input_request() {
    for (method, params, text, need) in [
        (
            "sampling/createMessage",
            r#"{"messages":[{"role":"user","content":{"type":"text","text":"2+2?"}}],"maxTokens":9.0,"task":{},"_meta":{"progressToken":1}}"#,
            r#"{"method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"2+2?"}}],"maxTokens":9.0}}"#,
            Need::Sampling,
        ),
        (
            "sampling/createMessage",
            r#"{"tools":[],"_meta":{"io.modelcontextprotocol/related-task":{"taskId":"t"},"x":1}}"#,
            r#"{"method":"sampling/createMessage","params":{"tools":[],"_meta":{"x":1}}}"#,
            Need::SamplingWithTools,
        ),
        (
            "elicitation/create",
            r#"{"mode":"form","message":"Name?","requestedSchema":{"type":"object"}}"#,
            r#"{"method":"elicitation/create","params":{"mode":"form","message":"Name?","requestedSchema":{"type":"object"}}}"#,
            Need::Form,
        ),
        (
            "elicitation/create",
            r#"{"message":"x"}"#,
            r#"{"method":"elicitation/create","params":{"message":"x"}}"#,
            Need::Form,
        ),
        (
            "elicitation/create",
            r#"{"mode":"url","elicitationId":"e","url":"https://a.example/"}"#,
            r#"{"method":"elicitation/create","params":{"mode":"url","url":"https://a.example/"}}"#,
            Need::Url,
        ),
        (
            "elicitation/create",
            r#"{"mode":7}"#,
            r#"{"method":"elicitation/create","params":{"mode":7}}"#,
            Need::UnknownMode,
        ),
        ("roots/list", "{}", r#"{"method":"roots/list"}"#, Need::Roots),
    ] {
        let request = input_request(method, Some(params)).unwrap();
        assert_eq!((request.text.as_str(), request.need), (text, need));
    }
    assert!(input_request("roots/list", None).is_some());
    assert_eq!(input_request("ping", None), None);
}

#[test]
fn the_answer_that_asks_back_has_questions_and_a_state() {
    let text = input_required(
        [("s7", r#"{"method":"roots/list"}"#), ("s8", r#"{"method":"elicitation/create","params":{}}"#)],
        "v1.sealed",
        Some(SERVER),
    );
    assert_eq!(
        value(&text),
        json!({
            "resultType": "input_required",
            "inputRequests": {
                "s7": {"method": "roots/list"}, "s8": {"method": "elicitation/create", "params": {}},
            },
            "requestState": "v1.sealed",
            "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "old", "version": "3"}},
        })
    );
    assert_eq!(input_required([], "x", None), r#"{"resultType":"input_required","requestState":"x"}"#);
}

#[test]
fn an_input_response_becomes_the_servers_result() {
    let given = r#"{"role":"assistant","content":{"type":"text","text":"4"},"model":"m","x":1.0}"#;
    assert_eq!(answer(given).as_deref(), Some(given));
    assert_eq!(answer(r#"{"resultType":"complete","action":"accept"}"#).as_deref(), Some(r#"{"action":"accept"}"#));
    assert_eq!(answer("[]"), None);
    let text = |frame: Frame| String::from_utf8(frame.bytes().to_vec()).unwrap();
    assert_eq!(text(unanswered("8", "elicitation/create")), r#"{"jsonrpc":"2.0","id":8,"result":{"action":"cancel"}}"#);
    assert_eq!(value(&text(unanswered("8", "sampling/createMessage")))["error"]["code"], -1);
    assert_eq!(value(&text(unanswered("8", "roots/list")))["error"]["code"], code::INTERNAL);
}

#[test]
fn a_list_of_tools_says_nothing_of_tasks_and_bad_headers() {
    let list = |tool: &str| {
        let text = result("tools/list", &format!(r#"{{"tools":[{tool}],"nextCursor":"c"}}"#), None).unwrap();
        json::array(Object::parse(&text).unwrap().get("tools").unwrap()).unwrap()[0].to_string()
    };
    for (legacy, modern) in [
        (r#"{"name":"a","execution":{"taskSupport":"required"},"x":1.0}"#, r#"{"name":"a","x":1.0}"#),
        (r#"{"name":"a", "y": "execution"}"#, r#"{"name":"a","y":"execution"}"#),
        (
            r#"{"inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"Region"},"o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}}"#,
            r#"{"inputSchema":{"properties":{"r":{"type":"string","x-mcp-header":"Region"},"o":{"type":"object","properties":{"n":{"type":"integer","x-mcp-header":"N"}}}}}}"#,
        ),
        (
            r#"{"inputSchema":{"properties":{"r":{"type":"number","x-mcp-header":"R"},"x-mcp-header":{"type":"string"}},"default":{"x-mcp-header":"kept"}}}"#,
            r#"{"inputSchema":{"properties":{"r":{"type":"number"},"x-mcp-header":{"type":"string"}},"default":{"x-mcp-header":"kept"}}}"#,
        ),
        (
            r#"{"inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"R"},"b":{"type":"string","x-mcp-header":"r"}}}}"#,
            r#"{"inputSchema":{"properties":{"a":{"type":"string"},"b":{"type":"string"}}}}"#,
        ),
        (
            r#"{"inputSchema":{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"R"}}}],"items":{"x-mcp-header":""},"vendor":[{"x-mcp-header":""}]}}"#,
            r#"{"inputSchema":{"anyOf":[{"properties":{"a":{"type":"string"}}}],"items":{},"vendor":[{}]}}"#,
        ),
        (r#"{"inputSchema":{"type":"string","x-mcp-header":"R"}}"#, r#"{"inputSchema":{"type":"string"}}"#),
        (
            r#"{"inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"bad name"}}}}"#,
            r#"{"inputSchema":{"properties":{"a":{"type":"string"}}}}"#,
        ),
        ("7", "7"),
    ] {
        assert_eq!(list(legacy), modern);
    }
    assert!(tools::requires_task(r#"{"execution":{"taskSupport":"required"}}"#));
    assert!(!tools::requires_task(r#"{"execution":{"taskSupport":"optional"}}"#));
    assert!(!tools::requires_task(r#"{"name":"a"}"#));
}

proptest! {
    #[test]
    fn nothing_that_a_server_sends_makes_a_rewrite_fail(text in "[{}\\[\\],:\"a-z0-9.-]{0,60}") {
        drop((params(&text, None), result("tools/list", &text, Some(SERVER)), opened(&text), error(&text)));
        drop((input_request("elicitation/create", Some(&text)), answer(&text), Capabilities::read(&text)));
        drop(result("tools/list", &format!("{{\"tools\":[{{\"execution\":1,\"inputSchema\":{text}}}]}}"), None));
    }
}

#[test]
fn a_handshake_cannot_say_for_the_bridge_what_is_spoken_and_for_how_long() {
    let bold = r#"{"protocolVersion":"2025-11-25","capabilities":{},"supportedVersions":["1999-01-01"],"resultType":"input_required","ttlMs":9,"cacheScope":"public","x":1}"#;
    let discover = value(&opened(bold).unwrap().discover);
    let want = json!({
        "supportedVersions": ["2026-07-28"], "resultType": "complete", "ttlMs": 0, "cacheScope": "private",
        "capabilities": {}, "x": 1,
    });
    assert_eq!(discover, want);
}
