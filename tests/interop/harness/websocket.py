"""The jobs of Autobahn's WebSocket test suite: its cases against the bridge's WebSocket, as server and as client.

What is tried is `examples/ws_echo.rs`, the bridge's own handshake, codec and socket under an echo of text: the suite knows
nothing of MCP. Which cases are left out, and why, is in `fixtures/websocket_cases.py` (EXCLUDED).
"""

import json
from functools import partial
from pathlib import Path

from .install import HERE

# The messages of 16 MiB, and the cases of seconds, in a debug build on a busy machine.
SUITE_SECONDS = 900
# INFORMATIONAL: the specification leaves it open, and the suite only looks.
GOOD = ("OK", "INFORMATIONAL")


def jobs(software):
    """Yields (name, run, needs_bridge)."""
    for role in ("server", "client"):
        yield f"autobahn websocket, as {role}", partial(suite, software, role), True


def suite(software, role, processes):
    echo = Path(software.bridge).parent / "examples/ws_echo"
    if not echo.exists():
        yield "built", f"{echo} is missing: build it with `cargo build --example ws_echo`"
        return
    fuzzer = [software.websocket_python, "-B", str(HERE / "fixtures/websocket_cases.py")]
    code, stdout = processes.run([*fuzzer, role, str(echo)], "suite", SUITE_SECONDS)
    told = [json.loads(line) for line in stdout.splitlines()]
    missing = sorted({case for line in told for case in line.get("cases", [])} - {line.get("case") for line in told})
    for line in told:
        if "case" in line:
            good = line["behavior"] in GOOD and line["close"] in GOOD
            yield line["case"], None if good else f"{line['behavior']}, close {line['close']} {line['code']}: {line['why']}"
    for case in missing:
        yield case, "it was not run to its end"
    why = f"exit code {code}: {processes.tail('suite.stderr')}"
    yield "the suite ran to its end", None if code == 0 and told else why
