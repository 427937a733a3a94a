"""Gets other people's software at the versions of the lock files, into directories that git ignores. Once per lock file."""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
VENVS = HERE / ".venv"
# The conformance suite and the Inspector need Node 22; npm has it as a package, so no other one need be installed.
NODE_AT_LEAST = (22, 19)
PYTHON_AT_LEAST = (3, 10)


class Missing(Exception):
    """Something that the tests need is not there; the text says what to do."""


def install():
    """Makes sure that everything is installed, and returns the path of node."""
    if sys.version_info < PYTHON_AT_LEAST:
        raise Missing(f"Python {platform.python_version()} is too old: run this with Python 3.10 or newer")
    if not shutil.which("npm"):
        raise Missing("npm was not found on PATH: install Node.js with npm (any version since 18)")
    once("package-lock.json", HERE / "node_modules", npm)
    once("requirements.txt", VENVS / "sdk", venv)
    once("requirements-modern.txt", VENVS / "modern", venv)
    once("requirements-websocket.txt", VENVS / "websocket", venv)
    return node()


def once(lock, into, how):
    """Runs `how(lock, into)` unless `into` was already made from this very lock file."""
    wanted = hashlib.sha256((HERE / lock).read_bytes()).hexdigest()
    stamp = into / ".made-from"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"installing what {lock} names", flush=True)
    how(lock, into)
    stamp.write_text(wanted)


def npm(lock, into):
    # No package here needs its install script, so none is run.
    command(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])


def venv(lock, into):
    shutil.rmtree(into, ignore_errors=True)
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        python3_venv()
    command([sys.executable, "-m", "venv", str(into)])
    # The lock file names everything, so nothing is resolved here.
    command([str(into / "bin/pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r", lock])


def python3_venv():
    """Debian splits ensurepip off from Python."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise Missing("Python's ensurepip is missing: install it (Debian and Ubuntu: apt-get install python3-venv)")
    command(["apt-get", "install", "--yes", "--quiet", "python3-venv"])


def node():
    for packed in sorted(HERE.glob("node_modules/node-*/bin/node")):
        if works(str(packed)):
            return str(packed)
    found = shutil.which("node")
    if found and works(found):
        return found
    raise Missing("no Node.js of 22.19 or newer: npm packs one for Linux on x64 and arm64 only, install it yourself elsewhere")


def works(path):
    done = subprocess.run([path, "--version"], capture_output=True, text=True)
    version = re.match(r"v(\d+)\.(\d+)", done.stdout)
    return done.returncode == 0 and version is not None and tuple(map(int, version.groups())) >= NODE_AT_LEAST


def command(argv):
    done = subprocess.run(argv, cwd=HERE, timeout=600)
    if done.returncode != 0:
        raise Missing(f"`{' '.join(argv)}` failed with exit code {done.returncode}: see its output above")
