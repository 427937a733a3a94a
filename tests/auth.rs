//! The bridge as an OAuth client: what it does at an authorization server that the test scripts, and who else may gain by it.
//!
//! | module | what it holds |
//! |---|---|
//! | `attacks` | attacks T9 to T12: a server that names what is inside, poisoned documents, pages that are none, forged callbacks |
//! | `commands` | `login`, `logout`, `auth status` |
//! | `eras` | clients and servers of the modern era |
//! | `fronts` | a login in mid-use, over every front and transport and in both eras |
//! | `keyring` | tokens under a key of the system's keyring |
//! | `logins` | the ways to a token, renewal, more scopes, what the client hears |
//! | `secrets` | attacks T24 and T25, and statement 25: logs, files, and five instances at once |
//! | `tls` | logins at servers of a private authority, and with a client's certificate |

use std::process::Stdio;

use crate::support::{
    authority::{Authority, Desktop},
    client::Client,
    program::Program,
};

mod attacks;
mod commands;
mod eras;
mod fronts;
mod keyring;
mod logins;
mod secrets;
mod tls;

const V: &str = "2025-06-18";

/// A client's command on a desktop.
fn connect(desktop: &Desktop, authority: &Authority, more: &[&str]) -> Client {
    let url = authority.url();
    run(desktop, &[&["connect", &url, "--retry-delay", "10ms"], more].concat())
}

fn run(desktop: &Desktop, words: &[&str]) -> Client {
    Client::of(program(desktop, words))
}

fn program(desktop: &Desktop, words: &[&str]) -> Program {
    let env = desktop.env();
    let env: Vec<(&str, &str)> = env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Program::start_with(words, &env)
}

/// Runs a command to its end; gives the exit code, stdout and stderr.
async fn done(desktop: &Desktop, words: &[&str]) -> (i32, String, String) {
    let mut command = tokio::process::Command::new(crate::support::program::BINARY);
    command.args(words).env("NO_COLOR", "1").envs(desktop.env()).stdin(Stdio::null());
    let output = crate::support::soon("the command", command.output()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}
