"""What the clients of both generations share: the command line, the kept notifications and frames, and how a check is made
and told. A check prints `ok NAME` or `FAIL NAME: why`; the last line is `done`. checks.mjs is the same for TypeScript.
"""

import os
import sys
import time as clock
from pathlib import Path

import anyio

# How long one check may take, in seconds; the harness bounds the whole run.
CHECK_SECONDS = 15
# A client that closes stdin may expect its server to be gone before the SDK reaches for SIGTERM (2 s).
PROMPT_CLOSE_SECONDS = 1.5
# Text that every layer must leave as it is.
STRANGE = 'Grüße\u2028 \u0000 \\" 日本 🦀'

arguments = sys.argv[1:]
given = {}
while arguments and arguments[0].startswith("--"):
    name, value, *arguments = arguments
    given[name[2:]] = value
profile = given.get("profile")
dirs = given.get("dirs", "").split(",")
# Of the second generation only: how it negotiates, and the era that it must come to.
mode, era = given.get("mode"), given.get("era")
kind, *target = arguments


class Inbox:
    """Every notification, each handed out once."""

    def __init__(self):
        self.kept = []
        self.news = anyio.Event()

    def put(self, notification):
        self.kept.append(notification)
        self.news.set()
        self.news = anyio.Event()

    async def next(self, method, matches=lambda params: True):
        while True:
            for message in self.kept:
                if message.method == method and matches(message.params):
                    self.kept.remove(message)
                    return message.params
            await self.news.wait()


inbox = Inbox()
# Every frame as it came: progress is judged here, where its place before the answer is seen.
frames = []


def progress_before_answers(since):
    """The progress of calls made since `frames[since]`: per call the numbers seen before its answer."""
    seen, answered = {}, set()
    for frame in frames[since:]:
        if getattr(frame, "method", None) == "notifications/progress":
            token = frame.params["progressToken"]
            assert token not in answered, "progress came after the answer"
            seen.setdefault(token, []).append(int(frame.params["progress"]))
        elif not hasattr(frame, "method"):
            answered.add(frame.id)
    return sorted(seen.values(), key=len)


def up_to(last):
    return list(range(1, last + 1))


failed = 0
checks = []


async def check(name, run):
    global failed
    try:
        with anyio.fail_after(CHECK_SECONDS):
            await run()
        print(f"ok {name}", flush=True)
    except Exception as error:
        failed += 1
        while getattr(error, "exceptions", None):
            error = error.exceptions[0]
        why = str(error) or type(error).__name__
        print(f"FAIL {name}: {why}".replace("\n", " | "), flush=True)


def checked(name):
    """Makes a nested function a check: `@checked("name") async def _(): ...`, collected in order by `run_all`."""

    def keep(run):
        checks.append((name, run))
        return run

    return keep


def equal(actual, expected):
    assert actual == expected, f"expected {expected!r:.300}, got {actual!r:.300}"


async def together(*runs):
    """The results of coroutines run at once, in the order given."""
    results = [None] * len(runs)

    async def one(i, run):
        results[i] = await run

    async with anyio.create_task_group() as tasks:
        for i, run in enumerate(runs):
            tasks.start_soon(one, i, run)
    return results


def names(entries):
    return [entry.name for entry in entries]


def uri_of(directory):
    return Path(directory).as_uri()


async def written(file):
    """Waits until a server has written the file: what it does after a call is over is seen nowhere else."""
    while not os.path.exists(file):
        await anyio.sleep(0.01)


async def run_checks():
    for name, run in checks:
        await check(name, run)


async def closed_since(before):
    """Checks that the command that was the server's end did not take too long."""
    took = clock.monotonic() - before

    async def prompt():
        late = "prompt-close" in given and took >= PROMPT_CLOSE_SECONDS
        assert not late, f"the command took {took:.1f} s to end after its stdin closed"

    await check("close", prompt)


def done():
    print("done", flush=True)
    sys.exit(1 if failed else 0)
