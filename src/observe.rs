//! Logging: one line an event, on stderr.
//!
//! Owns the subscriber. Talks to stderr. It never writes to stdout, which belongs to frames, and never shows what
//! dependencies log below a warning: some of them log headers.

use std::{fmt, io, io::Write};

use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// The least level that is logged.
    pub level: Level,
    /// The form of a line.
    pub format: Format,
    /// Whether text is coloured.
    pub ansi: bool,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Time, level, spans, message, fields.
    Text,
    /// One JSON object.
    Json,
}

impl Logging {
    /// Sets the process's subscriber. A second call changes nothing.
    pub fn start(self) {
        // A plain list of targets: the filter language of `EnvFilter` brings a regex engine, and takes longer to start.
        let filter = Targets::new()
            .with_target("mcp_bridge", self.level)
            .with_default(LevelFilter::from_level(self.level.min(Level::WARN)));
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
        let registry = tracing_subscriber::registry().with(filter);
        // An error means that one is set already.
        let _ = match self.format {
            Format::Text => registry.with(lines.with_ansi(self.ansi)).try_init(),
            Format::Json => registry.with(lines.json().flatten_event(true).with_ansi(false)).try_init(),
        };
    }

    /// The last word of a failed run.
    pub fn fatal(self, error: &dyn fmt::Display) {
        match self.format {
            // As the command line's own errors look: whoever typed the command reads it.
            Format::Text => {
                let _ = writeln!(io::stderr(), "mcp-bridge: {error}");
            }
            Format::Json => tracing::error!("{error}"),
        }
    }
}
