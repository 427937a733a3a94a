//! The store on a real file system.

use std::sync::Arc;

use rmcp::transport::auth::AuthorizationMetadata;

use super::*;
use crate::{
    auth::client::record::{Client, ClientKind},
    seal::Sealer,
};

fn record(server: &str) -> Record {
    Record {
        server: server.into(),
        resource: server.into(),
        issuer: Some("https://as.example".into()),
        client: Client::named(ClientKind::Dynamic, "id"),
        metadata: AuthorizationMetadata::default(),
        requested: vec!["a".into()],
        token: None,
    }
}

fn store(dir: &Path) -> Store {
    store_under(dir, None)
}

fn store_under(dir: &Path, key: Option<TokenKey>) -> Store {
    Store::new(&TokenDir { path: dir.into(), key }, &"https://h.example/mcp?key=s3cret".parse().unwrap())
}

fn key() -> Option<TokenKey> {
    Some(TokenKey(Arc::new(Sealer::new(&crate::seal::fresh().unwrap()).unwrap())))
}

const SOON: Duration = Duration::from_millis(1);

#[tokio::test]
async fn what_is_saved_is_read_and_listed_and_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("state/auth");
    let store = store(&dir);
    assert!(store.load().unwrap().is_none() && all(&TokenDir { path: dir.clone(), key: None }).unwrap().is_empty());
    let locked = store.lock(SOON).await.unwrap();
    locked.save(&record("https://h.example/mcp")).unwrap();
    fs::write(dir.join(format!("{}.left.tmp", store.name)), "half").unwrap();
    locked.save(&record("https://h.example/other")).unwrap();
    assert_eq!(store.load().unwrap().unwrap().server, "https://h.example/other");
    assert_eq!(all(&TokenDir { path: dir.clone(), key: None }).unwrap().len(), 1);
    let mut names: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), 2, "{names:?}");
    assert!(!format!("{names:?}").contains("s3cret"));
    assert!(locked.remove().unwrap() && !locked.remove().unwrap());
}

#[tokio::test]
async fn one_holds_the_lock_until_it_is_dropped() {
    let home = tempfile::tempdir().unwrap();
    let store = store(&home.path().join("auth"));
    let first = store.lock(SOON).await.unwrap();
    assert_eq!(store.lock(SOON).await.unwrap_err(), StoreError::Busy(SOON));
    drop(first);
    store.lock(SOON).await.unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_user_can_read_and_a_link_is_refused() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("auth");
    let store = store(&dir);
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    let locked = store.lock(SOON).await.unwrap();
    locked.save(&record("https://h.example/mcp")).unwrap();
    assert_eq!((mode(&dir), mode(&store.path())), (0o700, 0o600));

    fs::set_permissions(store.path(), fs::Permissions::from_mode(0o640)).unwrap();
    assert!(store.load().unwrap_err().to_string().contains("chmod 600"));

    let other = home.path().join("other");
    fs::rename(store.path(), &other).unwrap();
    symlink(&other, store.path()).unwrap();
    assert!(store.load().unwrap_err().to_string().contains("symbolic link"));
    assert!(locked.save(&record("x")).unwrap_err().to_string().contains("symbolic link"));
    assert!(fs::symlink_metadata(store.path()).unwrap().file_type().is_symlink());

    drop(locked);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(store.lock(SOON).await.unwrap_err().to_string().contains("chmod 700"));
    let link = home.path().join("link");
    symlink(&dir, &link).unwrap();
    assert!(store_under(&link, None).lock(SOON).await.is_err());
}

#[tokio::test]
async fn what_is_kept_under_a_key_is_read_with_that_key_alone_and_at_its_place_alone() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("auth");
    let key = key();
    // From before there was a key: it is read, and sealed when it is replaced.
    store(&dir).lock(SOON).await.unwrap().save(&record("https://h.example/mcp")).unwrap();
    let sealed = store_under(&dir, key.clone());
    let known = sealed.load().unwrap().unwrap();
    sealed.lock(SOON).await.unwrap().save(&known).unwrap();
    let text = fs::read_to_string(sealed.path()).unwrap();
    assert!(text.starts_with(r#"{"sealed":"v1."#) && !text.contains("example"), "{text}");
    assert_eq!(sealed.load().unwrap().unwrap().server, "https://h.example/mcp");
    let listed = all(&TokenDir { path: dir.clone(), key: key.clone() }).unwrap();
    assert_eq!(listed[0].as_ref().unwrap().server, "https://h.example/mcp");

    let why = |store: &Store| store.load().unwrap_err().to_string();
    assert!(why(&store(&dir)).ends_with("it is sealed under a key in the system's keyring; add --auth-keyring"));
    let other = why(&store_under(&dir, self::key()));
    assert!(other.ends_with("it was sealed under another key, or was changed; delete it and log in again"), "{other}");
    // Another server's file in its place is none of it.
    let moved = Store { name: "other".into(), ..sealed.clone() };
    fs::copy(sealed.path(), moved.path()).unwrap();
    assert!(why(&moved).contains("was changed"));
}
