//! The server that is reached: its URL and what is sent along.
//!
//! Owns the checks of the URL and of the "Remote server" flags. Talks to nobody. No error of it shows a header's value,
//! a password, or a query, which may hold a token.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use url::Url;

use super::{Typed, is_token};
use crate::{
    annotations::PARAM,
    cli::{
        Error,
        args::RemoteArgs,
        report::{looks_like_url, not_a_url},
        usage,
    },
};

/// Headers that the bridge writes itself; a second one would make requests mean two things.
const OWN_HEADERS: [&str; 13] = [
    "host",
    "connection",
    "content-length",
    "content-type",
    "transfer-encoding",
    "te",
    "upgrade",
    "accept",
    "last-event-id",
    "mcp-session-id",
    "mcp-protocol-version",
    "mcp-method",
    "mcp-name",
];

impl Typed<'_> {
    pub(super) fn headers(&self, args: &RemoteArgs) -> Result<HeaderMap<HeaderValue>, Error> {
        let mut headers = HeaderMap::new();
        for typed in self.lines("header", &args.header) {
            let (name, value) = self.header(typed)?;
            headers.append(name, value);
        }
        let Some(typed) = &args.bearer else { return Ok(headers) };
        if headers.contains_key(header::AUTHORIZATION) {
            return usage("both --bearer and -H Authorization are given; leave one out");
        }
        let token = self.expand("--bearer", typed)?;
        if token.is_empty() {
            return usage("--bearer is empty; check the variable that it comes from");
        }
        if !is_token(&token) {
            return usage("--bearer holds a character that no token has; give the token alone, without 'Bearer '");
        }
        headers.insert(header::AUTHORIZATION, sensitive("--bearer", &format!("Bearer {token}"))?);
        Ok(headers)
    }

    fn header(&self, typed: &str) -> Result<(HeaderName, HeaderValue), Error> {
        // The text is not shown: without the colon, a secret may be all there is.
        let Some((name, value)) = typed.split_once(':') else {
            return usage("-H needs 'Name: value', with a colon after the name");
        };
        let name = name.trim();
        let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
            return usage(format!("-H {name:?} is not a header's name; use letters, digits and '-', as in X-Api-Key"));
        };
        if OWN_HEADERS.contains(&parsed.as_str()) || parsed.as_str().starts_with(PARAM) {
            return usage(format!("-H {name} is a header that the bridge sets itself; leave it out"));
        }
        let flag = format!("-H {name}");
        let value = self.expand(&flag, value)?;
        Ok((parsed, sensitive(&flag, value.trim_matches([' ', '\t']))?))
    }
}

pub(super) fn url(name: &str, typed: &str) -> Result<Url, Error> {
    if !looks_like_url(typed) {
        return usage(not_a_url(name, typed));
    }
    // The text is not shown where it may hold a password, and never its query, which may hold a token.
    let url = Url::parse(typed).map_err(|error| {
        Error::Usage(format!("the URL of {name} cannot be read: {error}; write it as in https://example.com/mcp"))
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        return usage(format!(
            "the URL of {name} holds a user name or password, which logs would show; use --bearer '${{TOKEN}}' or \
             -H 'Authorization: ${{VALUE}}'"
        ));
    }
    if url.fragment().is_some() {
        return usage(format!(
            "the URL of {name} has a fragment, which servers never see; leave out # and what follows"
        ));
    }
    Ok(url)
}

fn sensitive(flag: &str, value: &str) -> Result<HeaderValue, Error> {
    let Ok(mut value) = HeaderValue::from_str(value) else {
        return usage(format!(
            "{flag}: the value holds a line break or another character that no header can; check where it comes from"
        ));
    };
    value.set_sensitive(true);
    Ok(value)
}
