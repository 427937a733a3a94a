//! The specification's own examples, what an attacker would try, and that each value comes back as it went in.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

fn frame(text: &str) -> Frame {
    Frame::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap()
}

fn call(arguments: &str) -> Frame {
    frame(&format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"t","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}}}}"#
    ))
}

fn checked(headers: &HeaderMap, frame: &Frame) -> Result<(), Wrong> {
    check(headers, frame, frame.body().and_then(Object::parse).as_ref()).map(drop)
}

fn text(headers: &HeaderMap) -> Vec<(String, String)> {
    let mut all: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    all.sort();
    all
}

const SCHEMA: &str = r#"{"type":"object","properties":{
    "region":{"type":"string","x-mcp-header":"Region"},
    "n":{"type":"integer","x-mcp-header":"N"},
    "deep":{"type":"object","properties":{"flag":{"type":"boolean","x-mcp-header":"Flag"}}},
    "x-mcp-header":{"type":"number","default":{"x-mcp-header":"data"}}}}"#;

#[test]
fn the_examples_of_the_specification() {
    for (value, header) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("two words", "two words"),
        ("=?base64?open", "=?base64?open"),
        ("", "=?base64??="),
    ] {
        assert_eq!(encode(value).to_str().unwrap(), header);
        assert_eq!(decode(&encode(value)).unwrap(), value);
    }
}

#[test]
fn what_no_sender_writes_is_not_read() {
    for value in ["=?base64?a?=", "=?base64?YQ?=", "=?base64?YR==?=", "=?base64?_-==?=", "=?base64?/w==?="] {
        assert_eq!(decode(&HeaderValue::from_static(value)), None, "{value}");
    }
    assert_eq!(decode(&HeaderValue::from_bytes(b"\xc3\xa9").unwrap()), None);
    assert_eq!(decode(&HeaderValue::from_static("=?BASE64?YQ==?=")).unwrap(), "=?BASE64?YQ==?=");
}

#[test]
fn a_call_has_the_headers_of_its_body() {
    let annotations = Annotations::of(SCHEMA).unwrap();
    let body = r#"{"region":"a\r\nMcp-Name: x","n":1e3,"deep":{"flag":false},"x-mcp-header":"no"}"#;
    let headers = headers(&call(body), &annotations).unwrap();
    let expected = [
        ("mcp-method", "tools/call"),
        ("mcp-name", "t"),
        ("mcp-param-flag", "false"),
        ("mcp-param-n", "1000"),
        ("mcp-param-region", "=?base64?YQ0KTWNwLU5hbWU6IHg=?="),
        ("mcp-protocol-version", "2026-07-28"),
    ];
    assert_eq!(text(&headers), expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(checked(&headers, &call(body)), Ok(()));
    assert_eq!(annotations.check(&headers, &call(body)), Ok(()));
}

#[test]
fn what_is_null_or_absent_has_no_header() {
    let annotations = Annotations::of(SCHEMA).unwrap();
    for arguments in ["{}", "null", r#"{"region":null,"deep":{"flag":null}}"#, r#"{"deep":[]}"#, r#"{"deep":"x"}"#] {
        assert_eq!(annotations.headers(&call(arguments)), Ok(Vec::new()), "{arguments}");
        assert_eq!(annotations.check(&HeaderMap::new(), &call(arguments)), Ok(()), "{arguments}");
        let said = HeaderMap::from_iter([(HeaderName::from_static("mcp-param-region"), encode("eu"))]);
        let error = annotations.check(&said, &call(arguments)).unwrap_err();
        assert_eq!(error.to_string(), "Header mismatch: the Mcp-Param-region header does not match the body");
    }
}

#[test]
fn numbers_are_compared_as_numbers() {
    for (said, argument, same) in [
        ("42.0", "42", true),
        ("4.2e1", "42", true),
        ("42", "42.00", true),
        ("-0", "0", true),
        ("42 ", "42", true),
        ("+42", "42", false),
        ("042", "42", false),
        ("43", "42", false),
        ("9007199254740993", "9007199254740992", false),
        ("9007199254740993", "9007199254740993", true),
        ("42", "\"42\"", true),
        ("42.0", "\"42\"", false),
        ("TRUE", "true", false),
        ("true", "true", true),
        ("NaN", "42", false),
        ("{}", "{}", false),
    ] {
        assert_eq!(agrees(said.trim(), argument), same, "{said} {argument}");
    }
}

#[test]
fn a_wrong_header_is_named() {
    let annotations = Annotations::of(SCHEMA).unwrap();
    let good = call(r#"{"region":"eu"}"#);
    let all = headers(&good, &annotations).unwrap();
    for (name, other, wrong) in [
        ("mcp-method", "tools/list", "the Mcp-Method header does not match the body"),
        ("mcp-name", "T", "the Mcp-Name header does not match the body"),
        ("mcp-name", "=?base64?!?=", "the Mcp-Name header is malformed or stands twice"),
        ("mcp-protocol-version", "2025-11-25", "the MCP-Protocol-Version header does not match the body"),
        ("mcp-param-region", "us", "the Mcp-Param-region header does not match the body"),
    ] {
        let name = HeaderName::from_static(name);
        let verdict = |headers: &HeaderMap| checked(headers, &good).and_then(|()| annotations.check(headers, &good));
        assert_eq!(verdict(&all), Ok(()));
        let mut changed = all.clone();
        changed.insert(name.clone(), HeaderValue::from_static(other));
        assert_eq!(verdict(&changed).unwrap_err().to_string(), format!("Header mismatch: {wrong}"));
        changed.remove(&name);
        assert_eq!(verdict(&changed), Err(Wrong::Missing(Title(name.clone()))));
        let mut twice = all.clone();
        twice.append(name.clone(), all.get(&name).unwrap().clone());
        assert_eq!(verdict(&twice), Err(Wrong::Malformed(Title(name))));
    }
}

#[test]
fn a_body_with_two_meanings_is_not_mirrored() {
    let annotations = Annotations::of(SCHEMA).unwrap();
    let twice = frame(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#);
    assert_eq!(headers(&twice, &Annotations::default()), Err(Unreadable::Object("params")));
    let twice = call(r#"{"region":"a","region":"b"}"#);
    assert_eq!(annotations.headers(&twice), Err(Unreadable::Object("arguments")));
    let number = frame(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":1}}"#);
    assert_eq!(subject(&number), Err(Unreadable::NotText("uri")));
    let method = frame(r#"{"jsonrpc":"2.0","id":1,"method":"a\r\nb"}"#);
    assert_eq!(headers(&method, &Annotations::default()), Err(Unreadable::Method));
}

#[test]
fn a_list_loses_its_invalid_tools_and_nothing_else() {
    let good = r#"{"name":"good","inputSchema":{"properties":{"a":{"type":"string","x-mcp-header":"A"}}},"n":1.0}"#;
    let bad = r#"{"name":"bad","inputSchema":{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}}"#;
    let odd = r#"{"inputSchema":true}"#;
    let page = Tools::read(&format!(r#"{{"tools":[ {good},{bad} ,{odd}],"ttlMs":1e3,"nextCursor":"c"}}"#)).unwrap();
    assert_eq!(page.bad, [("bad".to_owned(), Invalid::Type("a".into()))]);
    assert_eq!(page.edited, Some(format!(r#"{{"tools":[{good},{odd}],"ttlMs":1e3,"nextCursor":"c"}}"#)));
    assert_eq!(page.cursor.as_deref(), Some("c"));
    assert_eq!(
        page.good.first().map(|(name, annotations)| (name.as_str(), annotations.is_empty())),
        Some(("good", false))
    );
    assert_eq!(Tools::read(&format!(r#"{{"tools":[{good}]}}"#)).unwrap().edited, None);
    assert_eq!(Tools::read(r#"{"resources":[]}"#), None);
}

proptest! {
    #[test]
    fn every_value_comes_back(value in ".*") {
        let header = encode(&value);
        prop_assert!(header.as_bytes().iter().all(|byte| matches!(byte, b' '..=b'~')));
        prop_assert_eq!(decode(&header).unwrap(), value);
    }

    #[test]
    fn every_plain_value_goes_as_it_is(value in "[!-~]([ -~]*[!-~])?") {
        let header = encode(&value);
        let wrapped = value.starts_with(OPENING) && value.ends_with(CLOSING);
        prop_assert_eq!(header.to_str().unwrap() == value, !wrapped);
    }

    #[test]
    fn whatever_a_header_holds_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(header) = HeaderValue::from_bytes(&bytes) && let Some(said) = decode(&header) {
            let again = encode(&said);
            prop_assert_eq!(decode(&again).unwrap(), said);
        }
    }

    #[test]
    fn a_header_agrees_with_the_argument_that_it_was_made_of(text in ".*", number in any::<i64>(), float in any::<f64>()) {
        let mut arguments = vec![json::quote(&text), number.to_string(), "true".to_owned()];
        arguments.extend(serde_json::Number::from_f64(float).map(|float| float.to_string()));
        for argument in arguments {
            let header = encode(&written(&argument).unwrap());
            prop_assert!(agrees(&decode(&header).unwrap(), &argument), "{}", argument);
        }
    }
}
