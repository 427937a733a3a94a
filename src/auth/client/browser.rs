//! Opens a page in the user's browser.
//!
//! Owns the choice of the program. Talks to the operating system. The URL is one argument of a program, and no shell sees it
//! (CVE-2025-6514); that it is one for a browser is checked before ([`super::reach::for_browser`]). stdout of that program
//! is never the bridge's, which belongs to frames.

use std::{
    ffi::{OsStr, OsString},
    process::Stdio,
    time::Duration,
};

use tokio::{process::Command, time::timeout};
use url::Url;

/// A program that has not failed by then has opened the page, or is the browser itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// Opens a page. Says why no browser came up, as far as that can be known.
pub async fn open(url: &Url, chosen: Option<&OsStr>) -> Result<(), String> {
    let (program, before) = opener(chosen);
    let mut command = Command::new(&program);
    command.args(before).arg(url.as_str());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(false);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("MCP_BRIDGE_")) {
        command.env_remove(name);
    }
    // A Ctrl-C for the bridge is none for the browser.
    #[cfg(unix)]
    command.process_group(0);
    let name = program.to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| format!("{name} cannot be started ({error})"))?;
    match timeout(PATIENCE, child.wait()).await {
        Ok(Ok(status)) if !status.success() => Err(format!("{name} found no browser ({status})")),
        _ => Ok(()),
    }
}

fn opener(chosen: Option<&OsStr>) -> (OsString, &'static [&'static str]) {
    if let Some(program) = chosen {
        return (program.to_owned(), &[]);
    }
    match () {
        () if cfg!(target_os = "macos") => ("open".into(), &[]),
        () if cfg!(windows) => ("rundll32".into(), &["url.dll,FileProtocolHandler"]),
        () => ("xdg-open".into(), &[]),
    }
}
