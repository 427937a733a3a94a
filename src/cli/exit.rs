//! The exit codes: a documented, stable part of the interface.
//!
//! Owns the numbers and which failure has which. Talks to nobody. It never exits the process; `main` returns.

use std::process::ExitCode;

use crate::{bridge, status, wire::remote::ConnectError};

/// How the process ends. The numbers are those of BSD's `sysexits.h` where it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Everything was done, or the other side ended in good order.
    Ok = 0,
    /// Something failed while working.
    Failed = 1,
    /// The command line, a variable, or a file that it names is wrong. Nothing was started.
    Usage = 64,
    /// The remote server could not be reached.
    Unreachable = 69,
    /// The remote server asks for a login, or refuses the one given.
    NotAuthorised = 77,
}

impl Exit {
    /// The same, with one line on stderr that says why.
    pub fn saying(self, why: &str) -> Exit {
        super::complain(why);
        self
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

impl From<status::State> for Exit {
    fn from(state: status::State) -> Exit {
        match state {
            status::State::Fine => Exit::Ok,
            status::State::SomeBad => Exit::Failed,
        }
    }
}

impl From<&bridge::Error> for Exit {
    fn from(error: &bridge::Error) -> Exit {
        use bridge::Error::{Audit, Bind, Connect, Failed, Interrupted, Spawn};
        match error {
            Audit(_) => Exit::Usage,
            Failed(_) | Interrupted | Bind(_) | Spawn(_) => Exit::Failed,
            Connect(ConnectError::NotAuthorized(_) | ConnectError::Login { .. }) => Exit::NotAuthorised,
            Connect(_) => Exit::Unreachable,
        }
    }
}
