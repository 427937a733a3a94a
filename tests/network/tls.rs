//! TLS before there is HTTP: handshakes that do not end.

use std::{fs, sync::Arc, time::Duration};

use mcp_bridge::{
    config::{Limits, NetworkSpec, Sharing},
    tls::server::{Server, ServerFiles},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{ClientConfig, RootCertStore},
};

use super::support::*;

/// A front's configuration, and a client's that trusts it.
fn with_tls() -> (NetworkSpec, ClientConfig) {
    let dir = tempfile::tempdir().unwrap();
    let certificate = dir.path().join("both.pem");
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    fs::write(&certificate, format!("{}{}", made.cert.pem(), made.signing_key.serialize_pem())).unwrap();
    let server = Server::load(ServerFiles { certificate, key: None, client_authorities: None }).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    (NetworkSpec { tls: Some(Arc::new(server)), ..spec() }, client)
}

#[tokio::test]
async fn a_handshake_that_does_not_end_is_cut_off_and_holds_a_place_until_then() {
    let limits = Limits { header_timeout: Duration::from_millis(200), max_connections: 3, ..Limits::default() };
    let front = Front::with(limits, with_tls().0, Sharing::Own).await;
    let mut slow = Vec::new();
    // More than there are places: those that wait in the backlog get theirs.
    for n in 0..9 {
        let mut stream = TcpStream::connect(front.address).await.unwrap();
        let start: &[u8] = [b"".as_slice(), b"\x16", b"\x16\x03\x01\x02\x00\x01"][n % 3];
        stream.write_all(start).await.unwrap();
        slow.push(stream);
    }
    for mut stream in slow {
        drop(soon("the end of a slow handshake", stream.read_to_end(&mut Vec::new())).await);
    }
    assert_eq!(front.send(&get("/healthz", "")).await.status, 400, "no TLS, and told so");
}

/// A frame of HTTP/2 (RFC 9113, Frame Format).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

#[tokio::test]
async fn a_flood_of_streams_that_are_reset_at_once_ends_its_connection_and_no_other() {
    let (spec, mut config) = with_tls();
    let front = Front::with(Limits::default(), spec, Sharing::Own).await;
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(config));
    let connect = async || {
        let stream = TcpStream::connect(front.address).await.unwrap();
        let stream = soon("the handshake", connector.connect("localhost".try_into().unwrap(), stream)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        stream
    };
    let preface = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, &[])].concat();
    // GET https://localhost/ as HPACK has it: three fields of the static table, and a name of it with a value.
    let head = [b"\x82\x87\x84\x41\x09".as_slice(), b"localhost"].concat();
    let (mut read, mut write) = tokio::io::split(connect().await);
    let flood = preface.clone();
    let ask = head.clone();
    let writing = front.scope.spawn(async move {
        write.write_all(&flood).await.unwrap();
        for stream in (1..40_000).step_by(2) {
            let (headers, reset) = (frame(1, 5, stream, &ask), frame(3, 0, stream, &8u32.to_be_bytes()));
            if write.write_all(&[headers, reset].concat()).await.is_err() {
                return;
            }
        }
        drop(write.flush().await);
    });
    let mut said = Vec::new();
    drop(soon("the end of the flood's connection", read.read_to_end(&mut said)).await);
    // The last frame is GOAWAY, with ENHANCE_YOUR_CALM in it.
    let mut last = said.as_slice();
    while let Some(next) =
        last.get(9 + usize::from(last[1]) * 256 + usize::from(last[2])..).filter(|next| next.len() > 9)
    {
        last = next;
    }
    assert_eq!((last[3], &last[13..17]), (7, [0, 0, 0, 11].as_slice()), "{last:?}");
    soon("the end of the flood", writing).await.unwrap();
    let mut other = connect().await;
    other.write_all(&[preface, frame(1, 5, 1, &head)].concat()).await.unwrap();
    let mut answer = vec![0; 4096];
    while !answer.windows(3).any(|part| part == [1, 4, 0]) {
        assert_ne!(soon("an answer", other.read(&mut answer)).await.unwrap(), 0);
    }
}
