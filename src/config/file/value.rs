//! Values of a server as they are meant: `${VAR}` put in, paths read against the file.
//!
//! Owns the forms of references that clients have. Talks to the environment that is passed in, and to no file. No error
//! of it shows a value.

use std::path::{MAIN_SEPARATOR_STR, Path, PathBuf};

use super::{
    Source,
    places::Form,
    problem::{Problem, Text},
    table::Table,
    tree::{Member, Node},
};
use crate::config::expand::{self, ExpandError};

/// What values are read against.
pub(super) struct Values<'f, 't> {
    pub(super) source: &'f Source<'f>,
    pub(super) text: &'f Text<'t>,
}

impl<'f, 't> Values<'f, 't> {
    /// The text with references put in; `what` names it in errors.
    pub(super) fn expanded(
        &self,
        table: &Table<'_, '_>,
        form: Form,
        node: &Node<'_>,
        what: &str,
    ) -> Result<String, Problem> {
        let text = node.text().unwrap_or_default();
        let put_in = |reference: &str| self.value_of(reference);
        let opencode = form == Form::OpenCode && !text.contains("${");
        let expanded = match opencode {
            true => expand::expand_by(text, "{env:", &|name| expand::value_of(name, self.source.env)),
            false => expand::expand_by(text, "${", &put_in),
        };
        let expanded = expanded.map_err(|error| table.wrong(node, format!("{what}: {error}")))?;
        match expanded.contains('\0') {
            true => Err(table.wrong(node, format!("{what} holds a NUL; remove it"))),
            false => Ok(expanded),
        }
    }

    /// A path as it is meant from the file's directory.
    pub(super) fn path(
        &self,
        table: &Table<'_, '_>,
        form: Form,
        member: &Member<'_>,
        node: &Node<'_>,
    ) -> Result<PathBuf, Problem> {
        let key = format!("{:?}", &*member.key);
        let text = self.expanded(table, form, node, &key)?;
        match text.as_str() {
            "" => Err(table.wrong(node, format!("{key} is empty; name it, or leave the key out"))),
            text if text.starts_with('~') => {
                Err(table
                    .wrong(node, format!("{key} starts with ~, which no shell replaces here; write ${{HOME}}/...")))
            }
            text => Ok(self.against_the_file(text)),
        }
    }

    pub(super) fn against_the_file(&self, path: &str) -> PathBuf {
        // Through its components: `./x` is shown without the dot. What `..` means is left to the file system.
        self.source.dir.join(path).components().collect()
    }

    /// `NAME`, `NAME:-default`, and what clients put in.
    fn value_of(&self, reference: &str) -> Result<String, ExpandError> {
        let shown: String = reference.chars().take(32).collect();
        let instead = "put the value into a variable, and write ${NAME}";
        match reference.split_once(':') {
            Some(("env", name)) => return expand::value_of(name, self.source.env),
            Some(("input", _)) => {
                return Err(ExpandError::Foreign(format!(
                    "${{{shown}}} is asked for by VS Code, and nobody can be asked here; {instead}"
                )));
            }
            Some((kind @ ("file" | "command" | "config"), _)) => {
                return Err(ExpandError::Foreign(format!("${{{kind}:...}} is known to its client only; {instead}")));
            }
            _ => {}
        }
        match reference {
            "workspaceFolder" => Ok(self.workspace().display().to_string()),
            "userHome" => {
                let home = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
                expand::value_of(home, self.source.env)
            }
            "pathSeparator" | "/" => Ok(MAIN_SEPARATOR_STR.into()),
            _ => expand::value_of(reference, self.source.env),
        }
    }

    /// What an editor has open: the directory around `.vscode`, else that of the file.
    fn workspace(&self) -> &Path {
        let dir = self.source.dir;
        let hidden = dir.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        dir.parent().filter(|_| hidden).unwrap_or(dir)
    }
}
