//! Logins: who the bridge is, how it asks, and where tokens are kept.
//!
//! Owns the checks of the "Login" flags. Talks to the files that they name and to the variables that name the place for
//! state. No error of it shows a secret.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use base64::Engine as _;
use http::{HeaderMap, header};
use url::Url;

use super::{Typed, read, remote};
use crate::{
    auth::client::{Authorizer, keyring},
    cli::{
        Error, LoginTask, Task,
        args::{
            TlsArgs,
            oauth::{DirArgs, LoginArgs, OauthArgs},
        },
        bridges::{self, Bridge},
        report::{example, is_url_without_scheme},
        usage,
    },
    config::{
        Secret,
        check::{Place, looks_like_url},
        oauth::{Grant, KeyKind, KnownClient, LogoutSpec, OauthSpec, Proof, TokenDir},
    },
    tls::client::Client,
};

/// 1.2.840.10045.2.1 in DER: what a private key in PKCS #8 says of itself when it is one on an elliptic curve.
const ON_A_CURVE: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

/// 1.2.840.10045.3.1.7: P-256.
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

impl Typed<'_> {
    /// Who gets tokens for a server. Nobody where a header says who calls: two answers to one question are none. Nor for a
    /// socket, which has no name that a token could be for.
    pub(super) fn authorizer(
        &self,
        command: &Bridge,
        place: &Place,
        headers: &HeaderMap,
        (args, tls): (&OauthArgs, &Client),
    ) -> Result<Option<Arc<Authorizer>>, Error> {
        let spec = self.logins(!command.outputs.is_empty(), args, tls)?;
        if headers.contains_key(header::AUTHORIZATION) || place.socket.is_some() {
            return Ok(None);
        }
        Ok(spec.map(|spec| Authorizer::new(&place.url, spec)))
    }

    /// How to log in, if at all; `listens`: for a service.
    pub(super) fn logins(&self, listens: bool, args: &OauthArgs, tls: &Client) -> Result<Option<OauthSpec>, Error> {
        let mut spec = self.oauth(args, tls)?;
        // Whoever calls a service is not who sits at its machine.
        if listens && spec.grant == Grant::Browser {
            spec.grant = Grant::Url;
        }
        Ok((!args.no_login).then_some(spec))
    }

    pub(in crate::cli) fn login(&self, args: LoginArgs) -> Result<Task, Error> {
        let url = url("login", &args.server)?;
        if args.oauth.no_login {
            return usage("login with --no-login is nothing; leave it out");
        }
        let spec = OauthSpec { takes_paste: true, ..self.oauth(&args.oauth, &remote::tls(&args.tls)?)? };
        Ok(Task::Login(Box::new(LoginTask::In(url, Box::new(spec)))))
    }

    pub(in crate::cli) fn logout(
        &self,
        server: &str,
        tls: &TlsArgs,
        proof: Option<&Path>,
        dir: DirArgs,
    ) -> Result<Task, Error> {
        let url = url("logout", server)?;
        let (dir, secret, tls) = (self.some_dir(dir)?, proof.map(secret).transpose()?, remote::tls(tls)?);
        Ok(Task::Login(Box::new(LoginTask::Out(url, Box::new(LogoutSpec { dir, secret, tls })))))
    }

    pub(in crate::cli) fn auth_status(&self, server: Option<&str>, dir: DirArgs) -> Result<Task, Error> {
        let url = server.map(|server| url("auth status", server)).transpose()?;
        Ok(Task::Login(Box::new(LoginTask::Status(url, self.some_dir(dir)?))))
    }

    fn oauth(&self, args: &OauthArgs, tls: &Client) -> Result<OauthSpec, Error> {
        let grant = match (args.no_browser, args.device, args.client_credentials) {
            (false, false, false) => Grant::Browser,
            (true, false, false) => Grant::Url,
            (_, true, false) => Grant::Device,
            (_, false, true) => Grant::Machine,
            (_, true, true) => return usage("both --device and --client-credentials are given; leave one out"),
        };
        let client = client(args, grant)?;
        Ok(OauthSpec {
            dir: self.token_dir(&args.dir)?,
            client,
            metadata_url: args.client_metadata_url.clone(),
            scopes: scopes(&args.scope)?,
            grant,
            takes_paste: false,
            browser: self.browser(),
            callback_port: args.callback_port,
            tls: tls.clone(),
            patience: args.auth_timeout,
        })
    }

    /// The convention of Unix desktops: a list of programs, of which the first counts here.
    fn browser(&self) -> Option<std::ffi::OsString> {
        let value = (self.env)("BROWSER").filter(|_| cfg!(unix))?;
        let first = value.to_str()?.split(':').next()?.trim();
        (!first.is_empty() && !first.contains("%s")).then(|| first.into())
    }

    fn some_dir(&self, args: DirArgs) -> Result<TokenDir, Error> {
        let dir = self.token_dir(&args)?;
        dir.ok_or_else(|| Error::Usage("no variable names a place for tokens; give one with --auth-dir".into()))
    }

    fn token_dir(&self, args: &DirArgs) -> Result<Option<TokenDir>, Error> {
        let Some(path) = self.auth_dir(args) else { return Ok(None) };
        let key = args.auth_keyring.then(|| keyring::key(&path)).transpose();
        Ok(Some(TokenDir { key: key.map_err(|why| Error::Usage(why.to_string()))?, path }))
    }

    /// `$XDG_STATE_HOME`, or what stands for it.
    fn auth_dir(&self, args: &DirArgs) -> Option<PathBuf> {
        if let Some(dir) = &args.auth_dir {
            return Some(dir.clone());
        }
        let named = |name: &str| (self.env)(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = match () {
            () if cfg!(windows) => named("LOCALAPPDATA"),
            () if cfg!(target_os = "macos") => named("HOME").map(|home| home.join("Library/Application Support")),
            () => named("XDG_STATE_HOME").or_else(|| Some(named("HOME")?.join(".local/state"))),
        };
        Some(state?.join("mcp-bridge").join("auth"))
    }
}

/// A server that can be logged in to, said as `connect` takes it.
fn url(name: &str, typed: &str) -> Result<Url, Error> {
    let Some(mut command) = bridges::find("connect") else { return usage("no command takes a URL") };
    command.name = name.into();
    if !typed.contains("://") && !looks_like_url(typed) && !is_url_without_scheme(typed) {
        return usage(format!("{name} takes the server's URL; write it as in {}", example(None)));
    }
    let place = remote::place(&command, typed, None)?;
    match place.socket {
        None => Ok(place.url),
        Some(_) => usage(format!("{name} is for servers at http:// or https:// URLs; a socket has no login")),
    }
}

fn client(args: &OauthArgs, grant: Grant) -> Result<Option<KnownClient>, Error> {
    let proof = match (&args.client_secret_file, &args.client_key_file) {
        (None, None) => Proof::None,
        (Some(path), None) => Proof::Secret(secret(path)?),
        (None, Some(path)) if grant == Grant::Machine => key(path)?,
        (None, Some(_)) => {
            return usage("--client-key-file goes with --client-credentials only; use --client-secret-file");
        }
        (Some(_), Some(_)) => return usage("both --client-secret-file and --client-key-file are given; leave one out"),
    };
    match (&args.client_id, &proof) {
        (Some(id), _) if id.is_empty() || id.chars().any(char::is_control) => {
            usage("--client-id is empty or holds control characters; copy it from the authorization server")
        }
        (Some(_), Proof::None) if grant == Grant::Machine => {
            usage("--client-credentials needs a proof: --client-secret-file or --client-key-file")
        }
        (Some(id), _) => Ok(Some(KnownClient { id: id.clone(), proof })),
        (None, Proof::None) if grant != Grant::Machine => Ok(None),
        (None, _) => usage("--client-credentials, --client-secret-file and --client-key-file need --client-id"),
    }
}

fn scopes(typed: &[String]) -> Result<Vec<String>, Error> {
    let fits =
        |scope: &&String| !scope.is_empty() && scope.bytes().all(|b| b.is_ascii_graphic() && !b"\"\\".contains(&b));
    match typed.iter().find(|scope| !fits(scope)) {
        Some(scope) => usage(format!("--scope {scope:?} is no scope; write a word without quotes, once for each")),
        None => Ok(typed.to_vec()),
    }
}

fn secret(path: &Path) -> Result<Secret, Error> {
    let text = read("--client-secret-file", path)?;
    let secret = text.trim();
    match secret.is_empty() || secret.lines().count() > 1 {
        true => usage(format!("--client-secret-file {} holds no secret; write it on one line", path.display())),
        false => Ok(Secret::new(secret)),
    }
}

fn key(path: &Path) -> Result<Proof, Error> {
    let text = read("--client-key-file", path)?;
    match kind_of(&text) {
        Some(kind) => Ok(Proof::Key(Secret::new(text), kind)),
        None => usage(format!(
            "--client-key-file {} holds no RSA or P-256 private key in PEM; make one with openssl genpkey",
            path.display()
        )),
    }
}

fn kind_of(pem: &str) -> Option<KeyKind> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once("-----END")?;
    let body: String = body.split_whitespace().collect();
    let der = base64::engine::general_purpose::STANDARD.decode(body).ok()?;
    let has = |what: &[u8]| der.windows(what.len()).any(|part| part == what);
    match label {
        "RSA PRIVATE KEY" => Some(KeyKind::Rsa),
        "PRIVATE KEY" if !has(&ON_A_CURVE) => Some(KeyKind::Rsa),
        "PRIVATE KEY" | "EC PRIVATE KEY" if has(&P256) => Some(KeyKind::P256),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_by_what_it_says_of_itself() {
        let pem = |label: &str, der: &[u8]| {
            let body = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
        };
        let curve = [&ON_A_CURVE[..], &P256[..]].concat();
        assert_eq!(kind_of(&pem("RSA PRIVATE KEY", b"x")), Some(KeyKind::Rsa));
        assert_eq!(kind_of(&pem("PRIVATE KEY", b"x")), Some(KeyKind::Rsa));
        assert_eq!(kind_of(&pem("PRIVATE KEY", &curve)), Some(KeyKind::P256));
        assert_eq!(kind_of(&pem("PRIVATE KEY", &ON_A_CURVE)), None);
        assert_eq!(kind_of(&pem("CERTIFICATE", b"x")), None);
        assert_eq!(kind_of("nothing"), None);
    }
}
