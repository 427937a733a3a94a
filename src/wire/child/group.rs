//! A child process with all its descendants, as the platform groups them.
//!
//! Owns the process handle; the rest of the crate never names a signal. Unix: a process group of its own, signalled as
//! a whole. Windows: a job object, which the system ends together with the bridge. Dropped, it kills the group: also in a
//! panic.

use std::{io, process::ExitStatus};

use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

/// The three pipes of a child.
pub type Pipes = (ChildStdin, ChildStdout, ChildStderr);

fn no_pipe() -> io::Error {
    io::Error::other("the child was started without pipes")
}

#[cfg(unix)]
mod platform {
    use super::*;
    use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
    use std::os::unix::process::ExitStatusExt;

    /// A child in a process group of its own.
    #[derive(Debug)]
    pub struct Group {
        child: tokio::process::Child,
        pgid: Option<Pid>,
    }

    impl Group {
        /// Starts the command as the leader of a new group.
        pub fn spawn(mut command: Command) -> io::Result<Group> {
            let child = command.process_group(0).spawn()?;
            let pgid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
            Ok(Group { child, pgid })
        }

        /// The pipes, once.
        pub fn pipes(&mut self) -> io::Result<Pipes> {
            let child = &mut self.child;
            let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            Ok((stdin.ok_or_else(no_pipe)?, stdout.ok_or_else(no_pipe)?, stderr.ok_or_else(no_pipe)?))
        }

        /// Waits for the leader. Cancel-safe.
        pub async fn wait(&mut self) -> io::Result<ExitStatus> {
            self.child.wait().await
        }

        /// Asks every process of the group to end.
        pub fn terminate(&self) {
            self.signal(Signal::TERM);
        }

        /// Ends every process of the group.
        pub fn kill(&self) {
            self.signal(Signal::KILL);
        }

        /// Whether a process of the group is left.
        pub fn is_alive(&self) -> bool {
            self.pgid.is_some_and(|pgid| test_kill_process_group(pgid).is_ok())
        }

        /// The group is known to be empty: its number may soon be another group's.
        pub fn forget(&mut self) {
            self.pgid = None;
        }

        fn signal(&self, signal: Signal) {
            if let Some(pgid) = self.pgid {
                // The one error that can come is that nobody is left.
                let _ = kill_process_group(pgid, signal);
            }
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            self.kill();
        }
    }

    /// The signal that ended a process.
    pub fn ended_by(status: ExitStatus) -> Option<i32> {
        status.signal()
    }
}

#[cfg(windows)]
mod platform {
    use super::*;
    use process_wrap::tokio::{ChildWrapper, CommandWrap, JobObject, KillOnDrop};

    /// A child in a job object of its own.
    #[derive(Debug)]
    pub struct Group {
        child: Box<dyn ChildWrapper>,
        ended: bool,
    }

    impl Group {
        /// Starts the command in a new job object.
        pub fn spawn(command: Command) -> io::Result<Group> {
            let mut command = CommandWrap::from(command);
            // Without the first, the processes of a job live on when its last handle closes.
            let child = command.wrap(KillOnDrop).wrap(JobObject).spawn()?;
            Ok(Group { child, ended: false })
        }

        /// The pipes, once.
        pub fn pipes(&mut self) -> io::Result<Pipes> {
            let child = &mut self.child;
            let (stdin, stdout, stderr) = (child.stdin().take(), child.stdout().take(), child.stderr().take());
            Ok((stdin.ok_or_else(no_pipe)?, stdout.ok_or_else(no_pipe)?, stderr.ok_or_else(no_pipe)?))
        }

        /// Waits for the leader. Cancel-safe. Not for the whole job: a descendant that lives on would hide a crash.
        pub async fn wait(&mut self) -> io::Result<ExitStatus> {
            let status = self.child.inner_mut().wait().await;
            self.ended = true;
            status
        }

        /// Windows has no request to end for a program without a window: closing stdin was that. Descendants that
        /// outlived the leader are ended.
        pub fn terminate(&mut self) {
            if self.ended {
                self.kill();
            }
        }

        /// Ends every process of the job.
        pub fn kill(&mut self) {
            // The one error that can come is that nobody is left.
            let _ = self.child.start_kill();
        }

        /// Whether the leader is left.
        pub fn is_alive(&self) -> bool {
            !self.ended
        }

        /// The job is known to be empty.
        pub fn forget(&mut self) {
            self.ended = true;
        }
    }

    impl Drop for Group {
        fn drop(&mut self) {
            self.kill();
        }
    }

    /// Windows processes are not ended by signals.
    pub fn ended_by(_status: ExitStatus) -> Option<i32> {
        None
    }
}

pub use platform::{Group, ended_by};
