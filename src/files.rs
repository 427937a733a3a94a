//! Reading the files that users name.
//!
//! Owns nothing. Talks to the file system. It never waits without end: a file can become a pipe while the bridge runs, and
//! opening one that nobody writes to would hold up whoever reads it again for ever.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// For what comes out of a pipe, as `<(command)` is one.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two looks at a pipe whose writer has written nothing yet.
const PAUSE: Duration = Duration::from_millis(10);

/// The largest file that is read, in bytes. The certificates of every public authority together take a quarter of it.
pub const MOST: usize = 1024 * 1024;

/// What is in a file. A pipe that nobody writes to is empty.
///
/// # Errors
///
/// Those of the system; `FileTooLarge` beyond [`MOST`], and `TimedOut` for a pipe whose writer is silent.
pub fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut options = OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, rustix::fs::OFlags::NONBLOCK.bits() as i32);
    let (mut file, mut bytes) = (options.open(path)?.take(MOST as u64 + 1), Vec::new());
    let end = Instant::now() + PATIENCE;
    // Ends with the file, or with the time for it. What was read before an error stays.
    loop {
        match file.read_to_end(&mut bytes) {
            Ok(_) if bytes.len() <= MOST => return Ok(bytes),
            Ok(_) => {
                let why = format!("it is larger than {} KiB", MOST / 1024);
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
            }
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
            Err(_) if Instant::now() < end => thread::sleep(PAUSE),
            Err(_) => {
                let why = format!("it is a pipe whose writer was silent for {} s", PATIENCE.as_secs());
                return Err(io::Error::new(io::ErrorKind::TimedOut, why));
            }
        }
    }
}

/// The same of a text.
pub fn text(path: &Path) -> io::Result<String> {
    String::from_utf8(bytes(path)?).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_pipe_is_read_to_its_end_and_one_without_a_writer_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(text(&path).unwrap(), "");
        // Open both ways, so that there is a writer before anybody reads.
        let mut writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        writer.write_all(b"token").unwrap();
        let reader = thread::spawn(move || text(&path).unwrap());
        // The reader has taken it when the pipe is empty; it waits for the rest.
        while rustix::io::ioctl_fionread(&writer).unwrap() > 0 {
            thread::yield_now();
        }
        writer.write_all(b" and more").unwrap();
        drop(writer);
        assert_eq!(reader.join().unwrap(), "token and more");
    }

    #[test]
    fn what_has_no_end_is_too_large_and_a_directory_is_no_file() {
        assert_eq!(bytes(Path::new("/dev/zero")).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(bytes(Path::new("/")).unwrap_err().kind(), io::ErrorKind::IsADirectory);
    }
}
