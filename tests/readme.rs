//! The README tells the truth: each of its commands is one, and each flag that it names exists.

use std::{collections::BTreeSet, fs, path::Path, process::Output};

use assert_cmd::Command;

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// What stands between backticks or in a code block and begins with the program's name.
fn commands(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block {
            found.push(line.trim().to_owned());
        } else {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found.retain(|command| command.starts_with("mcp-bridge "));
    found
}

/// Splits as a shell does: spaces part words, single quotes hold them together.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in command.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The files that commands name.
fn files() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let both = format!("{certificate}{key}");
    for (name, text) in [("cert.pem", &certificate), ("key.pem", &key), ("ca.pem", &certificate), ("me.pem", &both)] {
        fs::write(dir.path().join(name), text).unwrap();
    }
    fs::write(dir.path().join("mcp.json"), r#"{"mcpServers": {"a": {"command": "some-server"}}}"#).unwrap();
    dir
}

/// Runs a command of the README where it can do no harm: nothing is found in PATH, stdin is closed, the port is a free
/// one.
fn run(command: &str, dir: &Path) -> Output {
    let home = tempfile::tempdir().unwrap();
    let (home, file) = (home.path().to_str().unwrap(), home.path().join("secret"));
    fs::write(&file, "s").unwrap();
    let command = command
        .replace(" FILE", &format!(" {}", file.display()))
        .replace("<command> --help", "serve --help")
        .replace("-- <command>", "-- some-server")
        .replace("<shell>", "bash");
    let mut words = words(&command);
    words.remove(0);
    let listens = words[0] == "serve" || words[0].split_once("-to-").is_some_and(|(_, output)| output != "stdio");
    if listens && !words.contains(&"--help".into()) {
        words.splice(1..1, ["--port", "0", "--exit-with-stdin"].map(str::to_owned));
    }
    let mut program = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"));
    program.env_clear().envs([
        ("PATH", "/nonexistent"),
        ("HOME", home),
        ("KEY", "k"),
        ("TOKEN", "t"),
        ("NO_COLOR", "1"),
    ]);
    program.current_dir(dir).args(words).timeout(std::time::Duration::from_secs(40)).write_stdin("").output().unwrap()
}

#[test]
fn every_command_is_accepted() {
    let commands = commands(&readme());
    assert!(commands.len() >= 10, "{commands:?}");
    let dir = files();
    for command in commands.iter().filter(|command| cfg!(unix) || !command.contains("--unix")) {
        // A path that the machine has, or not.
        let output = run(&command.replace("/run/mcp/", ""), dir.path());
        let said = String::from_utf8_lossy(&output.stderr);
        // A server that is not installed here is found out after the command line was accepted.
        let absent = output.status.code() == Some(1) && said.contains("not found in PATH");
        // Nor does a bridge run here that could be asked.
        let unasked = command == "mcp-bridge status" && output.status.code() == Some(69);
        // And so is that a server does not exist, by whoever is to log in there.
        let unreachable = output.status.code() == Some(69) && command.contains(" login ");
        assert!(output.status.success() || absent || unasked || unreachable, "{command}: {output:?}");
    }
}

#[test]
fn every_flag_exists() {
    let commands = ["serve", "stdio-to-sse", "stdio-to-http", "connect", "login", "demo-server", "status"];
    let help: String = commands
        .iter()
        .map(|command| {
            let mut program = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"));
            String::from_utf8(program.args([command, "--help"]).output().unwrap().stdout).unwrap()
        })
        .collect();
    let flag = |word: &str| {
        let end = word.find(|c: char| !c.is_ascii_lowercase() && c != '-').unwrap_or(word.len());
        word[..end].to_owned()
    };
    let flags = |text: &str| -> BTreeSet<String> {
        text.split(['`', ' ', '\n', '|', ',', '[']).filter(|word| word.starts_with("--")).map(flag).collect()
    };
    let known = flags(&help);
    assert!(known.contains("--max-message"));
    // Those of other programs.
    let others = ["--release", "--path", "--features", "--open", "--help", "--unix-socket"];
    let own = flags(&readme());
    let own = own.iter().filter(|flag| !flag.trim_matches('-').is_empty() && !others.contains(&flag.as_str()));
    let unknown: Vec<_> = own.filter(|flag| !known.contains(*flag)).collect();
    assert!(unknown.is_empty(), "no command has {unknown:?}");
}

#[test]
fn the_exit_codes_are_those_of_help() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_mcp-bridge"));
    let help = String::from_utf8(program.arg("--help").output().unwrap().stdout).unwrap();
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let readme = readme();
    for line in codes.lines().filter(|line| !line.trim().is_empty()) {
        let code = line.split_whitespace().next().unwrap();
        assert!(readme.contains(&format!("{code} ")), "README.md does not tell of exit code {code}");
    }
}
