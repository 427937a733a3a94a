//! Why a server could not be started, in words for its users.
//!
//! Owns the wording, and where the next step is to be taken: at the command line, or in a config file. Talks to nobody. It
//! tells callers nothing about this machine.

use std::{ffi::OsString, fmt, io, path::PathBuf};

use crate::config::ChildSpec;

/// Why a child could not be started. One line, with the next step.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// No such program.
    #[error("cannot start {program:?}: not found in PATH ({path}); {}", asked_by.to_find_it())]
    NotFound {
        /// As typed.
        program: OsString,
        /// What was searched.
        path: String,
        /// Who is to say it better.
        asked_by: AskedBy,
    },
    /// The working directory is none.
    #[error(
        "cannot start {program:?}: the directory of {asked_by}, {cwd:?}, cannot be entered: {source}; name another"
    )]
    Cwd {
        /// As typed.
        program: OsString,
        /// As typed.
        cwd: PathBuf,
        /// What the system says.
        source: io::Error,
        /// Who is to say it better.
        asked_by: AskedBy,
    },
    /// The system refused.
    #[error("cannot start {program:?}: {source}; check its path{}, and that the file is executable", asked_by.place())]
    Refused {
        /// As typed.
        program: OsString,
        /// What the system says.
        source: io::Error,
        /// Who is to say it better.
        asked_by: AskedBy,
    },
}

/// Where it stands which program is to be started. Shown as what names the directory there.
#[derive(Debug)]
pub enum AskedBy {
    /// On the command line.
    Flags,
    /// In a config file, as this server.
    File(PathBuf, String),
}

impl AskedBy {
    pub(super) fn of(spec: &ChildSpec) -> AskedBy {
        spec.file.clone().map_or(AskedBy::Flags, |file| AskedBy::File(file, spec.name.clone()))
    }

    fn to_find_it(&self) -> String {
        match self {
            AskedBy::Flags => "give its full path, or set PATH with --env".into(),
            AskedBy::File(file, name) => {
                let file = file.display();
                format!("write its full path for server {name:?} in {file}, or set PATH in that server's \"env\"")
            }
        }
    }

    fn place(&self) -> String {
        match self {
            AskedBy::Flags => String::new(),
            AskedBy::File(file, name) => format!(" for server {name:?} in {}", file.display()),
        }
    }
}

impl fmt::Display for AskedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskedBy::Flags => f.write_str("--cwd"),
            AskedBy::File(..) => write!(f, "\"cwd\"{}", self.place()),
        }
    }
}

impl SpawnError {
    /// The same for callers, who are not told about this machine: its paths are for the log.
    pub fn brief(&self) -> String {
        let (program, why) = match self {
            SpawnError::NotFound { program, .. } => (program, "it is not found in PATH".to_string()),
            SpawnError::Cwd { program, source, .. } => (program, format!("its directory cannot be entered ({source})")),
            SpawnError::Refused { program, source, .. } => (program, source.to_string()),
        };
        let program = std::path::Path::new(program).file_name().unwrap_or_default();
        format!("cannot start {program:?}: {why}; the bridge's log says more")
    }
}
