//! Where in a file its servers stand, which depends on whose file it is.
//!
//! Owns the table of clients' top-level keys. Pure. It reads every form wherever it stands, and warns where the client
//! whose file this is would not.

use std::{ops::Range, path::Path};

use super::{
    keys,
    problem::{Problem, Text},
    tree::{Member, Node, Value},
};

/// Whose form a server is written in, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The bridge's own, and what most clients have.
    Usual,
    /// `type: http` falls back to SSE in VS Code.
    VsCode,
    /// `{env:NAME}` and a command that is a list.
    OpenCode,
}

/// A server's name and the rest of it, not yet read.
pub(super) struct Found<'f, 't> {
    pub(super) name: String,
    pub(super) at: Range<usize>,
    pub(super) node: &'f Node<'t>,
    pub(super) form: Form,
}

/// All servers of a file, in its order.
pub(super) fn servers<'f, 't>(
    text: &Text<'_>,
    root: &'f Node<'t>,
    is_toml: bool,
) -> Result<Vec<Found<'f, 't>>, Problem> {
    let Some(members) = root.table() else {
        let kind = root.kind();
        return Err(
            text.at(&root.span, format!("a config is an object, and this is {kind}; write {}", example(is_toml)))
        );
    };
    let mut found = Vec::new();
    let mut empty = None;
    for member in members {
        let Some((form, member)) = place(member, is_toml) else { continue };
        let before = found.len();
        collect(text, member, form, &mut found)?;
        empty = empty.or((found.len() == before).then_some(member));
    }
    match (found.is_empty(), empty) {
        (false, _) => Ok(found),
        (true, Some(member)) => {
            let key = &*member.key;
            Err(text.showing(&member.at, format!("{key:?} holds no server; write {}", example(is_toml))))
        }
        (true, None) => Err(none(text, members, is_toml)),
    }
}

fn example(is_toml: bool) -> &'static str {
    match is_toml {
        true => "[servers.<name>] and, below it, command = \"...\" or url = \"...\"",
        false => "{\"mcpServers\": {\"<name>\": {\"command\": \"...\"}}}",
    }
}

/// Whether a top-level key holds servers, and in which form.
fn place<'f, 't>(member: &'f Member<'t>, is_toml: bool) -> Option<(Form, &'f Member<'t>)> {
    match &*member.key {
        "servers" if is_toml => Some((Form::Usual, member)),
        "servers" => Some((Form::VsCode, member)),
        "mcpServers" | "mcp_servers" | "context_servers" => Some((Form::Usual, member)),
        // The settings of VS Code have one level more; in opencode's, `servers` could only be a server's name.
        "mcp" => match member.node.table()?.iter().find(|inner| inner.key == "servers") {
            Some(inner) if !is_server(&inner.node) => Some((Form::VsCode, inner)),
            _ => Some((Form::OpenCode, member)),
        },
        _ => None,
    }
}

fn collect<'f, 't>(
    text: &Text<'_>,
    member: &'f Member<'t>,
    form: Form,
    found: &mut Vec<Found<'f, 't>>,
) -> Result<(), Problem> {
    match &member.node.value {
        Value::Table(servers) => {
            let servers = servers.iter().filter(|server| !server.key.starts_with(['$', '/']));
            found.extend(servers.map(|server| Found {
                name: server.key.to_string(),
                at: server.at.clone(),
                node: &server.node,
                form,
            }));
            Ok(())
        }
        Value::List(servers) => {
            for (number, node) in (1..).zip(servers) {
                let members = node.table().unwrap_or_default();
                let name = members.iter().find(|member| member.key == "name");
                let (at, name) = match name.map(|member| (member, member.node.text())) {
                    Some((member, Some(name))) => (member.node.span.clone(), name.to_string()),
                    Some((member, None)) => (member.node.span.clone(), format!("number {number}")),
                    None => (node.span.clone(), format!("number {number}")),
                };
                found.push(Found { name, at, node, form });
            }
            Ok(())
        }
        Value::Null => Ok(()),
        _ => {
            let (key, kind) = (&*member.key, member.node.kind());
            Err(text
                .at(&member.node.span, format!("{key:?} has to hold servers by name, and is {kind}; write {{...}}")))
        }
    }
}

fn is_server(node: &Node<'_>) -> bool {
    let keys = ["command", "url", "serverUrl", "httpUrl"];
    node.table().is_some_and(|members| members.iter().any(|member| keys.contains(&&*member.key)))
}

/// What to say where nothing holds servers: a misspelt key, servers without a key around them, one server alone.
fn none(text: &Text<'_>, members: &[Member<'_>], is_toml: bool) -> Problem {
    let top = if is_toml { "servers" } else { "mcpServers" };
    for member in members {
        if let Some(near) = near_top(&member.key) {
            let key = &*member.key;
            return text.showing(&member.at, format!("no servers in this file: {key:?} is not read; write {near:?}"));
        }
    }
    if let Some(member) = members.iter().find(|member| is_server(&member.node)) {
        let key = &*member.key;
        return text.showing(
            &member.at,
            format!("no servers in this file: {key:?} looks like one, but servers stand under {top:?}; put it there"),
        );
    }
    if let Some(member) = members.iter().find(|member| ["command", "url"].contains(&&*member.key)) {
        let example = example(is_toml);
        return text.showing(&member.at, format!("no servers in this file: a server needs a name; write {example}"));
    }
    let at = members.first().map_or(0..0, |member| member.at.clone());
    text.at(&at, format!("no servers in this file; write {}", example(is_toml)))
}

/// `mcpservers`, `mcp-servers`, `server`, `McpServer`.
fn near_top(key: &str) -> Option<&'static str> {
    let near = keys::near(&keys::plain(key), ["servers", "mcp_servers", "context_servers"])?;
    Some(match near {
        "mcp_servers" if key != "mcp_server" => "mcpServers",
        near => near,
    })
}

/// Top-level keys that were hardly meant so, and places where the file's own client would not look.
pub(super) fn warnings(file: &Path, text: &Text<'_>, root: &Node<'_>, is_toml: bool, warnings: &mut Vec<Problem>) {
    let members = root.table().unwrap_or_default();
    let own = is_toml && members.iter().any(|member| member.key == "servers");
    for member in members {
        let key = &*member.key;
        if keys::TOP.contains(&key) {
            warnings.extend(unread(file, key).map(|what| text.showing(&member.at, what)));
            continue;
        }
        let near = near_top(key);
        let what = match (key, near) {
            ("defaults" | "aggregate", _) if own => continue,
            ("listen", _) if own => "is not read: flags say where to listen; see mcp-bridge serve --help".into(),
            (_, Some(near)) => format!("is not read; did you mean {near:?}?"),
            // Clients keep much else beside their servers.
            _ if own && !keys::is_of_clients(key) => "is not known and has no effect; remove it".into(),
            _ => continue,
        };
        warnings.push(text.showing(&member.at, format!("the key {key:?} {what}")));
    }
}

/// What a client says nothing about: that it reads another key.
fn unread(file: &Path, key: &str) -> Option<String> {
    let name = file.file_name()?.to_str()?;
    let folder = file.parent().and_then(Path::file_name).and_then(|folder| folder.to_str()).unwrap_or_default();
    let (client, reads) = match (folder, name) {
        (".vscode", "mcp.json") => ("VS Code", "servers"),
        (".cursor", "mcp.json") => ("Cursor", "mcpServers"),
        (_, "mcp_config.json") => ("Windsurf", "mcpServers"),
        (_, "claude_desktop_config.json") => ("Claude Desktop", "mcpServers"),
        (_, ".mcp.json" | ".claude.json") => ("Claude Code", "mcpServers"),
        (".gemini", "settings.json") => ("Gemini CLI", "mcpServers"),
        _ => return None,
    };
    (key != reads)
        .then(|| format!("{client} does not read {key:?}, but {reads:?}; rename it if {client} is to use it too"))
}
