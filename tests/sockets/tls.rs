//! TLS on the listener.

use std::{fs, net::SocketAddr, path::Path, sync::Arc};

use rustix::process::Signal;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    },
};

use super::with_tls;
use crate::support::{
    certs::{Authority, Files, Pair, set_mode},
    client::initialize,
    program::Program,
    soon,
};

/// A bridge with TLS, and where its files are.
struct Bridge {
    program: Program,
    addr: SocketAddr,
    authority: Authority,
    files: Files,
}

impl Bridge {
    async fn start(more: &[&str]) -> Bridge {
        let (authority, files) = (Authority::new("test authority"), Files::new());
        let pair = authority.server();
        let (certificate, key) = (files.put("cert.pem", &pair.certificate), files.put("key.pem", &pair.key));
        let words = ["serve", "--port", "0", "--tls-cert", &certificate, "--tls-key", &key, "--demo"];
        let program = Program::start(&[&words, more].concat());
        let addr = with_tls(&program).await;
        Bridge { program, addr, authority, files }
    }

    /// One that asks for certificates of this authority.
    async fn mutual(clients: &Authority) -> Bridge {
        let files = Files::new();
        Bridge::start(&["--tls-client-ca", &files.put("clients.pem", &clients.pem())]).await
    }

    fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.addr.port())
    }

    fn web(&self) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.authority.pem().as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).no_proxy()
    }

    /// A client with this certificate.
    fn known(&self, pair: &Pair) -> reqwest::Client {
        self.web().identity(reqwest::Identity::from_pem(pair.both().as_bytes()).unwrap()).build().unwrap()
    }

    async fn initialize(&self, client: &reqwest::Client) -> reqwest::Result<reqwest::Response> {
        soon("an answer", post(client.post(self.url("/mcp")), initialize("1", "2025-06-18")).send()).await
    }

    /// A connection, without HTTP on it yet.
    async fn connect(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.authority.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(self.addr).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        soon("the handshake", TlsConnector::from(Arc::new(config)).connect(name, stream)).await.unwrap()
    }
}

fn post(request: reqwest::RequestBuilder, body: String) -> reqwest::RequestBuilder {
    let request = request.header("Content-Type", "application/json");
    request.header("Accept", "application/json, text/event-stream").body(body)
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

#[tokio::test]
async fn http_1_and_http_2_are_served_over_tls_and_announced_so() {
    let mut bridge = Bridge::start(&[]).await;
    let client = bridge.web().build().unwrap();
    let answer = bridge.initialize(&client).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_2));
    let client = bridge.web().http1_only().build().unwrap();
    let answer = bridge.initialize(&client).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, reqwest::Version::HTTP_11));
    let answer = client.get(bridge.url("/healthz")).header("Host", "evil.example").send().await.unwrap();
    assert_eq!(answer.status(), 403);
    bridge.program.stderr.has(&format!(r#""url":"https://{}/mcp""#, bridge.addr)).await;
    assert!(!bridge.program.stderr.text().contains("WARN"), "{}", bridge.program.stderr.text());
    bridge.program.signal(Signal::TERM);
    assert_eq!(bridge.program.code().await, 0);
}

#[tokio::test]
async fn status_asks_over_tls_and_trusts_the_authority_that_it_is_given() {
    let bridge = Bridge::start(&[]).await;
    let authority = bridge.files.put("authority.pem", &bridge.authority.pem());
    let mut asked = Program::start(&["status", &bridge.url(""), "--ca-file", &authority]);
    assert_eq!(asked.code().await, 0, "{}", asked.stderr.text());
    let mut asked = Program::start(&["status", &bridge.url("")]);
    assert_eq!(asked.code().await, 69);
    assert!(asked.stderr.whole().await.contains("--ca-file"));
    let mut asked = Program::start(&["status", &bridge.url("").replace("https:", "http:")]);
    assert_eq!(asked.code().await, 69);
    assert!(asked.stderr.whole().await.ends_with("that port speaks TLS; write https:// in the URL\n"));
}

#[tokio::test]
async fn status_shows_the_certificate_that_a_bridge_asks_for() {
    let clients = Authority::new("clients");
    let bridge = Bridge::mutual(&clients).await;
    let url = bridge.url("");
    let ask = ["status", &url, "--ca-file", &bridge.files.put("authority.pem", &bridge.authority.pem())];
    let mut asked = Program::start(&ask);
    assert_eq!(asked.code().await, 69);
    let said = asked.stderr.whole().await;
    assert!(said.ends_with("give one with --client-cert FILE\n"), "{said}");
    let ann = clients.client("ann.example");
    let shown = [
        "--client-cert",
        &bridge.files.put("ann.pem", &ann.certificate),
        "--client-key",
        &bridge.files.put("ann.key", &ann.key),
    ];
    let mut asked = Program::start(&[&ask[..], &shown].concat());
    assert_eq!(asked.code().await, 0, "{}", asked.stderr.text());
}

#[tokio::test]
async fn a_renewed_certificate_is_served_and_no_connection_is_dropped() {
    let bridge = Bridge::start(&[]).await;
    let mut open = bridge.connect().await;
    let before = shown(&open);
    // Not before its key is there; a look in between finds two that do not go together, and keeps the old pair.
    let renewed = bridge.authority.server();
    bridge.files.put("cert.pem", &renewed.certificate);
    bridge.files.put("key.pem", &renewed.key);
    let new = CertificateDer::from_pem_slice(renewed.certificate.as_bytes()).unwrap();
    soon("the renewed certificate", async { while shown(&bridge.connect().await) != new {} }).await;
    assert_ne!(before, new);
    // What cannot be used is told, and changes nothing.
    bridge.files.put("key.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    let told = "the old ones stay in use: the key in --tls-key";
    soon("the warning", async {
        while !bridge.program.stderr.text().contains(told) {
            assert_eq!(shown(&bridge.connect().await), new);
        }
    })
    .await;
    fs::remove_file(bridge.files.path("cert.pem")).unwrap();
    soon("the next warning", async {
        while !bridge.program.stderr.text().contains("the old ones stay in use: --tls-cert") {
            assert_eq!(shown(&bridge.connect().await), new);
        }
    })
    .await;
    open.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    soon("the answer", open.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn only_clients_with_a_certificate_of_the_authority_are_served_and_sessions_are_theirs() {
    let clients = Authority::new("clients");
    let bridge = Bridge::mutual(&clients).await;
    assert!(bridge.initialize(&bridge.web().build().unwrap()).await.is_err(), "without a certificate");
    let stranger = bridge.known(&Authority::new("strangers").client("ann.example"));
    assert!(bridge.initialize(&stranger).await.is_err(), "of another authority");
    let nameless = bridge.initialize(&bridge.known(&clients.nameless())).await.unwrap();
    assert_eq!(nameless.status(), 403);
    assert!(nameless.text().await.unwrap().contains("names nobody"));
    let (ann, bob) = (bridge.known(&clients.client("ann.example")), bridge.known(&clients.client("bob.example")));
    let answer = bridge.initialize(&ann).await.unwrap();
    assert_eq!(answer.status(), 200);
    let session = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    let ping = || r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#.to_owned();
    for (client, want) in [(&bob, 404), (&ann, 200)] {
        let request = post(client.post(bridge.url("/mcp")), ping()).header("Mcp-Session-Id", &session);
        assert_eq!(soon("an answer", request.send()).await.unwrap().status(), want);
    }
    bridge.program.stderr.has(r#""--client-cert","FILE""#).await;
}

#[tokio::test]
async fn what_is_no_tls_is_told_so_and_closed() {
    let bridge = Bridge::start(&[]).await;
    for (bytes, want) in [
        ("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "this port speaks TLS; use https:// in the URL\n"),
        ("\u{16}\u{3}\u{1}\0\u{5}hello", ""),
    ] {
        let mut stream = TcpStream::connect(bridge.addr).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        drop(soon("the end of the connection", stream.read_to_end(&mut answer)).await);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.ends_with(want), "{bytes:?}: {answer}");
    }
    // Dozens of handshakes that have begun hold up nobody.
    let mut begun = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(bridge.addr).await.unwrap();
        stream.write_all(b"\x16\x03\x01").await.unwrap();
        begun.push(stream);
    }
    assert_eq!(bridge.initialize(&bridge.web().build().unwrap()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_key_that_every_user_can_read_is_warned_of() {
    let (files, pair) = (Files::new(), Authority::new("a").server());
    let both = files.put("both.pem", &pair.both());
    set_mode(Path::new(&both), 0o644);
    let program = Program::start(&["serve", "--port", "0", "--tls-cert", &both, "--demo"]);
    program.stderr.has(&format!("--tls-cert {both} can be read by every user; take that away with chmod o-r")).await;
}

#[tokio::test]
async fn every_wrong_file_is_one_line_with_what_to_do() {
    let (files, authority) = (Files::new(), Authority::new("a"));
    let (pair, other) = (authority.server(), authority.server());
    let good = files.put("cert.pem", &pair.certificate);
    let key = files.put("key.pem", &pair.key);
    let wrong_key = files.put("other.pem", &other.key);
    let der = files.put("der", "0\u{3}");
    let cut = files.put("cut.pem", &pair.certificate[..200]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted = files.put("encrypted.pem", encrypted);
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    let old = files.put("old.pem", old);
    let large = files.put("large.pem", &"x".repeat(2 << 20));
    let none = files.path("none.pem").to_str().unwrap().to_owned();
    let serve = |words: &[&str]| [&["serve", "--demo"], words].concat().into_iter().map(String::from).collect();
    let connect =
        |words: &[&str]| [&["connect", "https://h/mcp"], words].concat().into_iter().map(String::from).collect();
    let cases: Vec<(Vec<String>, &str)> = vec![
        (serve(&["--tls-cert", &none]), "No such file"),
        (serve(&["--tls-cert", &der]), "holds no PEM block BEGIN CERTIFICATE; from DER, openssl x509"),
        (serve(&["--tls-cert", &cut, "--tls-key", &key]), "is no PEM file: a block is cut off"),
        (serve(&["--tls-cert", &large]), "is larger than 1 MiB"),
        (serve(&["--tls-cert", &good]), "holds no PEM block BEGIN PRIVATE KEY; name the file that does"),
        (serve(&["--tls-cert", &good, "--tls-key", &wrong_key]), "is not that of the first certificate in"),
        (serve(&["--tls-cert", &good, "--tls-key", &encrypted]), "is encrypted; write a plain one with openssl pkey"),
        (serve(&["--tls-cert", &good, "--tls-key", &old]), "is encrypted; write a plain one with openssl pkey"),
        (serve(&["--tls-cert", &good, "--tls-key", &key, "--tls-client-ca", &key]), "--tls-client-ca"),
        (serve(&["--tls-key", &key]), "--tls-key is of no use without --tls-cert"),
        (serve(&["--tls-client-ca", &good]), "--tls-client-ca is of no use without --tls-cert"),
        (serve(&["--tls-cert", &good, "--tls-key", &key, "--unix", "/x/y"]), "--tls-cert is for TCP"),
        (serve(&["--unix", "/x/y", "--unix-mode", "888"]), "write three octal digits, as in 600 or 660"),
        (connect(&["--ca-file", &key]), "--ca-file"),
        (connect(&["--client-cert", &good]), "holds no PEM block BEGIN PRIVATE KEY"),
        (connect(&["--client-cert", &good, "--client-key", &wrong_key]), "is not that of the first certificate in"),
        (connect(&["--client-key", &key]), "--client-key is of no use without --client-cert"),
    ];
    for (words, want) in cases {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut program = Program::start(&words);
        let code = program.code().await;
        let line = program.stderr.whole().await;
        assert!(code == 64 && line.contains(want) && line.lines().count() == 1, "{words:?}: {code} {line}");
    }
}
