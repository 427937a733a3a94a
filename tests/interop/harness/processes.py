"""Starts the processes of one job, waits for what they announce, and ends them all. Nothing outlives its job."""

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

START_SECONDS = 30
# The bridge's own drain time is 10 s by default.
STOP_SECONDS = 15
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
# In the environment of everything a job starts, so that what is left behind can be found.
MARK = "MCP_INTEROP_JOB"


class Failed(Exception):
    """A process did not do what was asked of it."""


class Processes:
    def __init__(self, directory: Path, job: str):
        self.directory = directory
        self.mark = f"{os.getpid()}-{job}"
        self.listening = []
        directory.mkdir(parents=True, exist_ok=True)

    def environment(self, extra=None):
        return {**os.environ, "NO_COLOR": "1", MARK: self.mark, **(extra or {})}

    def listen(self, argv, name, env=None, graceful=False):
        """Starts a server and returns the address that it prints on stderr. `graceful`: SIGTERM must end it with 0."""
        process = subprocess.Popen(
            argv,
            env=self.environment(env),
            stdin=subprocess.DEVNULL,
            stdout=(self.directory / f"{name}.stdout").open("wb"),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.listening.append((name, process, graceful))
        address = []
        spoke = threading.Event()

        def copy_stderr():
            with (self.directory / f"{name}.stderr").open("wb") as log:
                for line in process.stderr:
                    log.write(line)
                    log.flush()
                    found = ADDRESS.search(line.decode(errors="replace"))
                    if found and not address:
                        address.append(found.group())
                        spoke.set()
            spoke.set()

        threading.Thread(target=copy_stderr, daemon=True).start()
        spoke.wait(START_SECONDS)
        if not address:
            raise Failed(f"`{' '.join(argv)}` announced no address on stderr: {self.tail(f'{name}.stderr')}")
        return address[0]

    def run(self, argv, name, seconds, env=None):
        """Runs a command to its end and returns (exit code or None when time ran out, its stdout)."""
        with (self.directory / f"{name}.stderr").open("wb") as stderr:
            process = subprocess.Popen(
                argv,
                env=self.environment(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                stdout, _ = process.communicate(timeout=seconds)
                code = process.returncode
            except subprocess.TimeoutExpired:
                kill_group(process)
                stdout, _ = process.communicate()
                code = None
        (self.directory / f"{name}.stdout").write_bytes(stdout)
        return code, stdout.decode(errors="replace")

    def tail(self, name):
        path = self.directory / name
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return " | ".join(lines[-5:]) or "(nothing)"

    def stop(self):
        """Ends every server, last started first. Returns what went wrong, as texts."""
        wrong = []
        for name, process, graceful in reversed(self.listening):
            process.send_signal(signal.SIGTERM)
            try:
                code = process.wait(STOP_SECONDS)
                if graceful and code != 0:
                    wrong.append(f"{name} ended with {code} after SIGTERM, not with 0: {self.tail(f'{name}.stderr')}")
            except subprocess.TimeoutExpired:
                wrong.append(f"{name} was still alive {STOP_SECONDS} s after SIGTERM")
            kill_group(process)
        self.listening.clear()
        return wrong + self.left_behind()

    def left_behind(self):
        """Ends what carries this job's mark and still runs (Linux), and says what it was."""
        deadline = time.monotonic() + 2
        while (left := self.marked()) and time.monotonic() < deadline:
            # Killed groups take a moment to be reaped.
            time.sleep(0.05)
        for pid, _ in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        return [f"left behind: process {pid}, {command}" for pid, command in left]

    def marked(self):
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found.append((int(entry.name), command.strip()))
            except OSError:
                # Gone meanwhile, or another user's.
                continue
        return found


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
