//! `--auth-keyring`. In a build with the feature, on the Secret Service of the session that the tests run in: `.ci/run keyring`
//! starts one.

#[cfg(not(feature = "keyring"))]
#[tokio::test]
async fn a_build_without_the_keyring_says_so() {
    let desktop = crate::support::authority::Desktop::new();
    let (code, out, log) = super::done(&desktop, &["auth", "status", "--auth-keyring"]).await;
    let text =
        "this mcp-bridge was built without the keyring; build it with --features keyring, or leave out --auth-keyring";
    assert_eq!((code, out.as_str()), (64, ""));
    assert!(log.contains(text), "{log}");
}

#[cfg(feature = "keyring")]
#[tokio::test]
async fn tokens_are_sealed_under_the_one_key_that_all_instances_find_in_the_keyring() {
    use std::fs;

    use crate::support::{
        authority::{Authority, Desktop, MARK},
        client::initialize,
    };
    let (authority, desktop) = (Authority::start().await, Desktop::new());
    let connect = || super::connect(&desktop, &authority, &["--auth-keyring"]);
    let mut clients: Vec<_> = (0..3).map(|_| connect()).collect();
    for client in &mut clients {
        client.send(&initialize("0", super::V)).await;
    }
    desktop.log_in(0).await;
    for mut client in clients {
        assert_eq!(client.answer("0").await.json["result"]["protocolVersion"], super::V);
        client.finish().await;
    }
    let kept = desktop.kept();
    assert_eq!((kept.len(), desktop.opened().len()), (1, 1));
    let text = fs::read_to_string(&kept[0]).unwrap();
    assert!(text.starts_with(r#"{"sealed":"v1."#) && !text.contains(MARK), "{text}");

    let (code, out, _) = super::done(&desktop, &["auth", "status", "--auth-keyring"]).await;
    assert!(code == 0 && out.contains(&authority.url()), "{out}");
    let (_, out, _) = super::done(&desktop, &["auth", "status"]).await;
    assert!(out.contains("it is sealed under a key in the system's keyring; add --auth-keyring"), "{out}");
    // Nor is it deleted unread: then nobody could give its tokens back.
    let (code, _, log) = super::done(&desktop, &["logout", &authority.url()]).await;
    assert!(code != 0 && log.contains("add --auth-keyring"), "{log}");
    let mut client = super::connect(&desktop, &authority, &["--auth-keyring"]);
    client.initialize(super::V).await;
    client.finish().await;
    assert_eq!(desktop.opened().len(), 1);
    let (code, out, _) = super::done(&desktop, &["logout", &authority.url(), "--auth-keyring"]).await;
    assert!(code == 0 && out.starts_with("forgot"), "{out}");
    assert!(desktop.kept().is_empty());
}
