//! Logins at servers of a private authority: `--ca-file` and `--client-cert` hold for the login's own requests as well.

use serde_json::json;

use super::{V, connect, done, program};
use crate::support::{
    authority::{Authority, Desktop, Oddities, get},
    certs::{self, Files},
};

/// A protected server with TLS, the file with its authority, and what the client shows; `asked`: who may connect at all.
async fn protected(files: &Files, asked: Option<&certs::Authority>, oddities: Oddities) -> (Authority, String) {
    let private = certs::Authority::new("private");
    let acceptor = certs::acceptor(&private.server(), asked);
    (Authority::with_tls(oddities, acceptor).await, files.put("ca.pem", &private.pem()))
}

#[tokio::test]
async fn a_login_trusts_whom_the_user_trusts() {
    let (files, desktop) = (Files::new(), Desktop::new());
    let (authority, ca) = protected(&files, None, Oddities::default()).await;
    let url = authority.url();
    let (code, _, err) = done(&desktop, &["login", &url]).await;
    assert_eq!(code, 69);
    assert!(err.contains("--ca-file FILE"), "{err}");

    let mut login = program(&desktop, &["login", &url, "--ca-file", &ca]);
    let page = desktop.page(0).await;
    assert!(page.as_str().starts_with(&authority.at("/as/authorize?")), "{page}");
    let allowed = get(&authority.inside(&page), &[]).await;
    get(&allowed.header("location").unwrap().parse().unwrap(), &[]).await;
    assert_eq!(login.code().await, 0, "{}", login.stderr.text());

    let mut client = connect(&desktop, &authority, &["--ca-file", &ca]);
    client.initialize(V).await;
    authority.expire();
    assert_eq!(client.call("echo", json!({})).await.tool_text(), "echo", "the token was renewed");
    client.finish().await;
    assert_eq!(authority.notes(|notes| notes.grants("refresh_token")), 1);

    let (code, out, _) = done(&desktop, &["logout", &url, "--ca-file", &ca]).await;
    assert!(code == 0 && out.contains("has revoked the tokens"), "{out}");
    assert_eq!(authority.notes(|notes| notes.revoked.len()), 2);
}

/// A certificate says who one is: to the server that the user named, and to nobody that the server names.
#[tokio::test]
async fn a_login_shows_the_certificate_to_the_server_itself_alone() {
    let (files, desktop, clients) = (Files::new(), Desktop::new(), certs::Authority::new("clients"));
    let own = files.put("own.pem", &clients.client("ann.example").both());
    let secret = files.put("secret", "s3cr3t-of-mine");
    let machine = ["--client-credentials", "--client-id", "me", "--client-secret-file", &secret];
    let (authority, ca) = protected(&files, Some(&clients), Oddities::default()).await;
    let url = authority.url();
    let (code, _, err) = done(&desktop, &[&["login", &url, "--ca-file", &ca], &machine[..]].concat()).await;
    assert_eq!(code, 69, "{err}");
    let shown = ["--ca-file", &ca, "--client-cert", &own];
    let words = [&["login", &url], &machine[..], &shown].concat();
    let (code, _, err) = done(&desktop, &words).await;
    assert_eq!(code, 0, "{err}");
    let (_, out, _) = done(&desktop, &[&["logout", &url], &shown[..]].concat()).await;
    assert!(out.contains("has revoked"), "{out}");

    // Its authorization server is somewhere else, and asks for a certificate, too.
    let private = certs::Authority::new("both");
    let there = certs::acceptor(&private.server(), Some(&clients));
    let there = Authority::with_tls(Oddities::default(), there).await;
    let oddities = Oddities { issuer: there.at("/as"), ..Oddities::default() };
    let here = Authority::with_tls(oddities, certs::acceptor(&private.server(), Some(&clients))).await;
    let ca = files.put("both.pem", &private.pem());
    let url = here.url();
    let words = [&["login", &url], &machine[..], &["--ca-file", &ca, "--client-cert", &own]].concat();
    let (code, _, err) = done(&desktop, &words).await;
    assert_eq!(code, 77, "{err}");
    assert_eq!(here.notes(|notes| notes.count("GET /.well-known/oauth-protected-resource")), 1);
    assert!(there.notes(|notes| notes.asked.is_empty()), "{err}");
}

#[tokio::test]
async fn a_logout_that_trusts_nobody_there_forgets_all_the_same() {
    let (files, desktop) = (Files::new(), Desktop::new());
    let (authority, ca) = protected(&files, None, Oddities::default()).await;
    let (url, secret) = (authority.url(), files.put("secret", "s3cr3t-of-mine"));
    let machine = ["--client-credentials", "--client-id", "me", "--client-secret-file", &secret];
    let words = [&["login", &url, "--ca-file", &ca], &machine[..]].concat();
    assert_eq!(done(&desktop, &words).await.0, 0);
    let (code, out, _) = done(&desktop, &["logout", &url]).await;
    assert_eq!((code, out.lines().count()), (0, 1), "{out}");
    assert!(out.contains("could not be revoked") && out.contains("--ca-file FILE"), "{out}");
    assert!(desktop.kept().is_empty());
}
