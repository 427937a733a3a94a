//! What both remote wires share: which of them it is, retries, redirects, and the words for what goes wrong.

use http::{HeaderMap, HeaderValue};
use tokio::net::TcpListener;

use super::{
    ConnectError, NotLegacy, Way,
    fixture::{Client, Fixture, initialize, initialize_result, soon, spec},
};
use crate::{
    config::{
        Limits, RemoteSpec, RemoteTransport,
        RemoteTransport::{Auto, Http, Sse},
    },
    message::Frame,
    peer::{Caller, Envelope, PEER_CAPACITY, Peer, Reply},
    scope::Scope,
};

const V: &str = "2025-06-18";

fn with_secret(fixture: &Fixture) -> RemoteSpec {
    let mut spec = spec(&fixture.url, Http);
    spec.headers = HeaderMap::from_iter([
        (http::header::AUTHORIZATION, HeaderValue::from_static("Bearer t0p")),
        (http::HeaderName::from_static("x-api-key"), HeaderValue::from_static("k3y")),
    ]);
    spec
}

#[tokio::test]
async fn a_refused_post_leads_to_the_older_transport() {
    for status in [400, 404, 405] {
        let mut fixture = Fixture::start().await;
        let mut client = Client::start(&fixture.url, Auto);
        client.request(&initialize("2024-11-05")).await;
        fixture.expect_post("initialize").await.reply(status, &[], "").await;
        let mut sse = fixture.endpoint().await;
        let post = fixture.expect_post("initialize").await;
        assert_eq!(post.path, "/messages?session_id=1");
        post.reply(202, &[], "Accepted").await;
        sse.message(&initialize_result("0", "2024-11-05")).await;
        assert_eq!(client.next().await.frame.id_text(), "0");
        assert_eq!(client.leave().await, Ok(()));
    }
}

#[tokio::test]
async fn a_server_that_speaks_neither_is_told_of_with_both_attempts() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Auto);
    client.request(&initialize(V)).await;
    fixture.expect("POST").await.reply(404, &[], "").await;
    fixture.expect("GET").await.reply(404, &[], "").await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("POST got HTTP 404") && message.contains("GET got HTTP 404"), "{message}");
    assert!(matches!(soon("the wire", client.wire).await.unwrap(), Err(ConnectError::Protocol(_))));
}

#[tokio::test]
async fn an_mcp_error_with_status_400_passes_when_there_is_no_older_transport() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Auto);
    client.request(&initialize("1999-01-01")).await;
    let error = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Unsupported protocol version"}}"#;
    fixture.expect("POST").await.reply(400, &[], error).await;
    fixture.expect("GET").await.reply(400, &[], "").await;
    let (id, code, message) = client.error().await;
    assert_eq!((id.as_str(), code, message.as_str()), ("0", -32600, "Unsupported protocol version"));
    // The wire is still there: the client may ask for another version.
    client.request(&initialize(V)).await;
    fixture.expect("POST").await.json(&initialize_result("0", V)).await;
    assert!(!client.next().await.frame.is_error());
}

#[tokio::test]
async fn a_client_that_leaves_after_nothing_worked_is_told_so() {
    let error = r#"{"jsonrpc":"2.0","id":"server-error","error":{"code":-32600,"message":"nothing at this path"}}"#;
    for transport in [Auto, Http] {
        let mut fixture = Fixture::start().await;
        let mut client = Client::start(&fixture.url, transport);
        client.request(&initialize(V)).await;
        fixture.expect("POST").await.reply(404, &[], error).await;
        if transport == Auto {
            fixture.expect("GET").await.reply(404, &[], error).await;
        }
        assert_eq!(client.error().await.2, "nothing at this path");
        let end = client.leave().await;
        assert!(matches!(&end, Err(ConnectError::Protocol(why)) if why.contains("HTTP 404")), "{end:?}");
    }
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Sse);
    client.request(&initialize(V)).await;
    let _sse = fixture.endpoint().await;
    fixture.expect("POST").await.reply(404, &[], error).await;
    client.error().await;
    assert!(matches!(client.leave().await, Err(ConnectError::Protocol(_))));
}

#[tokio::test]
async fn a_server_that_refuses_this_client_in_good_order_is_no_failure() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Auto);
    client.request(&initialize("1999-01-01")).await;
    let error = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"Unsupported protocol version"}}"#;
    fixture.expect("POST").await.json(error).await;
    client.error().await;
    assert_eq!(client.leave().await, Ok(()));
}

#[tokio::test]
async fn a_first_message_other_than_initialize_tells_of_an_unreachable_server() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    for transport in [Auto, Http, Sse] {
        let mut patient = spec(&url, transport);
        patient.retry.delay = std::time::Duration::from_secs(30);
        let client = Client::with(&patient, &Limits::default());
        client.request(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).await;
        let end = client.leave().await;
        assert!(matches!(&end, Err(ConnectError::Unreachable(why)) if why.contains("refused")), "{end:?}");
    }
}

#[tokio::test]
async fn neither_401_nor_403_nor_500_leads_to_the_older_transport() {
    for status in [401, 403, 500] {
        let mut fixture = Fixture::start().await;
        let mut client = Client::start(&fixture.url, Auto);
        client.request(&initialize(V)).await;
        fixture.expect("POST").await.reply(status, &[], "").await;
        let (_, _, message) = client.error().await;
        assert!(message.contains(&format!("HTTP {status}")), "{message}");
        let end = soon("the wire", client.wire).await.unwrap().unwrap_err();
        assert_eq!(matches!(end, ConnectError::NotAuthorized(_)), status != 500, "{end}");
        assert!(fixture.is_idle());
    }
}

#[tokio::test]
async fn gateways_without_their_server_are_tried_again() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Auto);
    client.request(&initialize(V)).await;
    for status in [502, 503, 504] {
        fixture.expect("POST").await.reply(status, &[], "").await;
    }
    fixture.expect("POST").await.json(&initialize_result("0", V)).await;
    assert!(!client.next().await.frame.is_error());
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_and_then_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp?token=s3cret", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    for transport in [Auto, Http, Sse] {
        let mut client = Client::start(&url, transport);
        client.request(&initialize(V)).await;
        client.call("1").await;
        let (id, code, message) = client.error().await;
        assert_eq!((id.as_str(), code), ("0", -32603));
        assert!(message.contains("refused") && !message.contains("s3cret"), "{message}");
        let end = soon("the wire", client.wire).await.unwrap();
        assert!(matches!(end, Err(ConnectError::Unreachable(_))), "{end:?}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_up_yet_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = format!("http://{address}/mcp").parse().unwrap();
    let mut slow = spec(&url, Http);
    (slow.retry.attempts, slow.retry.delay) = (500, std::time::Duration::from_millis(1));
    let mut client = Client::with(&slow, &Limits::default());
    client.request(&initialize(V)).await;
    let mut fixture = Fixture::on(TcpListener::bind(address).await.unwrap());
    fixture.expect_post("initialize").await.json(&initialize_result("0", V)).await;
    assert!(!client.next().await.frame.is_error());
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let mut client = Client::start(&"http://no-such-host.invalid/mcp".parse().unwrap(), Http);
    client.request(&initialize(V)).await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("does not resolve"), "{message}");
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_named() {
    let mut fixture = Fixture::start().await;
    let mut url = fixture.url.clone();
    url.set_scheme("https").unwrap();
    let _ = &mut fixture;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    url.set_port(Some(listener.local_addr().unwrap().port())).unwrap();
    let mut client = Client::start(&url, Http);
    client.request(&initialize(V)).await;
    let (mut stream, _) = soon("a connection", listener.accept()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    let (_, _, message) = client.error().await;
    assert!(message.contains("http:// instead of https://"), "{message}");
    assert!(matches!(soon("the wire", client.wire).await.unwrap(), Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_named_and_not_tried_again() {
    use tokio_rustls::rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    };
    let pem = include_bytes!("../../../tests/fixtures/self-signed.pem");
    let certificate = CertificateDer::from_pem_slice(pem).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pem).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/mcp?k=s3cret", listener.local_addr().unwrap().port()).parse().unwrap();
    let mut client = Client::start(&url, Auto);
    client.request(&initialize(V)).await;
    let (stream, _) = soon("a connection", listener.accept()).await.unwrap();
    assert!(acceptor.accept(stream).await.is_err(), "the client hangs up");
    let (_, _, message) = client.error().await;
    assert!(message.contains("certificate") && message.contains("nobody that this machine trusts"), "{message}");
    assert!(!message.contains("s3cret"), "{message}");
    assert!(matches!(soon("the wire", client.wire).await.unwrap(), Err(ConnectError::Unreachable(_))));
}

#[tokio::test]
async fn headers_of_the_user_go_to_the_servers_own_origin() {
    let mut fixture = Fixture::start().await;
    let client = Client::with(&with_secret(&fixture), &Limits::default());
    client.request(&initialize(V)).await;
    let post = fixture.expect("POST").await;
    assert_eq!((post.header("authorization"), post.header("x-api-key")), (Some("Bearer t0p"), Some("k3y")));
    post.reply(307, &[("Location", "/other")], "").await;
    let post = fixture.expect_post("initialize").await;
    assert_eq!((post.path.as_str(), post.header("x-api-key")), ("/other", Some("k3y")));
}

#[tokio::test]
async fn a_redirect_to_another_origin_carries_no_credential_and_no_header_of_the_user() {
    let (mut first, mut second) = (Fixture::start().await, Fixture::start().await);
    let mut client = Client::with(&with_secret(&first), &Limits::default());
    client.request(&initialize(V)).await;
    first.expect("POST").await.reply(308, &[("Location", second.url.as_str())], "").await;
    let post = second.expect_post("initialize").await;
    assert_eq!((post.header("authorization"), post.header("x-api-key")), (None, None));
    post.reply(200, &[("mcp-session-id", "theirs")], &initialize_result("0", V)).await;
    client.next().await;
    // The session lives there, and so do its messages; it is not told to a third party.
    client.call("1").await;
    let post = second.expect_post("tools/call").await;
    assert_eq!((post.header("mcp-session-id"), post.header("x-api-key")), (Some("theirs"), None));
    post.reply(307, &[("Location", first.url.as_str())], "").await;
    let post = first.expect_post("tools/call").await;
    assert_eq!(post.header("mcp-session-id"), None);
    post.result("{}").await;
    client.next().await;
}

#[tokio::test]
async fn a_redirect_that_would_turn_a_message_into_a_get_is_followed_on_the_same_origin_only() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Http);
    client.request(&initialize(V)).await;
    fixture.expect("POST").await.reply(302, &[("Location", "/there")], "").await;
    fixture
        .expect_post("initialize")
        .await
        .reply(302, &[("Location", "https://elsewhere.example/x?token=1")], "")
        .await;
    let (_, _, message) = client.error().await;
    assert!(message.contains("https://elsewhere.example/x") && !message.contains("token"), "{message}");
}

#[tokio::test]
async fn redirects_end() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Http);
    client.request(&initialize(V)).await;
    for _ in 0..=10 {
        fixture.expect("POST").await.reply(307, &[("Location", "/mcp")], "").await;
    }
    assert!(client.error().await.2.contains("more than 10 times"));
}

#[tokio::test]
async fn a_client_that_leaves_does_not_wait_for_more_attempts() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    for transport in [Auto, Sse] {
        let mut patient = spec(&url, transport);
        patient.retry.delay = std::time::Duration::from_secs(30);
        let client = Client::with(&patient, &Limits::default());
        client.request(&initialize(V)).await;
        assert!(matches!(client.leave().await, Err(ConnectError::Unreachable(_))));
    }
}

// ---- a server that may be modern

type Legacy = tokio::task::JoinHandle<Result<Option<NotLegacy>, ConnectError>>;

/// Begins a session that may turn out not to be one: `initialize` is under way.
async fn begin(fixture: &Fixture, transport: RemoteTransport) -> (Peer, Legacy, Scope) {
    let (ours, theirs) = Peer::pair(PEER_CAPACITY);
    let scope = Scope::new();
    let way = Way::new(&spec(&fixture.url, transport), &Limits::default(), &scope);
    let wire = scope.spawn(super::legacy(way, theirs, true));
    send(&ours, &initialize(V)).await;
    (ours, wire, scope)
}

async fn send(peer: &Peer, text: &str) {
    let (frame, caller) = (Frame::parse(text.to_owned().into()).unwrap(), Caller::legacy(None));
    let reply = Reply::on(peer.home.upgrade().unwrap(), &frame, &caller).await.unwrap();
    peer.tx.send(Envelope { from: caller, frame, reply: Some(reply) }).await.unwrap();
}

/// The refusal that the wire hands back.
async fn handed_back(wire: Legacy) -> NotLegacy {
    soon("the wire", wire).await.unwrap().unwrap().unwrap()
}

const MODERN_ERROR: &str = r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no such method"}}"#;

#[tokio::test]
async fn a_refusal_that_a_modern_server_may_give_is_handed_back_with_the_client() {
    for (transport, status, body) in [
        (Auto, 400, MODERN_ERROR),
        (Auto, 404, MODERN_ERROR),
        (Auto, 200, MODERN_ERROR),
        (Auto, 422, MODERN_ERROR),
        (Auto, 400, ""),
        (Http, 400, MODERN_ERROR),
        (Http, 200, MODERN_ERROR),
    ] {
        let mut fixture = Fixture::start().await;
        let (mut client, wire, _scope) = begin(&fixture, transport).await;
        fixture.expect_post("initialize").await.reply(status, &[], body).await;
        let refused = handed_back(wire).await;
        assert_eq!(refused.refusal.status.as_u16(), status);
        assert!(fixture.is_idle(), "no other attempt was made");
        let mut peer = refused.into_desk().into_peer();
        let again = peer.rx.recv().await.unwrap();
        assert_eq!(again.frame.method(), "initialize");
        again.reply.unwrap().answer(Frame::result("0", "{}"));
        assert!(!client.rx.recv().await.unwrap().frame.is_error());
    }
}

#[tokio::test]
async fn a_refusal_that_no_modern_server_gives_is_settled_at_once() {
    for status in [404, 405] {
        let mut fixture = Fixture::start().await;
        let (mut client, wire, _scope) = begin(&fixture, Auto).await;
        fixture.expect_post("initialize").await.reply(status, &[], "").await;
        let mut sse = fixture.endpoint().await;
        fixture.expect_post("initialize").await.reply(202, &[], "").await;
        sse.message(&initialize_result("0", V)).await;
        assert!(!soon("an answer", client.rx.recv()).await.unwrap().frame.is_error());
        drop(client);
        assert!(soon("the wire", wire).await.unwrap().unwrap().is_none());
    }
    for status in [401, 403, 500] {
        let mut fixture = Fixture::start().await;
        let (mut client, wire, _scope) = begin(&fixture, Auto).await;
        fixture.expect_post("initialize").await.reply(status, &[], MODERN_ERROR).await;
        assert!(soon("an answer", client.rx.recv()).await.unwrap().frame.is_error());
        drop(client);
        let end = soon("the wire", wire).await.unwrap().unwrap_err();
        assert_eq!(matches!(end, ConnectError::NotAuthorized(_)), status != 500, "{end}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_modern_after_all_is_worked_on_with() {
    // The older transport.
    let mut fixture = Fixture::start().await;
    let (mut client, wire, scope) = begin(&fixture, Auto).await;
    fixture.expect_post("initialize").await.reply(400, &[], MODERN_ERROR).await;
    let going = scope.spawn(handed_back(wire).await.go_on());
    let mut sse = fixture.endpoint().await;
    fixture.expect_post("initialize").await.reply(202, &[], "").await;
    sse.message(&initialize_result("0", V)).await;
    assert!(!soon("an answer", client.rx.recv()).await.unwrap().frame.is_error());
    drop(client);
    assert_eq!(soon("the wire", going).await.unwrap(), Ok(()));
    // An error in good order goes to the client, who may ask for another version; nobody is asked twice what he is.
    let mut fixture = Fixture::start().await;
    let (mut client, wire, scope) = begin(&fixture, Auto).await;
    fixture.expect_post("initialize").await.json(MODERN_ERROR).await;
    let going = scope.spawn(handed_back(wire).await.go_on());
    assert!(soon("an answer", client.rx.recv()).await.unwrap().frame.is_error());
    send(&client, &initialize(V)).await;
    fixture.expect_post("initialize").await.json(MODERN_ERROR).await;
    assert!(soon("an answer", client.rx.recv()).await.unwrap().frame.is_error());
    drop(client);
    assert_eq!(soon("the wire", going).await.unwrap(), Ok(()));
    assert!(fixture.is_idle());
}

#[tokio::test]
async fn attempts_after_a_refusal_are_as_patient_as_before() {
    let mut fixture = Fixture::start().await;
    let mut client = Client::start(&fixture.url, Auto);
    client.request(&initialize("1999-01-01")).await;
    fixture.expect("POST").await.reply(400, &[], MODERN_ERROR).await;
    fixture.expect("GET").await.reply(405, &[], "").await;
    client.error().await;
    client.request(&initialize(V)).await;
    fixture.expect("POST").await.reply(503, &[], "").await;
    fixture.expect("POST").await.json(&initialize_result("0", V)).await;
    assert!(!client.next().await.frame.is_error());
}
