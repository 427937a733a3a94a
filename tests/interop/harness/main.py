"""The command line: what to run, two jobs at a time, and the report."""

import argparse
import os
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed

from .install import HERE, Missing, install
from .jobs import all_jobs
from .matrix import Software

RESULTS = HERE / ".results"


def main():
    parser = argparse.ArgumentParser(prog="run", description="Try the bridge against software that others wrote.")
    parser.add_argument("--direct", action="store_true", help="only the baseline: no bridge, no MCP_BRIDGE needed")
    parser.add_argument("--only", action="append", default=[], metavar="TEXT", help="only jobs whose name has this text; repeat to narrow")
    parser.add_argument("--list", action="store_true", help="print the names of the jobs and end")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="how many at a time (default 2)")
    options = parser.parse_args()
    try:
        bridge = None if options.direct else find_bridge()
        software = Software("node" if options.list else install(), bridge)
    except Missing as error:
        sys.exit(f"interop: {error}")

    jobs = [job for job in all_jobs(software) if not (options.direct and job.needs_bridge)]
    jobs = [job for job in jobs if all(text in job.name for text in options.only)]
    if options.list:
        print("\n".join(job.name for job in jobs))
        return
    if not jobs:
        sys.exit("interop: no job has all the texts of --only in its name; --list shows the names")
    sys.exit(1 if run(jobs, options.jobs) else 0)


def find_bridge():
    path = os.environ.get("MCP_BRIDGE")
    if not path:
        raise Missing("MCP_BRIDGE is not set: set it to the path of the mcp-bridge binary, or give --direct")
    found = shutil.which(path)
    if not found:
        raise Missing(f"MCP_BRIDGE={path} is not a program: build it with `cargo build`")
    return os.path.abspath(found)


def run(jobs, at_once):
    """Runs the jobs and prints every one of them, failures in full. Returns how many checks failed."""
    shutil.rmtree(RESULTS, ignore_errors=True)
    passed = failed = 0
    with ThreadPoolExecutor(at_once) as pool:
        running = {pool.submit(timed, job): job for job in jobs}
        for done in as_completed(running):
            checks, seconds = done.result()
            bad = [(name, why) for name, why in checks if why is not None]
            passed += len(checks) - len(bad)
            failed += len(bad)
            print(f"{'FAIL' if bad else 'ok  '} {running[done].name} ({len(checks)} checks, {seconds:.1f} s)")
            for name, why in bad:
                print(f"       {name}: {why[:600]}")
            sys.stdout.flush()
    print(f"{passed} passed, {failed} failed")
    return failed


def timed(job):
    start = time.monotonic()
    return job.checks(RESULTS), time.monotonic() - start
