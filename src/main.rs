//! The `mcp-bridge` program: parse, run, report, exit code.

use std::{process::ExitCode, time::Duration};

use mcp_bridge::{
    bridge,
    cli::{self, Exit, Task},
    config::{Config, Front},
    demo,
    observe::Logging,
    room,
    scope::Scope,
    status::{self, Question},
    wire::child::guard,
};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os().collect()) {
        Ok(Task::Bridge(config, logging)) => return carry(*config, logging).into(),
        Ok(Task::Status(question)) => return ask(&question).into(),
        Ok(Task::Login(task)) => return cli::login::run(*task),
        Ok(Task::Demo(eras)) => return demo::run(eras),
        Ok(Task::Guard(mark)) => guard::run(&mark),
        Ok(Task::Done) => {}
        Err(error) => return error.report(),
    }
    Exit::Ok.into()
}

fn ask(question: &Question) -> Exit {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let asked = match &runtime {
        Ok(runtime) => runtime.block_on(status::run(question)).map_err(|error| (Exit::Unreachable, error.to_string())),
        Err(why) => Err((Exit::Failed, format!("cannot start: {why}; raise the limit on processes"))),
    };
    asked.map_or_else(|(exit, why)| exit.saying(&why), Exit::from)
}

fn carry(config: Config, logging: Logging) -> Exit {
    logging.start();
    room::keep_freed_memory();
    cli::unknown_variables().iter().for_each(|note| tracing::warn!("{note}"));
    let mut runtime = match config.front {
        // One client, and many of these run side by side on a desktop. A second thread would cost more than the work:
        // each message would be handed from one thread to the other, at twice the processor time and latency.
        Front::Stdio => tokio::runtime::Builder::new_current_thread(),
        Front::Network(_) => tokio::runtime::Builder::new_multi_thread(),
    };
    let ended = match runtime.enable_all().build() {
        Ok(runtime) => {
            let ended = runtime.block_on(bridge::run(config, Scope::new()));
            // Drops what a second signal left running. A read from a terminal cannot be interrupted: not waited for.
            runtime.shutdown_timeout(Duration::from_millis(100));
            ended
        }
        Err(why) => Err(bridge::Error::Failed(format!("cannot start threads: {why}; raise the limit on processes"))),
    };
    ended.inspect_err(|error| logging.fatal(error)).map_or_else(|error| Exit::from(&error), |()| Exit::Ok)
}
