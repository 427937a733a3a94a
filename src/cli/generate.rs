//! Completions and man pages, made from the clap types, so that they cannot disagree with the program.
//!
//! Owns where each file goes. Talks to the file system for `generate` and `man DIR` only. It never touches a file
//! that it does not make itself.

use std::{
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use clap_complete::{Generator, Shell};
use clap_mangen::{
    Man,
    roff::{Roff, roman},
};

use super::{Error, Task, args, print, usage};

/// Where the committed copies are, from the root of the source tree.
const COMPLETIONS: &str = "completions";
const MAN_PAGES: &str = "completions/man";

/// What `mcp-bridge completions` prints.
pub(super) fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut public(), "mcp-bridge", &mut text);
    match shell {
        Shell::Bash => corrected(text),
        _ => text,
    }
}

/// Of a program with a hyphen, clap's bash script sets `mcp__bridge__subcmd__serve` at the command and then looks for
/// `mcp__subcmd__bridge__subcmd__serve`: past the command it would complete nothing.
fn corrected(text: Vec<u8>) -> Vec<u8> {
    String::from_utf8_lossy(&text).replace("mcp__subcmd__bridge", "mcp__bridge").into_bytes()
}

/// What `mcp-bridge man` prints or writes.
pub(super) fn man(what: Option<&OsStr>) -> Result<Task, Error> {
    let Some(what) = what else { return print(&page("mcp-bridge")?) };
    let known = what.to_str().filter(|name| *name == "mcp-bridge" || public().find_subcommand(name).is_some());
    if let Some(name) = known {
        return print(&page(name)?);
    }
    let dir = Path::new(what);
    if !dir.is_dir() {
        return usage(format!(
            "man {} is neither a command nor a directory; see mcp-bridge --help for the commands",
            dir.display()
        ));
    }
    write(pages()?.into_iter().map(|(name, text)| (dir.join(name), text)).collect())
}

/// Writes every generated file of the source tree.
pub(super) fn write_tree(tree: &Path) -> Result<Task, Error> {
    let pages = tree.join(MAN_PAGES);
    fs::create_dir_all(&pages).map_err(|error| cannot_write(&pages, &error))?;
    let mut files: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for shell in Shell::value_variants() {
        files.push((tree.join(COMPLETIONS).join(shell.file_name("mcp-bridge")), completions(*shell)));
    }
    for (name, text) in self::pages()? {
        files.push((pages.join(name), text));
    }
    write(files)
}

fn write(files: Vec<(PathBuf, Vec<u8>)>) -> Result<Task, Error> {
    for (path, text) in files {
        fs::write(&path, text).map_err(|error| cannot_write(&path, &error))?;
    }
    Ok(Task::Done)
}

fn cannot_write(path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("cannot write {}: {error}; name a directory that can be written to", path.display()))
}

/// The command line without what is not for people. Shells would offer hidden commands.
fn public() -> clap::Command {
    let whole = args::command();
    let mut bare = clap::Command::new("mcp-bridge").disable_help_subcommand(true).subcommand_value_name("COMMAND");
    if let Some(version) = whole.get_version() {
        bare = bare.version(version.to_string());
    }
    bare.subcommands(whole.get_subcommands().filter(|sub| !sub.is_hide_set()).cloned())
}

fn pages() -> Result<Vec<(String, Vec<u8>)>, Error> {
    let command = public();
    let names = command.get_subcommands().map(clap::Command::get_name);
    names.chain(["mcp-bridge"]).map(|name| Ok((file_name(name), page(name)?))).collect()
}

fn file_name(name: &str) -> String {
    match name {
        "mcp-bridge" => "mcp-bridge.1".into(),
        _ => format!("mcp-bridge-{name}.1"),
    }
}

fn page(name: &str) -> Result<Vec<u8>, Error> {
    // Pages name each flag's variable; help states the rule instead.
    let command = args::command().disable_help_subcommand(true);
    let mut command = command.mut_subcommands(|sub| sub.mut_args(|arg| arg.hide_env(false)));
    command.build();
    let command = command.find_subcommand(name).cloned().unwrap_or(command);
    render(command)
        .map_err(|error| Error::Failed(format!("cannot make the man page of {name}: {error}; please report it")))
}

/// Section by section, as the whole would run the lines of the examples and exit codes together.
fn render(command: clap::Command) -> io::Result<Vec<u8>> {
    let notes = command.get_after_help().map(ToString::to_string);
    let has_commands = command.get_subcommands().any(|sub| !sub.is_hide_set());
    let source = format!("mcp-bridge {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).source(source).manual("mcp-bridge");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if has_commands {
        man.render_subcommands_section(&mut text)?;
    }
    if let Some(notes) = notes {
        let mut roff = Roff::new();
        roff.control("SH", ["NOTES"]).control("nf", []);
        for line in notes.lines() {
            roff.text([roman(line)]);
        }
        roff.control("fi", []).to_writer(&mut text)?;
    }
    Ok(text)
}
