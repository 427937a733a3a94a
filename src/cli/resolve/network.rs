//! The listening side: sockets, routes, doors, who may call.
//!
//! Owns the checks of the "Listening" and "Access" flags. Talks to the files of TLS, and takes the sockets that a service
//! manager passed on. It never binds.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use url::Url;

use super::Typed;
use crate::{
    cli::{
        Error,
        args::{ListenArgs, NetworkArgs},
        usage,
    },
    config::{Cors, Door, Listen, NetworkSpec, Output, traffic::Traffic},
    tls::server::{Server, ServerFiles},
};

/// Where TCP is listened on when nothing else is said.
const DEFAULT: (IpAddr, u16) = (IpAddr::V4(Ipv4Addr::LOCALHOST), 8000);

pub(super) fn front(typed: &Typed, args: NetworkArgs, outputs: Vec<Output>) -> Result<NetworkSpec, Error> {
    let (listen, session) = (args.listen, args.session);
    let door = super::door::door(&args.access)?;
    let tls = tls(&listen)?;
    let asks = tls.as_ref().is_some_and(|tls| tls.asks_for_certificate());
    let guarded = asks || matches!(door, Door::Locked(_)) || args.access.allow_unauthenticated;
    let sockets = sockets(typed, &listen, guarded)?;
    if tls.is_some() && !sockets.iter().any(may_be_tcp) {
        return usage("--tls-cert is for TCP, and --unix alone listens on none; add --port, or leave out --tls-cert");
    }
    // What a token has to be issued for must not follow from what a caller writes into Host.
    let tells_itself = listen.base_url.is_some() || !args.access.oauth.oauth_audience.is_empty();
    let beyond = listen.host.is_some_and(|host| !host.to_canonical().is_loopback());
    if beyond && args.access.oauth.oauth_issuer.is_some() && !tells_itself {
        return usage(
            "--oauth-issuer beyond loopback takes --base-url or --oauth-audience: what tokens are to be issued for",
        );
    }
    let cors = match (args.access.cors, args.access.allow_origin.is_empty()) {
        (false, _) => Cors::Off,
        (true, false) => Cors::AllowedOrigins,
        (true, true) => return usage("--cors lets nobody in alone; add --allow-origin https://app.example.com"),
    };
    check_paths(&outputs, &listen.health_path)?;
    Ok(NetworkSpec {
        listen: sockets,
        tls,
        outputs,
        cors,
        allow_origin: args.access.allow_origin,
        allow_host: allowed_hosts(args.access.allow_host, listen.base_url.as_ref()),
        base_url: listen.base_url,
        health_path: listen.health_path,
        door,
        traffic: Traffic {
            proxies: args.access.trusted_proxy,
            rate: args.access.rate_limit,
            max_concurrent: args.access.max_concurrent,
        },
        audit: args.access.audit_log,
        keepalive: session.keepalive,
        keepalive_event: session.keepalive_event,
        exit_with_stdin: listen.exit_with_stdin,
    })
}

/// What is given, and TCP on loopback where nothing is.
fn sockets(typed: &Typed, listen: &ListenArgs, guarded: bool) -> Result<Vec<Listen>, Error> {
    let mut sockets = passed_on(typed, guarded)?;
    #[cfg(unix)]
    sockets.extend(listen.unix.clone().map(|path| Listen::Unix { path, mode: listen.unix_mode }));
    if sockets.is_empty() || listen.host.is_some() || listen.port.is_some() {
        let (host, port) = (listen.host.unwrap_or(DEFAULT.0), listen.port.unwrap_or(DEFAULT.1));
        if !host.to_canonical().is_loopback() && !guarded {
            return usage(format!(
                "--host {host} lets other machines call the server; add --bearer-token-file FILE or \
                 --oauth-issuer URL to ask for tokens, or --allow-unauthenticated to let everyone in"
            ));
        }
        sockets.insert(0, Listen::Tcp(SocketAddr::new(host, port)));
    }
    Ok(sockets)
}

/// Sockets of systemd and its like, when they are meant for this process: `LISTEN_PID` is not told to a child's child.
#[cfg(unix)]
fn passed_on(typed: &Typed, guarded: bool) -> Result<Vec<Listen>, Error> {
    let number = |name: &str| (typed.env)(name).and_then(|value| value.to_str()?.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) || number("LISTEN_FDS").is_none_or(|count| count == 0) {
        return Ok(Vec::new());
    }
    let passed = crate::listen::systemd::inherited().map_err(|error| Error::Usage(error.to_string()))?;
    Ok(passed.into_iter().map(|socket| Listen::Inherited { socket, beyond_loopback: guarded }).collect())
}

#[cfg(not(unix))]
fn passed_on(_: &Typed, _: bool) -> Result<Vec<Listen>, Error> {
    Ok(Vec::new())
}

fn may_be_tcp(listen: &Listen) -> bool {
    match listen {
        Listen::Tcp(_) => true,
        #[cfg(unix)]
        Listen::Unix { .. } => false,
        #[cfg(unix)]
        Listen::Inherited { .. } => true,
    }
}

fn tls(listen: &ListenArgs) -> Result<Option<Arc<Server>>, Error> {
    let Some(certificate) = listen.tls_cert.clone() else {
        for (flag, given) in [("--tls-key", &listen.tls_key), ("--tls-client-ca", &listen.tls_client_ca)] {
            if given.is_some() {
                return usage(format!("{flag} is of no use without --tls-cert; add --tls-cert FILE"));
            }
        }
        return Ok(None);
    };
    let (key, client_authorities) = (listen.tls_key.clone(), listen.tls_client_ca.clone());
    let server = Server::load(ServerFiles { certificate, key, client_authorities });
    server.map(|server| Some(Arc::new(server))).map_err(|error| Error::Usage(error.to_string()))
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
