//! Logging: one line an event, on stderr.
//!
//! Owns the subscriber, and the form of what is no event of the bridge's own: the announcement, and what servers write to
//! their stderr. Talks to stderr. It never writes to stdout, which belongs to frames, and never shows what dependencies
//! log below a warning: some of them log headers.

use std::{fmt, io, io::Write};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    filter::Targets,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format as Lines, Full, Writer},
        time::{FormatTime, SystemTime},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

/// The target of what a server writes to its stderr. In the text form its lines start with the server's name.
pub(crate) const SERVER: &str = "mcp_bridge::server";

/// The target of the address that is listened on. Shown at every level: scripts that ask for port 0 read it.
pub(crate) const LISTENING: &str = "mcp_bridge::listening";

/// The target of what can be pasted into clients. For people: the text form has it, unless quiet.
pub(crate) const ENTRIES: &str = "mcp_bridge::entries";

/// What is logged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Logging {
    /// The least level that is logged.
    pub level: Level,
    /// Whether all that is said at the start is the address.
    pub quiet: bool,
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
        let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_target(false);
        let registry = tracing_subscriber::registry().with(self.filter());
        // An error means that one is set already.
        let _ = match self.format {
            Format::Text => registry.with(lines.with_ansi(self.ansi).map_event_format(Text)).try_init(),
            Format::Json => registry.with(lines.json().flatten_event(true).with_ansi(false)).try_init(),
        };
    }

    /// A plain list of targets: the filter language of `EnvFilter` brings a regex engine, and takes longer to start.
    fn filter(self) -> Targets {
        let entries = match self.format {
            Format::Text if !self.quiet => LevelFilter::INFO,
            Format::Text | Format::Json => LevelFilter::OFF,
        };
        Targets::new()
            .with_target("mcp_bridge", self.level)
            .with_target(LISTENING, LevelFilter::INFO)
            .with_target(ENTRIES, entries)
            // Any client can provoke their warnings, as often as it likes.
            .with_targets(["h2", "hyper", "hyper_util"].map(|target| (target, LevelFilter::ERROR)))
            // Its requests are told by our own names, and its debug lines hold codes.
            .with_target("rmcp", LevelFilter::OFF)
            .with_default(LevelFilter::from_level(self.level.min(Level::WARN)))
    }

    /// The last word of a failed run.
    pub fn fatal(self, error: &dyn fmt::Display) {
        match self.format {
            // As the command line's own errors look: whoever typed the command reads it.
            Format::Text => {
                let _ = writeln!(io::stderr(), "mcp-bridge: {}", flat(&error.to_string()));
            }
            Format::Json => tracing::error!("{error}"),
        }
    }
}

/// One line, whatever is in it: control characters are shown escaped.
pub(crate) fn flat(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// The text form: the usual lines, but for what is not the bridge's own.
struct Text(Lines<Full>);

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let words = || {
            let mut words = Words::default();
            event.record(&mut words);
            words
        };
        match event.metadata().target() {
            LISTENING => writeln!(out, "mcp-bridge: {}", flat(&words().message)),
            ENTRIES => writeln!(out, "{}", words().message),
            SERVER => {
                let Words { name, message } = words();
                SystemTime.format_time(&mut out)?;
                writeln!(out, " {:>5} {name}| {message}", event.metadata().level())
            }
            _ => self.0.format_event(context, out, event),
        }
    }
}

/// What the special forms are made of.
#[derive(Default)]
struct Words {
    name: String,
    message: String,
}

impl Visit for Words {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            self.name = value.into();
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}
