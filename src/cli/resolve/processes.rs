//! How many processes of a server there are, and what each caller's own one gets from its caller.
//!
//! Owns the checks of `--max-children`, `--warm`, `--idle-timeout`, `--header-env` and `--claim-env`. Talks to nobody.
//! It never sees a header's or a claim's value.

use http::HeaderName;

use super::Typed;
use crate::{
    cli::{Error, args::SessionArgs, usage},
    config::{CallerEnv, ChildSpec, Processes, Sharing, Source},
};

impl Typed<'_> {
    pub(super) fn processes(&self, args: &SessionArgs, sharing: Sharing) -> Result<(Processes, CallerEnv), Error> {
        let caller_env = self.caller_env(args)?;
        let warm = args.warm.unwrap_or(0);
        if let Some(most) = args.max_children.filter(|most| warm > *most) {
            return usage(format!(
                "--warm {warm} is more than --max-children {most}, and spares count; lower one or raise the other"
            ));
        }
        if let Some((source, _)) = caller_env.iter().next() {
            let other = match sharing {
                Sharing::Own if warm > 0 => Some("--warm: a spare has no caller yet"),
                Sharing::Own => None,
                Sharing::Shared => Some("--shared: its callers have one server"),
                Sharing::Pooled => Some("--pooled: sessions of its callers share a server"),
                Sharing::Stateless => Some("--stateless: its callers have one server"),
            };
            if let Some(other) = other {
                return usage(format!(
                    "{} gives each caller's own server its variables, which cannot be with {other}; leave one out",
                    flag(source)
                ));
            }
        }
        Ok((Processes { most: args.max_children, warm, idle: args.idle_timeout }, caller_env))
    }

    fn caller_env(&self, args: &SessionArgs) -> Result<CallerEnv, Error> {
        let headers = self.header_env(&args.header_env)?;
        let mut claims: Vec<(Box<str>, String)> = Vec::new();
        for entry in self.lines("claim_env", &args.claim_env) {
            // Claims may be URLs with a '=', variables have none.
            let Some((claim, variable)) = entry.rsplit_once('=') else {
                return usage("--claim-env needs CLAIM=NAME, as in sub=GITHUB_USER");
            };
            claims.push((claim.trim().into(), variable.trim().to_string()));
        }
        headers.and_claims(claims).map_err(|why| Error::Usage(format!("--claim-env: {why}")))
    }

    fn header_env(&self, typed: &[String]) -> Result<CallerEnv, Error> {
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
        CallerEnv::new(pairs).map_err(|why| Error::Usage(format!("--header-env: {why}")))
    }
}

/// What comes from the caller comes from nowhere else: else who sends nothing would get what belongs to another.
pub(super) fn give(spec: &mut ChildSpec, caller_env: CallerEnv, has_claims: bool) -> Result<(), Error> {
    if caller_env.has_claims() && !has_claims {
        return usage(
            "--claim-env takes claims of tokens that an authorization server issued, and none is named; add --oauth-issuer",
        );
    }
    let both = |(_, name): &(_, &str)| spec.env.iter().any(|(set, _)| set.eq_ignore_ascii_case(name));
    if let Some((source, name)) = caller_env.iter().find(both) {
        return usage(format!("{name} is set by both --env (or --env-file) and {}; leave one out", flag(source)));
    }
    spec.caller_env = caller_env;
    Ok(())
}

fn flag(source: &Source) -> &'static str {
    match source {
        Source::Header(_) => "--header-env",
        Source::Claim(_) => "--claim-env",
    }
}
