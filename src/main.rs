//! The `mcp-bridge` program: parse, run, report, exit code.

use std::process::ExitCode;

use mcp_bridge::{
    bridge,
    cli::{self, Exit, Task},
    config::{Config, Front},
    demo,
    observe::Logging,
    scope::Scope,
    wire::child,
};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().collect()) {
        Ok(Task::Bridge(config, logging)) => carry(*config, logging),
        Ok(Task::Demo) => demo::run(),
        Ok(Task::Guard) => child::guard_main(),
        Ok(Task::Print(text)) => cli::print(&text).map_or_else(|error| error.report(), |()| Exit::Ok.into()),
        Ok(Task::Done) => Exit::Ok.into(),
        Err(error) => error.report(),
    }
}

fn carry(config: Config, logging: Logging) -> ExitCode {
    logging.start();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if matches!(config.front, Front::Stdio) {
        // One client, two directions; many of these run side by side on a desktop.
        runtime.worker_threads(2);
    }
    let ended = match runtime.enable_all().build() {
        Ok(runtime) => runtime.block_on(bridge::run(config, Scope::new())),
        Err(error) => {
            Err(bridge::Error::Failed(format!("cannot start threads: {error}; raise the limit on processes")))
        }
    };
    match ended {
        Ok(()) => Exit::Ok.into(),
        Err(error) => {
            logging.fatal(&error);
            Exit::from(&error).into()
        }
    }
}
