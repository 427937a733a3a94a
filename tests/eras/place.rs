//! Where servers are, and how a user gets there. Keeps a record of what the servers were told.

use std::sync::Arc;

use mcp_bridge::{demo::Eras, wire::Wire};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    client::{Client, Kind},
    eventually,
    program::{BINARY, Bridge},
    remote::{Record, Remote},
    user::{Era, User},
};

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    Legacy,
    Modern,
    Both,
}

/// Each kind of server.
pub const OFFERS: [Offer; 3] = [Offer::Legacy, Offer::Modern, Offer::Both];

impl Offer {
    pub fn word(self) -> &'static str {
        match self {
            Offer::Legacy => "legacy",
            Offer::Modern => "modern",
            Offer::Both => "both",
        }
    }

    fn eras(self) -> Eras {
        match self {
            Offer::Legacy => Eras::Legacy,
            Offer::Modern => Eras::Modern,
            Offer::Both => Eras::Both,
        }
    }

    /// The era in which it is spoken to for such a client.
    pub fn spoken(self, client: Era) -> Era {
        match self {
            Offer::Legacy => Era::Legacy,
            Offer::Modern => Era::Modern,
            Offer::Both => client,
        }
    }
}

/// How a user gets to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    Http,
    Sse,
    Ws,
    /// The user starts `connect`.
    Connect,
}

/// Servers of one kind.
pub struct Place {
    pub offer: Offer,
    pub stateless: bool,
    end: End,
}

enum End {
    Bridge {
        bridge: Box<Bridge>,
        dir: TempDir,
        path: &'static str,
        behind: Option<Box<Bridge>>,
    },
    /// The user starts it.
    Command {
        words: Vec<String>,
        dir: TempDir,
        behind: Option<Box<Bridge>>,
    },
    Remote {
        remote: Remote,
        path: &'static str,
    },
}

impl Place {
    /// Behind a bridge that listens.
    pub async fn bridge(words: &[&str], offer: Offer) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let bridge = Bridge::start(&[words, &strs(&recorded(&dir, offer))].concat()).await;
        let path = if words.contains(&"stdio-to-sse") { "/sse" } else { "/mcp" };
        let end = End::Bridge { bridge: Box::new(bridge), dir, path, behind: None };
        Place { offer, stateless: words.contains(&"--stateless"), end }
    }

    /// Behind the bridge from one wire to another. What is remote for it is another bridge.
    pub async fn pair(source: Wire, output: Wire, offer: Offer) -> Place {
        let dir = tempfile::tempdir().unwrap();
        let mut server = recorded(&dir, offer);
        let mut behind = None;
        if source != Wire::Stdio {
            let command = format!("stdio-to-{}", source.listed().word);
            let bridge = Bridge::start(&[&[command.as_str()], &*strs(&server)].concat()).await;
            server = vec![bridge.url_of(source)];
            behind = Some(Box::new(bridge));
        }
        let word = output.listed().word;
        let command: &[&str] = match (source == output, output) {
            (true, Wire::Stdio) => &["connect"],
            (true, _) => &["serve", "--output", word],
            (false, _) => &[&format!("{}-to-{word}", source.listed().word)],
        };
        let words = [command, &strs(&server)].concat();
        let end = match output {
            Wire::Stdio => End::Command { words: words.iter().map(|word| word.to_string()).collect(), dir, behind },
            _ => {
                let path = output.listed().paths[0].usual;
                End::Bridge { bridge: Box::new(Bridge::start(&words).await), dir, path, behind }
            }
        };
        Place { offer, stateless: false, end }
    }

    /// The same without a record, so that a server that ends has ended: nothing else belongs to its process.
    pub async fn bare(words: &[&str], offer: Offer) -> Place {
        let server = ["--env", "MCP_BRIDGE_DEMO_TEST=1", "--", BINARY, "demo-server", "--era", offer.word()];
        let bridge = Bridge::start(&[words, &server].concat()).await;
        let end =
            End::Bridge { bridge: Box::new(bridge), dir: tempfile::tempdir().unwrap(), path: "/mcp", behind: None };
        Place { offer, stateless: false, end }
    }

    /// At a URL, without a bridge in front.
    pub async fn remote(kind: Kind, offer: Offer) -> Place {
        let path = if kind == Kind::Sse { "/sse" } else { "/mcp" };
        let remote = Remote::of(kind, offer.eras()).await;
        Place { offer, stateless: false, end: End::Remote { remote, path } }
    }

    pub fn url(&self) -> String {
        match &self.end {
            End::Bridge { bridge, path, .. } => bridge.url(path),
            End::Remote { remote, path } => remote.url(path),
            End::Command { .. } => panic!("it has no URL"),
        }
    }

    /// A user that is initialized, where its era has that, and hears all.
    pub async fn user(&self, door: Door, era: Era) -> User {
        self.user_with(door, era, &[]).await
    }

    /// The same with these flags on `connect`.
    pub async fn user_with(&self, door: Door, era: Era, flags: &[&str]) -> User {
        let bridge = || match &self.end {
            End::Bridge { bridge, .. } => bridge.addr,
            End::Remote { .. } | End::Command { .. } => panic!("no bridge that listens"),
        };
        let client = match (door, era) {
            (Door::Connect, _) => match &self.end {
                End::Command { words, .. } => Client::stdio(&[&*strs(words), flags].concat()),
                _ => Client::stdio(&[&["connect"], flags, &[&self.url()]].concat()),
            },
            (Door::Sse, _) => Client::sse(bridge(), "/sse").await,
            (Door::Ws, _) => Client::ws(bridge(), "/ws").await,
            (Door::Http, Era::Legacy) => Client::http(bridge(), "/mcp"),
            (Door::Http, Era::Modern) => Client::modern(bridge(), "/mcp"),
        };
        if era == Era::Modern {
            return User::modern(client);
        }
        let mut user = User::legacy(client).await;
        if door == Door::Http && !self.stateless {
            user.client.listen().await;
        }
        user
    }

    /// Whether its user starts the server's process.
    pub fn is_command(&self) -> bool {
        matches!(self.end, End::Command { behind: None, .. })
    }

    pub fn is_remote(&self) -> bool {
        matches!(self.end, End::Remote { .. })
    }

    /// Signals the bridge that listens.
    pub fn signal(&self, signal: Signal) {
        if let End::Bridge { bridge, .. } = &self.end {
            bridge.program.signal(signal);
        }
    }

    /// All that servers were told, server by server.
    pub fn heard(&self) -> Vec<String> {
        match &self.end {
            End::Bridge { dir, .. } | End::Command { dir, .. } => {
                let files = std::fs::read_dir(dir.path()).unwrap();
                // The last line may be half written.
                let bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
                let texts = bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
            }
            End::Remote { remote, .. } => {
                let record: Arc<Record> = remote.record.clone();
                let heard = record.heard.lock().unwrap();
                heard.clone()
            }
        }
    }

    /// How many messages of this method servers were told.
    pub fn count(&self, method: &str) -> usize {
        let word = format!("\"method\":\"{method}\"");
        self.heard().iter().filter(|line| line.contains(&word)).count()
    }

    /// Waits until servers were told so many.
    pub async fn has(&self, method: &str, many: usize) {
        eventually(&format!("{many} times {method}"), || (self.count(method) >= many).then_some(())).await;
    }

    /// Ends it; every client must have ended before.
    pub async fn stop(self) {
        self.signal(Signal::TERM);
        self.stop_again().await;
    }

    /// The same where the bridge was asked to end before.
    pub async fn stop_again(self) {
        let behind = match self.end {
            End::Bridge { bridge, behind, .. } => {
                bridge.stop_again().await;
                behind
            }
            End::Command { behind, .. } => behind,
            End::Remote { .. } => None,
        };
        if let Some(bridge) = behind {
            bridge.stop().await;
        }
    }
}

/// The words for a server whose messages are kept in this directory.
fn recorded(dir: &TempDir, offer: Offer) -> Vec<String> {
    let at = dir.path().to_str().unwrap();
    let line = format!("tee {at}/$$ | '{BINARY}' demo-server --era {}", offer.word());
    ["--env", "MCP_BRIDGE_DEMO_TEST=1", "--shell", &line].map(str::to_owned).into()
}

fn strs(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
