//! Any text as a config file: no panic, every problem within the text, no name that could lead out of its path, and no
//! value of a variable where it would be shown.
#![no_main]

use std::{ffi::OsString, path::Path};

use libfuzzer_sys::fuzz_target;
use mcp_bridge::config::file::{Entry, Reach, Server, Source, read};

const SECRET: &str = "hunter2hunter2";

/// What may be a secret and must not stand in a log. What program is started, where, and on which host are none.
fn shown(server: &Server) -> String {
    match &server.reach {
        Reach::Child(child) => format!("{:?} {:?} {:?}", child.args, child.written, child.env),
        Reach::Remote(remote) => format!("{:?}", remote.headers),
    }
}

fuzz_target!(|input: &str| {
    // The first byte chooses between TOML, JSON and what the text looks like.
    let Some((file, text)) = input.get(..1).zip(input.get(1..)) else { return };
    let file = Path::new(match file {
        "t" => "mcp.toml",
        "j" => "mcp.json",
        _ => "mcp",
    });
    let env = |name: &str| (name == "KEY").then(|| OsString::from(SECRET));
    match read(&Source { file, dir: Path::new("/etc"), text, env: &env }) {
        Ok(file) => {
            let known = text.contains(SECRET);
            for entry in &file.servers {
                match entry {
                    Entry::Server(server) => {
                        assert!(known || !shown(server).contains(SECRET));
                        let name = server.name.as_str();
                        assert!(!name.contains(['/', '%', '\\']) && !matches!(name, "." | ".."));
                    }
                    Entry::Bad { why, .. } => assert!(why.line <= text.lines().count().max(1) + 1),
                    Entry::Disabled { .. } => {}
                }
            }
        }
        Err(problem) => {
            assert!(problem.line >= 1 && problem.line <= text.split('\n').count());
            assert!(problem.excerpt().lines().count() <= 2);
        }
    }
});
