//! `login`, `logout` and `auth status`: what they print, and what they come to.
//!
//! Owns their words. Talks to [`crate::auth::client::login`], stdout and stderr. It never prints a secret.

use std::process::ExitCode;

use tracing::Level;

use super::{Exit, LoginTask, complain};
use crate::{
    auth::client::{
        Denied,
        login::{self, LoginEnd, Status},
    },
    observe::{Format, Logging},
    wire::remote::fault::shown,
};

/// Carries out what was asked for.
pub fn run(task: LoginTask) -> ExitCode {
    // What the user is to do is told as a warning, as it is by a bridge.
    Logging { level: Level::WARN, quiet: true, format: Format::Text, ansi: false }.start();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(why) => return failed(&format!("cannot start threads: {why}; raise the limit on processes"), Exit::Failed),
    };
    let end = runtime.block_on(carry_out(task));
    // A read from a terminal cannot be interrupted: not waited for.
    runtime.shutdown_background();
    end
}

async fn carry_out(task: LoginTask) -> ExitCode {
    match task {
        LoginTask::In(url, spec) => match login::login(&url, *spec).await {
            Ok(LoginEnd::Done(status)) => say(&format!("logged in\n{}", Status(status))),
            Ok(LoginEnd::NotNeeded) => say(&format!("{} asks for no login\n", shown(&url))),
            Err(Denied::NotOffered) => failed(
                &format!(
                    "{} refuses callers and publishes nothing about a login; give connect a token with --bearer, or a \
                     header with -H",
                    shown(&url)
                ),
                Exit::NotAuthorised,
            ),
            Err(Denied::Unreachable(why)) => failed(&why, Exit::Unreachable),
            Err(denied) => failed(&format!("no login to {}: {denied}", shown(&url)), Exit::NotAuthorised),
        },
        LoginTask::Out(url, spec) => match login::logout(&url, *spec).await {
            Ok(Some(revocation)) => say(&format!("forgot the login to {}; {revocation}\n", shown(&url))),
            Ok(None) => say(&format!("nothing was kept of {}\n", shown(&url))),
            Err(denied) => failed(&denied.to_string(), Exit::Failed),
        },
        LoginTask::Status(url, dir) => match login::status(url.as_ref(), &dir) {
            Ok(found) if found.is_empty() => say("no login is kept\n"),
            Ok(found) => say(&found.iter().map(Status::to_string).collect::<Vec<_>>().join("\n")),
            Err(denied) => failed(&denied.to_string(), Exit::Failed),
        },
    }
}

fn say(text: &str) -> ExitCode {
    match super::print(text.as_bytes()) {
        Ok(_) => Exit::Ok.into(),
        Err(error) => error.report(),
    }
}

fn failed(text: &str, exit: Exit) -> ExitCode {
    complain(text);
    exit.into()
}
