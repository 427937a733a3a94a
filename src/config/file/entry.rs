//! One server of a file.
//!
//! Owns what decides between a server that is started and one at a URL, and what is sent to the latter. Pure. Whatever is
//! wrong makes this server bad, and no other.

use http::{HeaderMap, HeaderValue, header};

use super::{
    Entry, Reach, Remote, Server,
    keys::{self, KNOWN},
    launch::Launch,
    places::{Form, Found},
    problem::Problem,
    settings::{For, Settings, choice},
    table::Table,
    tree::{Member, Value},
    value::Values,
};
use crate::{
    config::{
        RemoteTransport, ServerName,
        check::{self, UrlFault},
        tools::{Glob, ToolFilter},
    },
    wire::{Listed, WIRES},
};

/// What `type` and `transport` say in clients besides the bridge's own words for its wires, and which of these is meant.
const ALIASES: [(&str, &str); 6] = [
    ("local", "stdio"),
    ("streamable-http", "http"),
    ("streamableHttp", "http"),
    ("streamable_http", "http"),
    ("websocket", "ws"),
    ("wss", "ws"),
];

/// What leaves open how a URL is reached.
const OPEN: [&str; 2] = ["remote", "auto"];

/// What `type` and `transport` can say, and what it comes to: a transport, or `None` for a server that is started.
fn types() -> Vec<(&'static str, Option<RemoteTransport>)> {
    let of = |word: &str| WIRES.iter().find(|listed| listed.word == word).map(|listed: &Listed| listed.reaches);
    let own = WIRES.iter().map(|listed| (listed.word, listed.reaches));
    let others = ALIASES.iter().filter_map(|(word, wire)| Some((*word, of(wire)?)));
    own.chain(others).chain(OPEN.map(|word| (word, Some(RemoteTransport::Auto)))).collect()
}

pub(super) fn read(
    values: &Values<'_, '_>,
    found: &Found<'_, '_>,
    defaults: &Settings,
    warnings: &mut Vec<Problem>,
) -> Entry {
    let name = found.name.clone();
    let who = format!("server {name:?}: ");
    let Some(members) = found.node.table() else {
        let kind = found.node.kind();
        let what = format!("{who}a server is a table with a command or a url, and this is {kind}; write one");
        return Entry::Bad { name, why: values.text.at(&found.node.span, what) };
    };
    let table = match Table::new(values.text, who, members) {
        Ok(table) => table,
        Err(why) => return Entry::Bad { name, why },
    };
    let one = One { values, table: &table, form: found.form };
    let read = match one.is_disabled() {
        Ok(true) => return Entry::Disabled { name },
        Ok(false) => one.server(found, defaults, warnings),
        Err(why) => Err(why),
    };
    // Of a bad server, not all keys were asked for.
    table.leftovers(&KNOWN, read.is_ok(), warnings);
    match read {
        Ok(server) => Entry::Server(Box::new(server)),
        Err(why) => Entry::Bad { name, why },
    }
}

struct One<'v, 'f, 't> {
    values: &'v Values<'f, 't>,
    table: &'v Table<'f, 't>,
    form: Form,
}

impl<'v, 'f, 't> One<'v, 'f, 't> {
    fn is_disabled(&self) -> Result<bool, Problem> {
        let disabled = self.table.bool("disabled")?.unwrap_or(false);
        let enabled = self.table.bool("enabled")?.unwrap_or(true);
        Ok(disabled || !enabled)
    }

    fn server(
        &self,
        found: &Found<'_, '_>,
        defaults: &Settings,
        warnings: &mut Vec<Problem>,
    ) -> Result<Server, Problem> {
        let table = self.table;
        let name = ServerName::new(&found.name)
            .map_err(|error| table.text.showing(&found.at, format!("{}{error}", table.who)))?;
        table.get("name");
        let wanted = self.kind()?;
        let command = table.member("command");
        let url = table.one_of(&["url", "server_url", "http_url"])?;
        let (reach, settings) = match (command, url, wanted) {
            (Some(command), Some(url), _) => return Err(table.both(command, url)),
            (Some(command), None, Some((member, Some(_)))) => return Err(self.unfit(member, "url", command)),
            (None, Some(url), Some((member, None))) => return Err(self.unfit(member, "command", url)),
            (Some(command), None, _) => {
                let settings = Settings::read(table, For::Child, defaults)?;
                let launch = Launch { values: self.values, table, form: self.form };
                (Reach::Child(launch.child(command, &settings, warnings)?), settings)
            }
            (None, Some(url), wanted) => {
                let transport = wanted.and_then(|(_, transport)| transport).unwrap_or(RemoteTransport::Auto);
                let settings = Settings::read(table, For::Remote, defaults)?;
                (Reach::Remote(self.remote(url, transport)?), settings)
            }
            (None, None, _) => return Err(self.nothing(found)),
        };
        let line = table.text.line_of(found.at.start);
        Ok(Server { name, line, reach, settings, tools: self.tools()? })
    }

    /// What `type` says: a transport, or `None` for a server that is started.
    fn kind(&self) -> Result<Option<(&'f Member<'t>, Option<RemoteTransport>)>, Problem> {
        let Some(member) = self.table.one_of(&["type", "transport"])? else { return Ok(None) };
        let types = types();
        let words: Vec<&str> = types.iter().map(|(word, _)| *word).collect();
        let place = choice(self.table, member, &words)?;
        let transport = types.get(place).and_then(|(_, transport)| *transport);
        match (self.form, transport) {
            // It tries Streamable HTTP first and SSE after that, whatever the file says.
            (Form::VsCode, Some(RemoteTransport::Http)) => Ok(Some((member, Some(RemoteTransport::Auto)))),
            _ => Ok(Some((member, transport))),
        }
    }

    fn unfit(&self, member: &Member<'_>, wants: &str, has: &Member<'_>) -> Problem {
        let (key, shown, has) = (&*member.key, member.node.text().unwrap_or_default(), &*has.key);
        self.table
            .open(member, format!("{key:?} is {shown:?}, which takes {wants:?}, and {has:?} is given; change one"))
    }

    /// Neither a command nor a URL: a slip in the one key that has to be there, or another client's way.
    fn nothing(&self, found: &Found<'_, '_>) -> Problem {
        let table = self.table;
        let members = found.node.table().unwrap_or_default();
        let extension = members.iter().find(|member| member.key == "source" && member.node.text() == Some("extension"));
        if let Some(member) = extension {
            return table.problem(member, "an extension of Zed starts it; write the command that it starts");
        }
        let meant = members.iter().find_map(|member| {
            let near = keys::near(&keys::plain(&member.key), ["command", "url", "server_url", "http_url"])?;
            Some((member, near))
        });
        match meant {
            Some((member, near)) => {
                let key = &*member.key;
                table.problem(member, format!("{key:?} is not known; did you mean {near:?}?"))
            }
            None => {
                let what = format!("{}it has neither a command nor a url; write one of them", table.who);
                table.text.showing(&found.at, what)
            }
        }
    }

    fn remote(&self, member: &'f Member<'t>, transport: RemoteTransport) -> Result<Remote, Problem> {
        let key = &*member.key;
        self.table.text_of(member, "\"https://example.com/mcp\"")?;
        let text = self.values.expanded(self.table, self.form, &member.node, &format!("{key:?}"))?;
        let place = check::place(&text, Some(transport)).map_err(|fault| self.url_fault(member, &text, fault))?;
        let socket = place.socket.map(|socket| self.values.source.dir.join(socket));
        Ok(Remote { url: place.url, socket, transport: place.transport, headers: self.headers()? })
    }

    fn url_fault(&self, member: &Member<'_>, text: &str, fault: UrlFault) -> Problem {
        let key = &*member.key;
        let what = match fault {
            UrlFault::Scheme => match text.split_once(':') {
                Some((scheme, _)) if check::looks_like_url(text) => {
                    format!("{key:?} starts with {scheme}:, which is not of the type that is given; leave the type out")
                }
                Some((scheme, rest)) if rest.starts_with("//") && scheme.len() <= 16 => {
                    let beginnings = check::beginnings(WIRES.iter().flat_map(|listed| listed.schemes).copied());
                    format!("{key:?} has the unknown scheme {scheme:?}; write {beginnings}")
                }
                _ => format!("{key:?} has no scheme; write it as in \"https://example.com/mcp\""),
            },
            UrlFault::Unreadable(error) => {
                format!("{key:?} cannot be read: {error}; write it as in \"https://example.com/mcp\"")
            }
            UrlFault::Credentials => format!(
                "{key:?} holds a user name or password, which logs would show; write \"headers\": {{\"Authorization\": \
                 \"${{VALUE}}\"}}"
            ),
            UrlFault::Fragment => {
                format!("{key:?} has a fragment, which servers never see; leave out # and what follows")
            }
            UrlFault::NoSocket => format!("{key:?} names no socket; write it as in \"unix:/run/mcp.sock\""),
            UrlFault::NoSockets => {
                format!("{key:?} needs a system that has Unix sockets; reach the server over http:// or https://")
            }
        };
        self.table.wrong(&member.node, what)
    }

    fn headers(&self) -> Result<HeaderMap<HeaderValue>, Problem> {
        let table = self.table;
        let mut headers = HeaderMap::new();
        let example = "{\"X-Api-Key\": \"${KEY}\"}";
        if let Some(member) = table.one_of(&["headers", "http_headers"])? {
            self.header_values(table.members(member, example)?, &mut headers)?;
        }
        // Continue puts them one level down.
        if let Some(member) = table.member("request_options") {
            let inner = table.members(member, example)?.iter().find(|inner| inner.key == "headers");
            let inner = inner.map(|inner| table.members(inner, example)).transpose()?;
            self.header_values(inner.unwrap_or_default(), &mut headers)?;
        }
        if let Some(member) = table.member("env_http_headers") {
            for header in table.members(member, "{\"X-Api-Key\": \"NAME_OF_A_VARIABLE\"}")? {
                let value = self.variable(header)?;
                self.header(header, &value, &mut headers)?;
            }
        }
        self.bearer(&mut headers)?;
        Ok(headers)
    }

    fn header_values(&self, members: &[Member<'_>], headers: &mut HeaderMap<HeaderValue>) -> Result<(), Problem> {
        for header in members {
            if header.node.text().is_none() {
                return Err(self.table.kind(header, "text", "\"${VALUE}\""));
            }
            let what = format!("header {}", &*header.key);
            let value = self.values.expanded(self.table, self.form, &header.node, &what)?;
            self.header(header, &value, headers)?;
        }
        Ok(())
    }

    fn header(&self, member: &Member<'_>, value: &str, headers: &mut HeaderMap<HeaderValue>) -> Result<(), Problem> {
        let name = check::header_name(&member.key).map_err(|why| self.table.problem(member, why))?;
        let wrong = |why| self.table.wrong(&member.node, format!("header {name}: {why}"));
        let value = check::header_value(value).map_err(wrong)?;
        match headers.insert(name.clone(), value) {
            None => Ok(()),
            Some(_) => Err(self.table.problem(member, format!("header {name} is given twice; leave one out"))),
        }
    }

    fn bearer(&self, headers: &mut HeaderMap<HeaderValue>) -> Result<(), Problem> {
        let Some(member) = self.table.one_of(&["bearer", "bearer_token_env_var"])? else { return Ok(()) };
        let key = &*member.key;
        let token = match keys::plain(key).as_str() {
            "bearer" => {
                self.table.text_of(member, "\"${TOKEN}\"")?;
                self.values.expanded(self.table, self.form, &member.node, "\"bearer\"")?
            }
            _ => self.variable(member)?,
        };
        let value = check::bearer(&token).map_err(|why| self.table.wrong(&member.node, format!("{key:?} {why}")))?;
        match headers.insert(header::AUTHORIZATION, value) {
            None => Ok(()),
            Some(_) => Err(self
                .table
                .problem(member, format!("both {key:?} and the header Authorization are given; leave one out"))),
        }
    }

    /// The value of the variable that a value names.
    fn variable(&self, member: &Member<'_>) -> Result<String, Problem> {
        let name = member.node.text().unwrap_or_default();
        let key = &*member.key;
        if !crate::config::expand::is_name(name) {
            return Err(self
                .table
                .wrong(&member.node, format!("{key:?} has to be a variable's name; write \"API_KEY\"")));
        }
        crate::config::expand::value_of(name, self.values.source.env)
            .map_err(|error| self.table.wrong(&member.node, format!("{key:?}: {error}")))
    }

    fn tools(&self) -> Result<ToolFilter, Problem> {
        let table = self.table;
        let allow = table.one_of(&["include_tools", "enabled_tools"])?;
        let deny = table.one_of(&["exclude_tools", "disabled_tools"])?;
        let own = table.member("tools");
        if let (Some(own), Some(other)) = (own, allow.or(deny)) {
            return Err(table.both(other, own));
        }
        match own.map(|own| (own, &own.node.value)) {
            Some((own, Value::List(_))) => Ok(ToolFilter { allow: Some(self.globs(table, own)?), deny: Vec::new() }),
            Some((_, Value::Table(members))) => {
                let inner = Table::new(table.text, format!("{}tools: ", table.who), members)?;
                let allow = inner.member("allow").map(|member| self.globs(&inner, member)).transpose()?;
                let deny = inner.member("deny").map(|member| self.globs(&inner, member)).transpose()?;
                // A misspelt rule must not leave a tool open.
                let unknown =
                    members.iter().find(|member| !["allow", "deny"].contains(&keys::plain(&member.key).as_str()));
                match unknown {
                    Some(member) => {
                        let key = &*member.key;
                        Err(inner.problem(member, format!("{key:?} is not known; write \"allow\" or \"deny\"")))
                    }
                    None => Ok(ToolFilter { allow, deny: deny.unwrap_or_default() }),
                }
            }
            Some((own, _)) => Err(table.kind(own, "a table", "{\"allow\": [\"read_*\"], \"deny\": [\"*_all\"]}")),
            None => Ok(ToolFilter {
                allow: allow.map(|member| self.globs(table, member)).transpose()?,
                deny: deny.map(|member| self.globs(table, member)).transpose()?.unwrap_or_default(),
            }),
        }
    }

    fn globs(&self, table: &Table<'f, 't>, member: &'f Member<'t>) -> Result<Vec<Glob>, Problem> {
        let nodes = table.texts(member, "[\"read_*\"]")?;
        Ok(nodes.into_iter().filter_map(|node| node.text()).map(Glob::new).collect())
    }
}
