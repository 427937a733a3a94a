//! The guard: a second process that ends every descendant when the bridge is gone, however it went.
//!
//! Owns the mark that each child carries in its environment and, in the guard process, the search for it. A process
//! that is killed with SIGKILL cannot clean up after itself, so somebody else has to. The guard holds one end of a pipe
//! whose other end only the bridge has; when that closes, the guard kills every process that carries the mark, also
//! those that left their process group. Linux only: it reads `/proc`. Windows needs no guard: it ends a job object's
//! processes when the bridge's handle closes. Elsewhere a SIGKILL of the bridge leaves its servers to see their stdin close.
//!
//! A guard that somebody ends is started again, with the same mark: whatever was started before carries it.
//!
//! It never talks to a child and never outlives its sweep.

/// The variable that carries the marks, one for each bridge above the process, separated by commas.
pub const MARK: &str = "MCP_BRIDGE_GUARD";

/// The hidden subcommand that the bridge starts itself with.
pub const COMMAND: &str = "guard";

#[cfg(target_os = "linux")]
mod platform {
    use super::{COMMAND, MARK};
    use crate::backoff::delay;
    use std::{
        io::{self, Read},
        os::unix::process::CommandExt,
        process::{Child, ChildStdout, Command, Stdio},
        sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
        thread,
        time::{Duration, Instant},
    };
    use tracing::{debug, warn};

    /// Longest time for the sweep: processes can be born while it runs, but not for ever.
    const SWEEP: Duration = Duration::from_secs(5);

    /// Before a guard is started again that has ended soon after its start; doubled each time up to [`LONGEST`].
    const FIRST: Duration = Duration::from_secs(1);

    /// See [`FIRST`]. One that has lived for longer is replaced at once.
    const LONGEST: Duration = Duration::from_secs(60);

    /// The bridge's handle on its guard. The guard acts when this is dropped or the bridge dies.
    #[derive(Debug)]
    pub struct Guard(Arc<Shared>);

    /// What the bridge and the thread that looks after the guard share.
    #[derive(Debug)]
    struct Shared {
        mark: String,
        state: Mutex<State>,
        /// Told when the bridge ends.
        ending: Condvar,
    }

    #[derive(Debug)]
    struct State {
        /// `None` while there is none.
        process: Option<Child>,
        ending: bool,
    }

    impl Guard {
        /// Starts the guard, and a thread that starts it again when somebody has ended it. No task: it is to be there until
        /// the last server has ended, after all tasks.
        pub fn start() -> io::Result<Guard> {
            let mark = uuid::Uuid::new_v4().simple().to_string();
            let (process, life) = spawn(&mark)?;
            let state = Mutex::new(State { process: Some(process), ending: false });
            let shared = Arc::new(Shared { mark, state, ending: Condvar::new() });
            let watched = shared.clone();
            // A guard that nobody looks after is better than none.
            let watching = thread::Builder::new().name("guard".into()).spawn(move || watched.watch(life));
            watching.inspect_err(|error| debug!("cannot look after the guard: {error}")).ok();
            Ok(Guard(shared))
        }

        /// The value of [`MARK`] for a child.
        pub fn mark(&self) -> String {
            match std::env::var(MARK) {
                Ok(outer) if !outer.is_empty() => format!("{outer},{}", self.0.mark),
                _ => self.0.mark.clone(),
            }
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            let process = {
                let mut state = self.0.state();
                state.ending = true;
                self.0.ending.notify_all();
                state.process.take()
            };
            if let Some(mut process) = process {
                drop(process.stdin.take());
                // Waits for the sweep, so that nobody is left when the bridge has ended. It is bounded by SWEEP.
                let _ = process.wait();
            }
        }
    }

    /// Starts this same program, in a process group of its own, so that Ctrl-C does not reach it. Its stdout closes with it:
    /// nothing is ever written there.
    fn spawn(mark: &str) -> io::Result<(Child, ChildStdout)> {
        // The link works even where the file was replaced by a newer version; the path gives the process its name.
        let program = std::env::current_exe().ok().filter(|path| path.exists());
        let mut process = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()))
            .args([COMMAND, mark])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let life = process.stdout.take().ok_or_else(|| io::Error::other("it was started without pipes"))?;
        Ok((process, life))
    }

    impl Shared {
        fn state(&self) -> MutexGuard<'_, State> {
            self.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// Ends with the bridge. Each guard that ends before is replaced.
        fn watch(&self, mut life: ChildStdout) {
            let mut early = 0;
            loop {
                let began = Instant::now();
                wait_for_end(&mut life);
                early = if began.elapsed() > LONGEST { 0 } else { early + 1 };
                match self.replace(&mut early) {
                    Some(next) => life = next,
                    None => return,
                }
            }
        }

        /// `None` when the bridge ends.
        fn replace(&self, early: &mut u32) -> Option<ChildStdout> {
            // Ends with a guard, or with the bridge.
            loop {
                let wait = if *early > 1 { delay(FIRST, LONGEST, *early - 1, 1.0) } else { Duration::ZERO };
                let waited = self.ending.wait_timeout_while(self.state(), wait, |state| !state.ending);
                let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if state.ending {
                    return None;
                }
                if let Some(mut gone) = state.process.take() {
                    // First this: if it lives after all, it must not see its stdin close, which is its sign to kill.
                    let _ = (gone.kill(), gone.wait());
                }
                match spawn(&self.mark) {
                    Ok((process, life)) => {
                        state.process = Some(process);
                        warn!(
                            "somebody ended the guard, which ends servers after a SIGKILL of the bridge; started it again"
                        );
                        return Some(life);
                    }
                    Err(error) => {
                        let what = "somebody ended the guard, and it cannot be started again";
                        warn!("{what} ({error}): for now, a SIGKILL of the bridge would leave servers behind");
                        *early = early.saturating_add(1).max(2);
                    }
                }
            }
        }
    }

    fn wait_for_end(life: &mut ChildStdout) {
        // An error is an end, too.
        while life.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
    }

    /// The guard process: waits for the end of stdin, then kills all that carry the mark.
    pub fn run(mark: &str) {
        if mark.is_empty() {
            return;
        }
        let mut stdin = io::stdin().lock();
        // Nothing is ever written to it; an error is an end, too.
        while stdin.read(&mut [0; 64]).is_ok_and(|n| n > 0) {}
        let deadline = Instant::now() + SWEEP;
        while sweep(mark.as_bytes()) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Kills the carriers of the mark; says whether there were any.
    fn sweep(mark: &[u8]) -> bool {
        let Ok(processes) = std::fs::read_dir("/proc") else { return false };
        let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
        let carriers: Vec<i32> = pids.filter(|pid| carries(*pid, mark)).collect();
        for pid in carriers.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid)) {
            // The one error that can come is that it has just ended.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        !carriers.is_empty()
    }

    /// Whether a live process has the mark in the environment that it was started with. A zombie's reads as empty.
    fn carries(pid: i32, mark: &[u8]) -> bool {
        let Ok(environment) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
        environment
            .split(|byte| *byte == 0)
            .filter_map(|variable| variable.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))
            .any(|marks| marks.split(|byte| *byte == b',').any(|one| one == mark))
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    /// No guard is needed on Windows, and none is built for other systems.
    #[derive(Debug)]
    pub struct Guard;

    impl Guard {
        /// Starts nothing.
        pub fn start() -> std::io::Result<Guard> {
            Ok(Guard)
        }

        /// No mark.
        pub fn mark(&self) -> String {
            String::new()
        }
    }

    /// Does nothing.
    pub fn run(_mark: &str) {}
}

pub use platform::{Guard, run};
