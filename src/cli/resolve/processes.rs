//! How many processes of a server there are, and what each caller's own one gets from its caller.
//!
//! Owns the checks of `--max-children`, `--warm`, `--idle-timeout` and `--header-env`. Talks to nobody. It never sees a
//! header's value.

use http::HeaderName;

use super::Typed;
use crate::{
    cli::{Error, args::SessionArgs, usage},
    config::{ChildSpec, HeaderEnv, Processes, Sharing},
};

impl Typed<'_> {
    pub(super) fn processes(&self, args: &SessionArgs, sharing: Sharing) -> Result<(Processes, HeaderEnv), Error> {
        let header_env = self.header_env(&args.header_env)?;
        let warm = args.warm.unwrap_or(0);
        if let Some(most) = args.max_children.filter(|most| warm > *most) {
            return usage(format!(
                "--warm {warm} is more than --max-children {most}, and spares count; lower one or raise the other"
            ));
        }
        if !header_env.is_empty() {
            let other = match sharing {
                Sharing::Own if warm > 0 => Some("--warm: a spare has no caller yet"),
                Sharing::Own => None,
                Sharing::Shared => Some("--shared: its callers have one server"),
                Sharing::Pooled => Some("--pooled: sessions of its callers share a server"),
                Sharing::Stateless => Some("--stateless: its callers have one server"),
            };
            if let Some(other) = other {
                return usage(format!(
                    "--header-env gives each caller's own server its variables, which cannot be with {other}; leave one out"
                ));
            }
        }
        Ok((Processes { most: args.max_children, warm, idle: args.idle_timeout }, header_env))
    }

    fn header_env(&self, typed: &[String]) -> Result<HeaderEnv, Error> {
        let mut pairs = Vec::new();
        for entry in self.lines("header_env", typed) {
            // The entry is not shown: it may be a value, from somebody who took it for --env.
            let Some((header, variable)) = entry.split_once('=') else {
                return usage("--header-env needs HEADER=NAME, as in X-Github-Token=GITHUB_TOKEN");
            };
            let Ok(header) = HeaderName::from_bytes(header.trim().as_bytes()) else {
                return usage(
                    "--header-env has no header's name before its '='; use letters, digits and '-', as in \
                     X-Github-Token=GITHUB_TOKEN",
                );
            };
            pairs.push((header, variable.trim().to_string()));
        }
        HeaderEnv::new(pairs).map_err(|why| Error::Usage(format!("--header-env: {why}")))
    }
}

/// What comes from the caller comes from nowhere else: else who sends nothing would get what belongs to another.
pub(super) fn give(spec: &mut ChildSpec, header_env: HeaderEnv) -> Result<(), Error> {
    let both = |(_, name): &(_, &str)| spec.env.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    if let Some((_, name)) = header_env.iter().find(both) {
        return usage(format!("{name} is set by both --env (or --env-file) and --header-env; leave one out"));
    }
    spec.header_env = header_env;
    Ok(())
}
