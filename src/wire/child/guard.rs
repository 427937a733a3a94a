//! The guard: a second process that ends every descendant when the bridge is gone, however it went.
//!
//! Owns the mark that each child carries in its environment and, in the guard process, the search for it. A process
//! that is killed with SIGKILL cannot clean up after itself, so somebody else has to. The guard holds one end of a pipe
//! whose other end only the bridge has; when that closes, the guard kills every process that carries the mark, also
//! those that left their process group. Linux only: it reads `/proc`. Windows needs no guard: it ends a job object's
//! processes when the bridge's handle closes. Elsewhere a SIGKILL of the bridge leaves its servers to see their stdin close.
//!
//! It never talks to a child and never outlives its sweep.

/// The variable that carries the marks, one for each bridge above the process, separated by commas.
pub const MARK: &str = "MCP_BRIDGE_GUARD";

/// The hidden subcommand that the bridge starts itself with.
pub const COMMAND: &str = "guard";

#[cfg(target_os = "linux")]
mod platform {
    use super::{COMMAND, MARK};
    use std::{
        io::{self, Read},
        os::unix::process::CommandExt,
        process::{Child, Command, Stdio},
        time::{Duration, Instant},
    };

    /// Longest time for the sweep: processes can be born while it runs, but not for ever.
    const SWEEP: Duration = Duration::from_secs(5);

    /// The bridge's handle on its guard. The guard acts when this is dropped or the bridge dies.
    #[derive(Debug)]
    pub struct Guard {
        mark: String,
        process: Child,
    }

    impl Guard {
        /// Starts the guard: this same program, in a process group of its own, so that Ctrl-C does not reach it.
        pub fn start() -> io::Result<Guard> {
            let mark = uuid::Uuid::new_v4().simple().to_string();
            // The link works even where the file was replaced by a newer version; the path gives the process its name.
            let program = std::env::current_exe().ok().filter(|path| path.exists());
            let process = Command::new(program.unwrap_or_else(|| "/proc/self/exe".into()))
                .args([COMMAND, &mark])
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .process_group(0)
                .spawn()?;
            Ok(Guard { mark, process })
        }

        /// The value of [`MARK`] for a child.
        pub fn mark(&self) -> String {
            match std::env::var(MARK) {
                Ok(outer) if !outer.is_empty() => format!("{outer},{}", self.mark),
                _ => self.mark.clone(),
            }
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            drop(self.process.stdin.take());
            // Waits for the sweep, so that nobody is left when the bridge has ended. It is bounded by SWEEP.
            let _ = self.process.wait();
        }
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
