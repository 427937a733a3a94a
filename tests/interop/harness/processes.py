"""Starts the processes of one job, waits for what they announce, and ends them all. Nothing outlives its job."""

import json
import os
import queue
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

START_SECONDS = 30
# The bridge's own drain time is 10 s by default.
STOP_SECONDS = 15
# For one answer, with the login that it may take.
ANSWER_SECONDS = 60
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
        self.talking = []
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

    def talk(self, argv, name, env=None):
        """Starts a command to be spoken to while it runs. Who closes it gets its exit code; else it ends with the job."""
        program = Program(argv, self.directory / f"{name}.stderr", self.environment(env))
        self.talking.append(program)
        return program

    def said(self, name):
        """What a process has on stderr so far."""
        return (self.directory / f"{name}.stderr").read_text(errors="replace")

    def tail(self, name):
        path = self.directory / name
        lines = path.read_text(errors="replace").splitlines() if path.exists() else []
        return " | ".join(lines[-5:]) or "(nothing)"

    def stop(self):
        """Ends every server, last started first. Returns what went wrong, as texts."""
        wrong = []
        for program in self.talking:
            kill_group(program.process)
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


class Program:
    """A command with its stdin and its output at hand; `ask` speaks MCP over stdio to it."""

    def __init__(self, argv, log, env):
        self.log = log
        self.process = subprocess.Popen(
            argv,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("wb"),
            start_new_session=True,
        )
        self.lines = queue.Queue()
        self.asked = 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.process.stdout:
            self.lines.put(line.decode())
        self.lines.put(None)

    def send(self, message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, method, params=None):
        """The whole answer to a request: with a result or an error."""
        self.asked += 1
        self.send({"id": self.asked, "method": method, "params": params or {}})
        deadline = time.monotonic() + ANSWER_SECONDS
        while line := self.line(deadline - time.monotonic()):
            frame = json.loads(line)
            if frame.get("id") == self.asked and "method" not in frame:
                return frame
        raise Failed(f"no answer to {method}: {self.said()[-300:]}")

    def line(self, seconds):
        try:
            return self.lines.get(timeout=max(seconds, 0))
        except queue.Empty:
            return None

    def said(self):
        """What is on stderr so far."""
        return self.log.read_text(errors="replace")

    def says(self, pattern):
        """Waits until stderr has the pattern."""
        deadline = time.monotonic() + START_SECONDS
        while not (found := re.search(pattern, self.said())):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise Failed(f"nothing like {pattern!r} on stderr: {self.said()[-300:]}")
            time.sleep(0.02)
        return found

    def close(self):
        """Closes stdin and returns (exit code or None when time ran out, what is left of stdout)."""
        self.process.stdin.close()
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
            kill_group(self.process)
        return code, "".join(iter(self.lines.get, None))


def kill_group(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
