//! Stdio servers whose every line the test writes. Each start of the command is one [`Run`]: a shell that joins its stdio
//! to a socket of the test.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{
        TcpListener,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{program::Bridge, soon};

/// Ends when either side does, after those that copy: a process that nobody has waited for counts as left over. No
/// `wait -n`: bash misses a child that ends between its look at those that have ended and its wait for the next.
const JOIN: &str = r#"exec 3<>"/dev/tcp/127.0.0.1/$0" 4<&0
cat <&3 & a=$!
(trap 'kill $(jobs -p) 2>/dev/null; wait; exit' TERM; cat <&4 >&3 & wait $!; kill "$a" 2>/dev/null) & b=$!
wait "$a"; kill "$b" 2>/dev/null; wait"#;

/// The command of a server.
pub struct Actor {
    listener: TcpListener,
    port: String,
}

/// One process of it. Dropped, the process exits with code 0.
pub struct Run {
    lines: Lines<BufReader<OwnedReadHalf>>,
    out: OwnedWriteHalf,
}

impl Actor {
    pub async fn start() -> Actor {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        Actor { listener, port }
    }

    /// A bridge in front of it, started with these words.
    pub async fn bridged(words: &[&str]) -> (Actor, Bridge) {
        let actor = Actor::start().await;
        let bridge = Bridge::start(&actor.command(words)).await;
        (actor, bridge)
    }

    /// These words, and the command after them.
    pub fn command<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["--", "bash", "-c", JOIN, &self.port]].concat()
    }

    /// The next start.
    pub async fn next(&mut self) -> Run {
        let (stream, _) = soon("a start of the server", self.listener.accept()).await.unwrap();
        let (read, out) = stream.into_split();
        Run { lines: BufReader::new(read).lines(), out }
    }

    /// Whether no start waits to be taken.
    pub fn is_idle(&mut self) -> bool {
        use std::task::{Context, Waker};
        self.listener.poll_accept(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}

impl Run {
    /// The next message.
    pub async fn hear(&mut self) -> Value {
        let line = soon("a message to the server", self.lines.next_line()).await.unwrap();
        serde_json::from_str(&line.expect("a message, not the end of stdin")).unwrap()
    }

    /// The next message, which has this method.
    pub async fn expect(&mut self, method: &str) -> Value {
        let message = self.hear().await;
        assert_eq!(message["method"], method, "{message}");
        message
    }

    /// The next call of a tool. A front that does not know the tools asks for their list first; there are none.
    pub async fn call(&mut self) -> Value {
        loop {
            let message = self.hear().await;
            if message["method"] != "tools/list" {
                assert_eq!(message["method"], "tools/call", "{message}");
                return message;
            }
            self.answer(&message, json!({"tools": [], "resultType": "complete"})).await;
        }
    }

    pub async fn say(&mut self, message: Value) {
        self.out.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    pub async fn answer(&mut self, to: &Value, result: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": to["id"], "result": result})).await;
    }

    pub async fn fail(&mut self, to: &Value, code: i64, text: &str) {
        self.say(json!({"jsonrpc": "2.0", "id": to["id"], "error": {"code": code, "message": text}})).await;
    }

    /// Waits until the bridge has let go of it.
    pub async fn ended(mut self) {
        let end = soon("the end of stdin", self.lines.next_line()).await;
        assert!(!matches!(end, Ok(Some(_))), "{end:?}");
    }

    /// The handshake of the legacy era as the translation makes it; gives the `initialize`.
    pub async fn shake_hands(&mut self) -> Value {
        let initialize = self.expect("initialize").await;
        let result = super::script::initialize_result("2025-11-25");
        self.answer(&initialize, result).await;
        self.expect("notifications/initialized").await;
        let ping = self.expect("ping").await;
        self.answer(&ping, json!({})).await;
        initialize
    }

    /// Says that it is of the modern era.
    pub async fn discovered(&mut self) {
        let asked = self.expect("server/discover").await;
        self.answer(
            &asked,
            json!({"resultType": "complete", "supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}),
        )
        .await;
    }
}
