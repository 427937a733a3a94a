//! The eras: which one the server speaks, and what a translation needs.
//!
//! Owns the checks of the "Eras" flags. Talks to the directories that `--root` names and to the file of
//! `--state-key-file`. No error of it shows a key.

use std::sync::Arc;

use url::Url;

use super::Typed;
use crate::{
    cli::{
        Error,
        args::{EraArgs, ServerEraArg},
        usage,
    },
    config::{EraSettings, ServerEra},
    era::modern_to_legacy::seal::Sealer,
};

impl Typed<'_> {
    pub(super) fn eras(&self, args: &EraArgs) -> Result<EraSettings, Error> {
        let server = match args.server_era {
            ServerEraArg::Auto => ServerEra::Auto,
            ServerEraArg::Legacy => ServerEra::Legacy,
            ServerEraArg::Modern => ServerEra::Modern,
        };
        let roots = self.lines("root", &args.root).into_iter().map(root).collect::<Result<_, _>>()?;
        let state = args.state_key_file.as_deref().map(Sealer::from_file).transpose();
        let state = state.map_err(|error| Error::Usage(format!("--state-key-file: {error}")))?;
        Ok(EraSettings { server, roots, state: state.map(Arc::new) })
    }
}

/// A `file:` URI as it is, or a directory's.
fn root(typed: &str) -> Result<String, Error> {
    let typed = typed.trim();
    if typed.starts_with("file://") {
        return match Url::parse(typed) {
            Ok(_) => Ok(typed.to_owned()),
            Err(error) => usage(format!("--root {typed}: {error}; write file:///path, or the directory itself")),
        };
    }
    let path = std::fs::canonicalize(typed)
        .map_err(|error| Error::Usage(format!("--root {typed:?}: {error}; name a directory, or a file:// URI")))?;
    match Url::from_file_path(&path) {
        Ok(url) => Ok(url.into()),
        Err(()) => usage(format!("--root {typed:?} has no file:// URI; give one instead")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_is_a_directory_or_a_uri() {
        let dir = tempfile::tempdir().unwrap();
        let typed = dir.path().to_str().unwrap();
        assert!(root(typed).unwrap().starts_with("file:///"));
        assert_eq!(root("file:///srv/x").unwrap(), "file:///srv/x");
        let error = root("/no/such/dir").unwrap_err().to_string();
        assert!(error.contains("/no/such/dir") && error.contains("file:// URI"), "{error}");
        assert!(root("https://x").is_err());
    }
}
