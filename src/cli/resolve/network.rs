//! The listening side: routes, doors, who may call.
//!
//! Owns the checks of the "Listening" and "Access" flags. Talks to the file of `--bearer-token-file`. It never binds.

use std::path::Path;

use url::Url;

use super::{is_token, read};
use crate::{
    cli::{
        Error,
        args::{AccessArgs, NetworkArgs},
        usage,
    },
    config::{Cors, Door, NetworkSpec, Output, Secret},
};

pub(super) fn front(args: NetworkArgs, outputs: Vec<Output>) -> Result<NetworkSpec, Error> {
    let (listen, session) = (args.listen, args.session);
    let door = door(&args.access)?;
    let beyond = !listen.host.to_canonical().is_loopback();
    if beyond && matches!(door, Door::Open) && !args.access.allow_unauthenticated {
        return usage(format!(
            "--host {} lets other machines call the server; add --bearer-token-file FILE to ask for a token, or \
             --allow-unauthenticated to let everyone in",
            listen.host
        ));
    }
    let cors = match (args.access.cors, args.access.allow_origin.is_empty()) {
        (false, _) => Cors::Off,
        (true, false) => Cors::AllowedOrigins,
        (true, true) => return usage("--cors lets nobody in alone; add --allow-origin https://app.example.com"),
    };
    check_paths(&outputs, &listen.health_path)?;
    Ok(NetworkSpec {
        host: listen.host,
        port: listen.port,
        outputs,
        cors,
        allow_origin: args.access.allow_origin,
        allow_host: allowed_hosts(args.access.allow_host, listen.base_url.as_ref()),
        base_url: listen.base_url,
        health_path: listen.health_path,
        door,
        keepalive: session.keepalive,
        keepalive_event: session.keepalive_event,
        exit_with_stdin: listen.exit_with_stdin,
    })
}

fn door(access: &AccessArgs) -> Result<Door, Error> {
    match (&access.bearer_token_file, access.allow_unauthenticated) {
        (None, _) => Ok(Door::Open),
        (Some(path), false) => tokens(path).map(Door::Bearer),
        (Some(_), true) => usage("both --bearer-token-file and --allow-unauthenticated are given; leave one out"),
    }
}

fn tokens(path: &Path) -> Result<Vec<Secret>, Error> {
    let place = format!("--bearer-token-file {}", path.display());
    let text = read("--bearer-token-file", path)?;
    let mut tokens = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if !is_token(line) {
            return usage(format!("{place} line {number} is not a token; write one a line, without spaces"));
        }
        tokens.push(Secret::new(line));
    }
    match tokens.is_empty() {
        true => usage(format!("{place} holds no token; write one a line")),
        false => Ok(tokens),
    }
}

/// A reverse proxy that passes on the public name must not be refused, so the name in `--base-url` is one to serve.
fn allowed_hosts(mut hosts: Vec<String>, base_url: Option<&Url>) -> Vec<String> {
    let public = base_url.and_then(|url| {
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        url.host_str().map(|host| format!("{host}{port}"))
    });
    hosts.extend(public);
    hosts
}

fn check_paths(outputs: &[Output], health: &str) -> Result<(), Error> {
    let mut taken = vec![("the readiness check".to_string(), "/readyz"), ("--health-path".into(), health)];
    for output in outputs {
        let flags = output.wire.listed().paths.iter().map(|place| format!("--{}", place.flag));
        taken.extend(flags.zip(output.paths.iter().map(String::as_str)));
    }
    while let Some((flag, path)) = taken.pop() {
        if let Some((other, _)) = taken.iter().find(|(_, other)| *other == path) {
            return usage(format!("{flag} {path} is the path of {other} too; give each its own"));
        }
        if path.starts_with("/servers/") {
            return usage(format!("{flag} {path} is among the paths of named servers; take one outside of /servers/"));
        }
    }
    Ok(())
}
