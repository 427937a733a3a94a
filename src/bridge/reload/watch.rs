//! Whether a file may have changed, or one that it names.
//!
//! Owns the watch on the directories that decide what a path leads to: its own, and those of every link on the way.
//! Directories, as editors put another file in the place of the old one, and Kubernetes exchanges a link beside the file
//! (`mcp.json -> ..data/mcp.json`, `..data -> ..2026_01_01`). Talks to the operating system. It never reads the file.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tracing::{debug, warn};

/// A file is read when nothing has happened to it for so long: editors write in pieces.
const QUIET: Duration = Duration::from_millis(100);

/// But it is read after this, whatever goes on.
const PATIENCE: Duration = Duration::from_secs(2);

/// Links that are followed on the way to the file, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// Files beside it that are watched. A system has few watches to give, and a file may name many.
const MAX_BESIDE: usize = 256;

/// Watches what one path leads to, and some others beside it.
pub(super) struct Watch {
    path: PathBuf,
    shared: Arc<Shared>,
    /// `None` where the system does not watch.
    watcher: Option<RecommendedWatcher>,
    dirs: BTreeSet<PathBuf>,
}

/// What the watcher's own thread needs.
#[derive(Default)]
struct Shared {
    changed: Notify,
    /// The file and every link on the way to it.
    entries: Mutex<BTreeSet<PathBuf>>,
}

impl Watch {
    /// Changes count from now on.
    pub(super) fn new(path: &Path) -> Watch {
        let shared = Arc::new(Shared::default());
        let told = shared.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| told.take(event));
        let watcher = watcher.inspect_err(|error| complain(path, error)).ok();
        let mut watch = Watch { path: path.into(), shared, watcher, dirs: BTreeSet::new() };
        watch.look_again(&[]);
        watch
    }

    /// Watches where the path and these others lead now.
    pub(super) fn look_again(&mut self, beside: &[PathBuf]) {
        let mut entries = entries_of(&self.path);
        let others = beside.iter().take(MAX_BESIDE).filter(|path| path.is_absolute());
        entries.extend(others.flat_map(|path| entries_of(path)));
        let dirs: BTreeSet<PathBuf> = entries.iter().filter_map(|entry| entry.parent()).map(Path::to_owned).collect();
        *self.shared.entries.lock().unwrap_or_else(PoisonError::into_inner) = entries;
        let Some(watcher) = &mut self.watcher else { return };
        for gone in self.dirs.difference(&dirs) {
            // It may be gone from the disk, too.
            drop(watcher.unwatch(gone));
        }
        let mut watched = BTreeSet::new();
        for dir in dirs {
            let known = self.dirs.contains(&dir);
            match if known { Ok(()) } else { watcher.watch(&dir, RecursiveMode::NonRecursive) } {
                Ok(()) => drop(watched.insert(dir)),
                Err(error) => complain(&dir, &error),
            }
        }
        self.dirs = watched;
    }

    /// Counts as a change.
    pub(super) fn recheck(&self) {
        self.shared.changed.notify_one();
    }

    /// Resolves when the file may have changed and is at rest. Cancel-safe: what is missed here is told next time.
    pub(super) async fn changed(&self) {
        self.shared.changed.notified().await;
        let end = Instant::now() + PATIENCE;
        // Ends when it is quiet.
        while Instant::now() < end && timeout(QUIET, self.shared.changed.notified()).await.is_ok() {}
    }
}

impl Shared {
    fn take(&self, event: notify::Result<Event>) {
        let Ok(event) = event.inspect_err(|error| debug!("watching failed: {error}")) else { return };
        // That it is read is no change; else reading it would lead to reading it.
        if event.kind.is_access() {
            return;
        }
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if event.need_rescan() || event.paths.iter().any(|path| entries.contains(path)) {
            self.changed.notify_one();
        }
    }
}

fn complain(path: &Path, error: &notify::Error) {
    let path = path.display();
    warn!("changes of {path} are not seen: {error}; send SIGHUP after a change");
}

/// The names that decide what `path` leads to: each link on the way, and the file itself.
fn entries_of(path: &Path) -> BTreeSet<PathBuf> {
    let mut entries = BTreeSet::new();
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        entries.insert(path.clone());
        // The outermost link first: what is below it stands where it leads.
        let mut ancestors: Vec<&Path> = path.ancestors().collect();
        ancestors.reverse();
        let link = ancestors.into_iter().find_map(|link| Some((link.to_owned(), fs::read_link(link).ok()?)));
        let Some((link, target)) = link else { break };
        let rest = path.strip_prefix(&link).map(Path::to_owned).unwrap_or_default();
        let target = link.parent().unwrap_or(Path::new("/")).join(target);
        entries.insert(link);
        path = if rest.as_os_str().is_empty() { target } else { target.join(rest) };
    }
    entries
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_link_on_the_way_counts() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        fs::create_dir(dir.join("v1")).unwrap();
        fs::write(dir.join("v1/mcp.json"), "{}").unwrap();
        symlink("v1", dir.join("..data")).unwrap();
        symlink("..data/mcp.json", dir.join("mcp.json")).unwrap();
        let found = entries_of(&dir.join("mcp.json"));
        let names = ["mcp.json", "..data", "..data/mcp.json", "v1/mcp.json"];
        assert_eq!(found, names.iter().map(|name| dir.join(name)).collect());
        symlink("loop", dir.join("loop")).unwrap();
        assert_eq!(entries_of(&dir.join("loop")).len(), 1);
    }
}
