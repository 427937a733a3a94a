//! The end of the audit log: a thread that writes it.
//!
//! Owns the file, and what becomes of lines that cannot be written. Talks to the file system and to the log. It never lets
//! those who call wait: a line for which there is no room is counted, and the count is the next line.
//!
//! A thread and no task: a disk that stalls must not hold up a worker of the runtime.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{Arc, atomic::Ordering, mpsc},
    time::{Duration, SystemTime},
};

use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::{
    Entry, Marks, Place,
    record::{Event, Record},
};

/// Lines that one write may carry.
const BATCH: usize = 256;

/// Between two attempts at a file that cannot be written, where no new line tries it.
const RETRY: Duration = Duration::from_secs(1);

/// Where lines go.
enum Sink {
    Stderr,
    File(File),
}

impl Sink {
    /// Opens the place; a file is made if it is not there, for this user alone, and never cut short. Says whether what is
    /// in it ends within a line, as after a crash.
    fn open(place: &Place) -> io::Result<(Sink, bool)> {
        let Place::File(path) = place else { return Ok((Sink::Stderr, false)) };
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            // A pipe that nobody reads is an error: waiting for a reader, the bridge would not start, and not say why.
            options.mode(0o600).custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32);
        }
        let file = options.open(path)?;
        // Of nothing but a file there is an end to look at.
        let torn = file.metadata()?.is_file() && is_torn(path).unwrap_or(false);
        Ok((Sink::File(file), torn))
    }

    /// Writes all of it; an error says how much went before.
    fn write(&mut self, all: &[u8]) -> Result<(), (usize, io::Error)> {
        let mut rest = all;
        while !rest.is_empty() {
            let written = match self {
                Sink::Stderr => io::stderr().write(rest),
                Sink::File(file) => file.write(rest),
            };
            match written {
                Ok(0) => return Err((all.len() - rest.len(), io::ErrorKind::WriteZero.into())),
                Ok(n) => rest = rest.get(n..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((all.len() - rest.len(), error)),
            }
        }
        Ok(())
    }
}

fn is_torn(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

/// Lines that are not in the file as a whole when it has so much of these.
fn unwritten(lines: &[u8], written: usize) -> u64 {
    lines.get(written..).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count() as u64
}

/// Whether the file ends within a line when it has so much of these; `None`: nothing has changed.
fn ends_torn(lines: &[u8], written: usize) -> Option<bool> {
    written.checked_sub(1).and_then(|last| lines.get(last)).map(|last| *last != b'\n')
}

/// The thread's own.
pub(super) struct Writer {
    place: Place,
    sink: Sink,
    rx: mpsc::Receiver<Entry>,
    marks: Arc<Marks>,
    /// Dropped at the end, which is how that is known.
    _done: oneshot::Sender<()>,
    state: State,
}

/// How the writing goes.
#[derive(Default)]
struct State {
    /// The last write ended within a line.
    torn: bool,
    failing: bool,
}

impl Writer {
    /// Opens the place, and writes nothing yet.
    pub(super) fn open(
        place: &Place,
        rx: mpsc::Receiver<Entry>,
        marks: Arc<Marks>,
        done: oneshot::Sender<()>,
    ) -> io::Result<Writer> {
        let (sink, torn) = Sink::open(place)?;
        let state = State { torn, ..State::default() };
        Ok(Writer { place: place.clone(), sink, rx, marks, _done: done, state })
    }

    /// Ends when it is told to and nothing waits, or when nobody can say anything any more.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut buffer = Vec::new();
        loop {
            let open = self.gather(&mut batch);
            let idle = batch.is_empty();
            self.write(&mut batch, &mut buffer);
            if self.marks.reopen.swap(false, Ordering::AcqRel) {
                self.reopen();
            }
            if !open || (idle && self.marks.ending.load(Ordering::Acquire)) {
                return;
            }
        }
    }

    /// Waits for lines. False when none can come any more.
    fn gather(&self, batch: &mut Vec<Record>) -> bool {
        let first = match self.marks.lost.load(Ordering::Relaxed) {
            0 if !self.marks.ending.load(Ordering::Acquire) => {
                self.rx.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected)
            }
            // What is owed is tried again, also where nothing happens.
            _ => self.rx.recv_timeout(if self.marks.ending.load(Ordering::Acquire) { Duration::ZERO } else { RETRY }),
        };
        let mut next = match first {
            Ok(first) => Some(first),
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => return false,
        };
        while let Some(entry) = next {
            if let Entry::Line(record) = entry {
                batch.push(*record);
            }
            next = if batch.len() < BATCH { self.rx.try_recv().ok() } else { None };
        }
        true
    }

    fn write(&mut self, batch: &mut Vec<Record>, buffer: &mut Vec<u8>) {
        let count = self.marks.lost.swap(0, Ordering::Relaxed);
        if batch.is_empty() && count == 0 {
            return;
        }
        buffer.clear();
        if self.state.torn {
            buffer.push(b'\n');
        }
        if count > 0 {
            let time = SystemTime::now();
            Record { time, who: Arc::default(), session: None, event: Event::Lost { count } }.write(buffer);
        }
        let owed = buffer.len();
        batch.drain(..).for_each(|record| record.write(buffer));
        match self.sink.write(buffer) {
            Ok(()) => {
                self.state.torn = false;
                self.told(count);
            }
            Err((written, error)) => {
                let untold = if count > 0 && written < owed { count } else { 0 };
                let lines = unwritten(buffer, written.max(owed));
                self.marks.lost.fetch_add(untold + lines, Ordering::Relaxed);
                self.state.torn = ends_torn(buffer, written).unwrap_or(self.state.torn);
                self.failed(&error);
            }
        }
        // One large batch is no reason to keep its memory.
        buffer.shrink_to(64 * 1024);
    }

    /// What was lost stands in the file now.
    fn told(&mut self, count: u64) {
        if std::mem::take(&mut self.state.failing) {
            info!("{} is written again; it says how many lines were lost: {count}", self.place);
        } else if count > 0 && self.marks.may_warn() {
            warn!("{} is slower than its callers; {count} lines were lost, and it says so", self.place);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.state.failing = true;
        if self.marks.may_warn() {
            error!(
                "cannot write {}: {error}; lines are lost, and counted; calls go on; make room, or move the file and \
                 send SIGHUP",
                self.place
            );
        }
    }

    fn reopen(&mut self) {
        match Sink::open(&self.place) {
            Ok((sink, torn)) => {
                (self.sink, self.state.torn) = (sink, torn);
                info!("{} is opened again", self.place);
            }
            Err(error) => error!("cannot open {} again: {error}; the file that is open is written on", self.place),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_disk_that_fills_up_half_way_each_line_that_is_not_whole_is_lost() {
        let lines = b"{1}\n{2}\n{3}\n";
        for (written, lost, torn) in [
            (0, 3, None),
            (1, 3, Some(true)),
            (3, 3, Some(true)),
            (4, 2, Some(false)),
            (9, 1, Some(true)),
            (12, 0, Some(false)),
        ] {
            assert_eq!((unwritten(lines, written), ends_torn(lines, written)), (lost, torn), "{written}");
        }
    }
}
