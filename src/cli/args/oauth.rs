//! The flags of logins, and the commands that are about them alone.
//!
//! Owns their clap types. Talks to clap only.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum, ValueHint};
use url::Url;

use super::TlsArgs;
use crate::cli::values;

/// How the bridge logs in where a server asks for it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Login")]
pub(in crate::cli) struct OauthArgs {
    /// Be this client, which is registered with the authorization server (default: register by itself)
    #[arg(long, value_name = "ID")]
    pub(in crate::cli) client_id: Option<String>,
    /// Prove it with the secret in this file (default: none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) client_secret_file: Option<PathBuf>,
    /// Prove it with the private key in this PEM file, RSA or P-256; with --client-credentials only (default: none)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(in crate::cli) client_key_file: Option<PathBuf>,
    /// URL of a published document about this client, for servers that take it for a client id (default: none)
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = values::client_metadata_url)]
    pub(in crate::cli) client_metadata_url: Option<Url>,
    /// Ask for this scope, once for each (default: those that the server names)
    #[arg(long, value_name = "SCOPE", value_delimiter = ' ')]
    pub(in crate::cli) scope: Vec<String>,
    /// Open no browser: say which page to open (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(in crate::cli) no_browser: bool,
    /// Log in on another device, with a short code (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(in crate::cli) device: bool,
    /// Log in as the client itself, without a user; takes --client-id (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(in crate::cli) client_credentials: bool,
    /// Port on 127.0.0.1 that the browser comes back to; 0 picks a free one
    #[arg(long, value_name = "PORT", default_value = "0", value_parser = values::port)]
    pub(in crate::cli) callback_port: u16,
    /// Time for the user to log in; seconds, or 500ms, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = values::positive_duration)]
    pub(in crate::cli) auth_timeout: Duration,
    /// Never log in: a refusal is the last word (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(in crate::cli) no_login: bool,
    #[command(flatten)]
    pub(in crate::cli) dir: DirArgs,
}

/// Where logins are kept.
#[derive(Debug, Args)]
#[command(next_help_heading = "Login")]
pub(in crate::cli) struct DirArgs {
    /// Keep tokens in this directory (default: mcp-bridge/auth in the directory for state, such as ~/.local/state)
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(in crate::cli) auth_dir: Option<PathBuf>,
    /// Seal tokens there under a key in the system's keyring; for builds with the feature `keyring` (default: off)
    #[arg(long, value_parser = values::switch)]
    pub(in crate::cli) auth_keyring: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LoginArgs {
    /// The server: http:// or https://, with its path
    #[arg(value_name = "URL", value_hint = ValueHint::Url)]
    pub(in crate::cli) server: String,
    #[command(flatten)]
    pub(in crate::cli) tls: TlsArgs,
    #[command(flatten)]
    pub(in crate::cli) oauth: OauthArgs,
}

/// What `auth` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum AuthWhat {
    // Without words of its own: clap would give it a paragraph.
    Status,
}
