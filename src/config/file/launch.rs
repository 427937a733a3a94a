//! A server that is started: its command, its environment, its directory.
//!
//! Owns the forms that clients write these in. Pure. It never looks up the program, and never reads a file of variables.

use std::fmt;

use http::HeaderName;

use super::{
    Child,
    places::Form,
    problem::Problem,
    settings::{Children, Settings},
    table::Table,
    tree::{Member, Node, Value},
    value::Values,
};
use crate::config::{
    Secret,
    check::{self, looks_like_url},
    expand::is_name,
};

/// What stands in the file for one server that is started.
pub(super) struct Launch<'v, 'f, 't> {
    pub(super) values: &'v Values<'f, 't>,
    pub(super) table: &'v Table<'f, 't>,
    pub(super) form: Form,
}

const EXAMPLE: &str = "\"command\": \"npx\", \"args\": [\"-y\", \"<package>\"]";

impl<'f, 't> Launch<'_, 'f, 't> {
    pub(super) fn child(
        &self,
        command: &'f Member<'t>,
        settings: &Settings,
        warnings: &mut Vec<Problem>,
    ) -> Result<Child, Problem> {
        // Older files of Zed have a table: path, args, env.
        let inner = match command.node.table() {
            Some(members) => Some(Table::new(self.table.text, self.table.who.clone(), members)?),
            None => None,
        };
        let argv = self.argv(command, inner.as_ref(), warnings)?;
        let mut words = argv.iter();
        let Some(first) = words.next() else {
            return Err(self.table.wrong(&command.node, format!("{:?} is empty; write {EXAMPLE}", &*command.key)));
        };
        let program = self.program(command, first)?;
        let args = words.map(|node| self.values.expanded(self.table, self.form, node, "\"args\""));
        let args = args.map(|text| text.map(Secret::new)).collect::<Result<_, _>>()?;
        let written = argv.iter().filter_map(|node| node.text().map(String::from)).collect();
        Ok(Child {
            program: program.into(),
            args,
            written,
            env: self.env(inner.as_ref())?,
            env_files: self.env_files()?,
            cwd: self.table.member("cwd").map(|member| self.path(member, &member.node)).transpose()?,
            header_env: self.header_env(settings)?,
            claim_env: self.claim_env(settings)?,
        })
    }

    /// Program and arguments as they stand in the file.
    fn argv(
        &self,
        command: &'f Member<'t>,
        inner: Option<&Table<'f, 't>>,
        warnings: &mut Vec<Problem>,
    ) -> Result<Vec<&'f Node<'t>>, Problem> {
        let mut argv = match (inner, &command.node.value) {
            (Some(inner), _) => {
                let Some(path) = inner.member("path") else {
                    return Err(self.table.kind(command, "text", EXAMPLE));
                };
                inner.text_of(path, EXAMPLE)?;
                vec![&path.node]
            }
            (None, Value::List(_)) => self.table.texts(command, "[\"npx\", \"-y\", \"<package>\"]")?,
            (None, _) => {
                self.table.text_of(command, EXAMPLE)?;
                vec![&command.node]
            }
        };
        let outer = self.table.member("args");
        if let Some(args) = inner.and_then(|inner| inner.member("args")).or(outer) {
            argv.extend(self.table.texts(args, "[\"-y\", \"<package>\"]")?);
        }
        if let [only] = argv.as_slice() {
            warnings.extend(self.one_word(command, only));
        }
        Ok(argv)
    }

    /// `"command": "npx -y server"` is looked for as a program of that name.
    fn one_word(&self, command: &Member<'_>, node: &Node<'_>) -> Option<Problem> {
        let (first, _) = node.text()?.split_once(' ')?;
        let path = first.contains(['/', '\\', '$']) || first.is_empty();
        let why = format!(
            "the whole of {:?} is the program's name, spaces included; put what comes after {first:?} into \"args\"",
            &*command.key
        );
        (!path).then(|| self.table.problem(command, why))
    }

    fn program(&self, command: &Member<'_>, node: &Node<'_>) -> Result<String, Problem> {
        let key = &*command.key;
        let program = self.values.expanded(self.table, self.form, node, &format!("{key:?}"))?;
        if program.is_empty() {
            return Err(self.table.wrong(node, format!("{key:?} is empty; write {EXAMPLE}")));
        }
        if looks_like_url(&program) {
            return Err(self
                .table
                .wrong(node, format!("{key:?} is a URL, which nothing can start; write \"url\" instead")));
        }
        let is_path = program.contains('/') || (cfg!(windows) && program.contains('\\'));
        if !is_path {
            return Ok(program);
        }
        let path = self.path(command, node)?;
        path.to_str().map(String::from).ok_or_else(|| {
            self.table.wrong(node, "the directory of the file is not UTF-8; write an absolute path".to_string())
        })
    }

    fn path(&self, member: &Member<'_>, node: &Node<'_>) -> Result<std::path::PathBuf, Problem> {
        if node.text().is_none() {
            return Err(self.table.kind(member, "text", "a path"));
        }
        self.values.path(self.table, self.form, member, node)
    }

    fn env(&self, inner: Option<&Table<'f, 't>>) -> Result<Vec<(String, Secret)>, Problem> {
        let outer = self.table.one_of(&["env", "environment"])?;
        let Some(member) = inner.and_then(|inner| inner.member("env")).or(outer) else { return Ok(Vec::new()) };
        let mut env = Vec::new();
        for variable in self.table.members(member, "{\"NAME\": \"value\"}")? {
            let (name, node) = (&*variable.key, &variable.node);
            let value = match &node.value {
                // What the file shows as a number or a switch is text to the server.
                Value::Number(number) => number.to_string(),
                Value::Bool(value) => value.to_string(),
                Value::Text(_) => self.values.expanded(self.table, self.form, node, &format!("env {name}"))?,
                _ => {
                    let kind = node.kind();
                    return Err(self
                        .table
                        .wrong(node, format!("env {name} has to be text, and is {kind}; put it in quotes")));
                }
            };
            env.push(check::variable(name, value).map_err(|why| self.table.problem(variable, format!("env: {why}")))?);
        }
        Ok(env)
    }

    fn env_files(&self) -> Result<Vec<std::path::PathBuf>, Problem> {
        let Some(member) = self.table.member("env_file") else { return Ok(Vec::new()) };
        let nodes = match member.node.value {
            Value::List(_) => self.table.texts(member, "[\".env\"]")?,
            _ => vec![&member.node],
        };
        nodes.into_iter().map(|node| self.path(member, node)).collect()
    }

    fn header_env(&self, settings: &Settings) -> Result<Vec<(HeaderName, String)>, Problem> {
        let example = "{\"X-Github-Token\" = \"GITHUB_TOKEN\"}";
        let header = |pair: &Member<'t>| {
            HeaderName::from_bytes(pair.key.as_bytes()).map_err(|_| {
                self.table
                    .problem(pair, format!("header_env: {:?} is not a header's name; write {example}", &*pair.key))
            })
        };
        self.of_callers("header_env", example, settings, header)
    }

    fn claim_env(&self, settings: &Settings) -> Result<Vec<(Box<str>, String)>, Problem> {
        self.of_callers("claim_env", "{\"sub\" = \"GITHUB_USER\"}", settings, |pair| Ok((&*pair.key).into()))
    }

    /// One caller's variables must never reach another's server.
    fn of_callers<S: fmt::Display>(
        &self,
        key: &str,
        example: &str,
        settings: &Settings,
        source: impl Fn(&Member<'t>) -> Result<S, Problem>,
    ) -> Result<Vec<(S, String)>, Problem> {
        let Some(member) = self.table.member(key) else { return Ok(Vec::new()) };
        if settings.sharing.is_some_and(|sharing| sharing != Children::Own) {
            let what =
                "gives each caller's server its own variables, so callers cannot share one; write sharing = \"own\"";
            return Err(self.table.problem(member, format!("{key:?} {what}")));
        }
        let mut pairs = Vec::new();
        for pair in self.table.members(member, example)? {
            let source = source(pair)?;
            match pair.node.text().filter(|name| is_name(name)) {
                Some(name) => pairs.push((source, name.to_string())),
                None => {
                    let what = format!("{key} {source} has to be a variable's name; write {example}");
                    return Err(self.table.wrong(&pair.node, what));
                }
            }
        }
        Ok(pairs)
    }
}
