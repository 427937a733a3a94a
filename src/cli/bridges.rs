//! The commands that carry messages, made from the table of wires: one for each pair, and two that take any server.
//!
//! Owns their names, their help, and which flags each one has. Talks to clap and reads the table. It never checks how
//! flags go together; `resolve` does.

use std::{fmt::Write as _, path::PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Args as _, FromArgMatches as _, ValueHint, builder::PossibleValuesParser};

use super::{
    args::{NetworkArgs, RemoteArgs, ServerArgs, SharedArgs},
    values,
};
use crate::{
    aggregate::Template,
    config::{Output, RemoteTransport, check},
    wire::{self, Listed, WIRES},
};

/// What a bridge can have behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// A command that it starts.
    Command,
    /// A URL, over this transport.
    Url(RemoteTransport),
    /// Either.
    Any,
}

/// One command that carries messages.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) name: String,
    about: String,
    pub(super) source: Source,
    /// The wires that are served. None: the bridge is a stdio server itself.
    pub(super) outputs: Vec<&'static Listed>,
    /// Whether `--output` chooses among them, and `--config` names the servers.
    chooses: bool,
}

/// What was typed for one.
#[derive(Debug)]
pub(super) struct Typed {
    pub(super) url: Option<String>,
    /// A file of servers.
    pub(super) config: Option<PathBuf>,
    /// Whether to say only what would be done.
    pub(super) dry_run: bool,
    /// `--aggregate`.
    pub(super) aggregate: bool,
    /// `--aggregate-prefix`.
    pub(super) aggregate_prefix: Template,
    /// `None` where the command starts no server.
    pub(super) server: Option<ServerArgs>,
    /// `None` where the command reaches no server.
    pub(super) remote: Option<RemoteArgs>,
    /// `None` where the bridge is a stdio server.
    pub(super) network: Option<(NetworkArgs, Vec<Output>)>,
    pub(super) shared: SharedArgs,
}

const ABOUT_COMMAND: &str = "\
Everything after -- is the server's command, argument by argument; no shell is involved.

In --env, --env-file and --cwd, ${VAR} and ${VAR:-default} come from the environment; $${ is a
literal ${.";

const ABOUT_URL: &str = "\
In --header and --bearer, ${VAR} and ${VAR:-default} come from the environment; $${ is a literal ${.
Use it for secrets: every user of a machine can read its command lines.";

const ABOUT_SOCKET: &str = "\
unix:/path/to.sock reaches a server on a Unix socket, unix:/path/to.sock:/path at another path than
the usual one.";

const ABOUT_CONFIG: &str = "\
--config reads TOML (servers.<name>) and the files of MCP clients as they are (mcpServers, servers).
Each server is at /servers/<name>/, the one named default at the root, too; flags about servers
count for those that do not say otherwise. A change of the file or SIGHUP reads it again.";

const ABOUT_VARIABLES: &str = "\
Every flag is also a variable: --max-message is MCP_BRIDGE_MAX_MESSAGE. What is typed wins. Of flags
that can be given several times, the variables of --env, --env-file, --header, --header-env and
--claim-env have a value a line; in the others, commas separate values.";

/// All of them, in the order of `--help`.
pub(super) fn all() -> Vec<Bridge> {
    let outputs: Vec<_> = wire::served().collect();
    let titles = listed(outputs.iter().map(|output| output.title));
    let mut all = vec![
        Bridge {
            name: "serve".into(),
            about: format!("Serve a command or a URL over {titles} at once"),
            source: Source::Any,
            outputs,
            chooses: true,
        },
        Bridge {
            name: "connect".into(),
            about: "Be a stdio server in front of a URL, whatever transport it speaks, or of a command".into(),
            source: Source::Any,
            outputs: Vec::new(),
            chooses: false,
        },
    ];
    for source in WIRES {
        let others = WIRES.iter().filter(|output| output.wire != source.wire);
        all.extend(others.map(|output| Bridge::between(source, output)));
    }
    all
}

/// The one of this name.
pub(super) fn find(name: &str) -> Option<Bridge> {
    all().into_iter().find(|bridge| bridge.name == name)
}

/// `a, b and c`.
fn listed<'a>(words: impl Iterator<Item = &'a str>) -> String {
    let mut words: Vec<_> = words.collect();
    let last = words.pop().unwrap_or_default();
    if words.is_empty() { last.into() } else { format!("{} and {last}", words.join(", ")) }
}

impl Bridge {
    fn between(source: &'static Listed, output: &'static Listed) -> Bridge {
        let served = !output.paths.is_empty();
        let about = match (source.reaches, served) {
            (None, _) => format!("Serve a stdio server over {}", output.title),
            (Some(_), false) => format!("Be a stdio server that reaches a remote one over {}", source.title),
            (Some(_), true) => format!("Serve a remote {} server over {}", source.title, output.title),
        };
        Bridge {
            name: format!("{}-to-{}", source.word, output.word),
            about,
            source: source.reaches.map_or(Source::Command, Source::Url),
            outputs: if served { vec![output] } else { Vec::new() },
            chooses: false,
        }
    }

    /// Whether a command can stand behind `--`.
    pub(super) fn starts(&self) -> bool {
        !matches!(self.source, Source::Url(_))
    }

    /// Whether it takes a URL.
    pub(super) fn reaches(&self) -> bool {
        self.source != Source::Command
    }

    /// How the URLs that it takes begin.
    pub(super) fn schemes(&self) -> Vec<&'static str> {
        let fits = |listed: &&Listed| match self.source {
            Source::Command => false,
            Source::Url(transport) => listed.reaches == Some(transport),
            Source::Any => true,
        };
        let mut schemes = Vec::new();
        for scheme in WIRES.iter().filter(fits).flat_map(|listed| listed.schemes) {
            if !schemes.contains(scheme) {
                schemes.push(*scheme);
            }
        }
        schemes
    }

    /// For clap.
    pub(super) fn command(&self) -> clap::Command {
        let mut command = clap::Command::new(self.name.clone());
        if self.reaches() {
            let url = Arg::new("url").value_name("URL").value_hint(ValueHint::Url).required(!self.starts());
            command = command.arg(url.help(format!("Where the server is: {}, with its path", self.beginnings())));
        }
        if self.starts() {
            command = ServerArgs::augment_args(command);
        }
        if self.reaches() {
            command = RemoteArgs::augment_args(command);
        }
        if !self.outputs.is_empty() {
            command = NetworkArgs::augment_args(command).args(self.outputs.iter().flat_map(|output| paths(output)));
        }
        if self.chooses {
            let words = self.outputs.iter().map(|output| output.word);
            let output = Arg::new("output").short('o').long("output").value_name("WIRE").help_heading("Listening");
            let output =
                output.value_delimiter(',').action(ArgAction::Append).value_parser(PossibleValuesParser::new(words));
            command = command.arg(output.help("Serve over these wires only, separated by commas (default: all)"));
            let config = Arg::new("config").long("config").value_name("FILE").value_hint(ValueHint::FilePath);
            let config = config.value_parser(clap::value_parser!(PathBuf)).help_heading("Server");
            command = command.arg(config.help("Serve the servers of this file instead of one (default: none)"));
            let whole = Arg::new("aggregate").long("aggregate").action(ArgAction::SetTrue).help_heading("Server");
            let whole = whole.value_parser(values::switch);
            command = command.arg(whole.help("Offer all servers of --config as one at the root, too (default: off)"));
            let prefix = Arg::new("aggregate_prefix").long("aggregate-prefix").value_name("TEMPLATE");
            let prefix = prefix.value_parser(Template::parse).default_value("{name}_").help_heading("Server");
            command = command.arg(prefix.help("What stands before the names of a server's tools and prompts there"));
            let dry_run = Arg::new("dry_run").long("dry-run").action(ArgAction::SetTrue).help_heading("Server");
            let dry_run = dry_run.value_parser(values::switch);
            command = command.arg(dry_run.help("Print what would be started and reached, and end, with exit code 1 if servers of --config would be left out (default: off)"));
        }
        // Last: each group of flags says what it is as if it were a command.
        let command = SharedArgs::augment_args(command).about(self.about.clone());
        command.override_usage(self.usage()).after_help(self.notes())
    }

    fn usage(&self) -> String {
        let (name, mut usage) = (&self.name, Vec::new());
        if self.reaches() {
            usage.push(format!("mcp-bridge {name} [OPTIONS] <URL>"));
        }
        if self.starts() {
            usage.push(format!("mcp-bridge {name} [OPTIONS] -- <COMMAND> [ARGS]..."));
            usage.push(format!("mcp-bridge {name} [OPTIONS] --shell <LINE>"));
            usage.push(format!("mcp-bridge {name} [OPTIONS] --demo"));
        }
        if self.chooses {
            usage.push(format!("mcp-bridge {name} [OPTIONS] --config <FILE>"));
        }
        usage.join("\n       ")
    }

    fn notes(&self) -> String {
        let mut notes = String::new();
        let about = [(self.starts(), ABOUT_COMMAND), (self.reaches(), ABOUT_URL)];
        for (_, note) in about.into_iter().filter(|(fits, _)| *fits) {
            let _ = write!(notes, "{note}\n\n");
        }
        if self.schemes().contains(&"unix") {
            let _ = write!(notes, "{ABOUT_SOCKET}\n\n");
        }
        if self.chooses {
            let _ = write!(notes, "{ABOUT_CONFIG}\n\n");
        }
        notes + ABOUT_VARIABLES
    }

    /// `http:// or https://`: what people write; see the notes for the rest.
    pub(super) fn beginnings(&self) -> String {
        check::beginnings(self.schemes())
    }

    /// What was typed for this command.
    pub(super) fn read(&self, matches: &ArgMatches) -> Result<Typed, clap::Error> {
        let url = if self.reaches() { matches.get_one::<String>("url").cloned() } else { None };
        let server = self.starts().then(|| ServerArgs::from_arg_matches(matches)).transpose()?;
        let remote = self.reaches().then(|| RemoteArgs::from_arg_matches(matches)).transpose()?;
        let network = (!self.outputs.is_empty()).then(|| NetworkArgs::from_arg_matches(matches)).transpose()?;
        let network = network.map(|network| (network, self.chosen(matches)));
        let config = if self.chooses { matches.get_one("config").cloned() } else { None };
        let dry_run = self.chooses && matches.get_flag("dry_run");
        let aggregate = self.chooses && matches.get_flag("aggregate");
        let prefix = if self.chooses { matches.get_one::<Template>("aggregate_prefix").cloned() } else { None };
        let aggregate_prefix = prefix.unwrap_or_default();
        Ok(Typed {
            url,
            config,
            dry_run,
            aggregate,
            aggregate_prefix,
            server,
            remote,
            network,
            shared: SharedArgs::from_arg_matches(matches)?,
        })
    }

    /// The wires that are asked for, at their paths.
    fn chosen(&self, matches: &ArgMatches) -> Vec<Output> {
        let words: Option<Vec<&String>> =
            if self.chooses { matches.get_many("output").map(Iterator::collect) } else { None };
        let wanted =
            |output: &&&Listed| words.as_ref().is_none_or(|words| words.iter().any(|word| *word == output.word));
        let path = |flag: &str| matches.get_one::<String>(&id(flag)).cloned().unwrap_or_default();
        let output = |output: &&'static Listed| Output {
            wire: output.wire,
            paths: output.paths.iter().map(|place| path(place.flag)).collect(),
        };
        self.outputs.iter().filter(wanted).map(output).collect()
    }
}

/// The flags for the paths of a wire.
fn paths(output: &Listed) -> impl Iterator<Item = Arg> {
    output.paths.iter().map(|place| {
        Arg::new(id(place.flag))
            .long(place.flag)
            .value_name("PATH")
            .default_value(place.usual)
            .value_parser(values::path)
            .help(place.help)
            .help_heading("Listening")
    })
}

/// A flag's id, as clap's derive would make it.
pub(super) fn id(flag: &str) -> String {
    flag.replace('-', "_")
}
