#!/usr/bin/env python3
"""Checks the claim protocol: claim.pml in all its configurations, and all its mutants.

    python3 tests/model/run.py [--build-dir D] [--only NAME...]

For each configuration spin generates a verifier, gcc compiles it, and it searches every state.
Fails if a configuration has an error, if a search is not complete, or if a mutant has no error.
"""

import argparse
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

MODEL = pathlib.Path(__file__).resolve().parent / "claim.pml"
MEMORY_MIB = 4000
SECONDS = 600  # for one verifier; far more than any needs, also on a busy machine

# name: (definitions, what it is for)
CONFIGURATIONS = {
    "claim": ("WAIT CRASHES=2", "claim, start, publish, sweep; each future waited for"),
    "cancel": ("WAIT CANCEL TASKS=4 RING=3 CRASHES=0", "cancelling until the ring is full"),
    "kill": ("WAIT CANCEL KILLS=1 TASKS=2 CRASHES=2", "kill and cancel beside crashes"),
    "notify": ("WAIT NOTIFY CRASHES=1", "done-stacks and the doorbell, beside waiting"),
    "notify-2": ("NOTIFY WAIT TASKS=2 CRASHES=2", "the same with two deaths"),
    "retry": ("WAIT NOTIFY RETRIES=1 TASKS=2 CRASHES=2", "a started task runs again"),
    "limit": ("WAIT NOTIFY KILLS=1 LIMITS=1 RETRIES=1 SLOTS=1 TASKS=2 CRASHES=1",
              "time limits, beside a cancel, a retry and a crash"),
    "limit-2": ("WAIT KILLS=1 LIMITS=2 RETRIES=2 TASKS=2 CRASHES=1", "two limits, two retries"),
    "sleep": ("WAIT POLICY SLOTS=1 TASKS=2 CRASHES=1", "spinning, watchdog, sleepers; every wake is earned"),
    "bounded": ("WAIT POLICY BOUNDED TASKS=2 CRASHES=0", "the same; sleeps end by themselves"),
    "fan-out": ("WAIT POLICY LONG TASKS=2 CRASHES=0", "long tasks: a backlog finds the idle worker"),
    "long": ("WAIT POLICY LONG TASKS=2 CRASHES=1", "the same beside a death"),
    "stop": ("WAIT STOPS=1 CRASHES=1", "a worker stops for ever: only what it holds is stuck"),
    "stop-hint": ("WAIT STOPS=1 REHINT CRASHES=1", "the same, and waiters hint again"),
    "live": ("WAIT NOTIFY LIVENESS TASKS=2 CRASHES=1", "every task resolves, weak fairness"),
    "live-sleep": ("WAIT POLICY LIVENESS SLOTS=1 TASKS=1 CRASHES=1", "the same with sleepers"),
}

# mutant: (the configuration that must notice, what is broken)
MUTANTS = {
    "NO_SWEEP": ("claim", "a dead worker is replaced, not swept"),
    "NO_REHINT": ("claim", "the sweep gives no new hint for hints that died"),
    "RECLAIM_ON_TIMEOUT": ("claim", "a slow worker is swept as if it were dead"),
    "ONE_BIT_GENERATION": ("claim", "generations compare by one bit"),
    "CLAIM_IN_TWO_STORES": ("claim", "state first, owner in a second store"),
    "NO_REWAKE": ("claim", "the sweep wakes nobody"),
    "NO_COMPACTION": ("cancel", "hints of cancelled tasks stay until a worker takes them"),
    "KILL_WITHOUT_STATE": ("kill", "SIGKILL after a look at the word, not after a CAS"),
    "PUSH_AFTER_DONE": ("notify", "the done-stack is pushed to after DONE"),
    "ENTRY_COUNTS_UNCHECKED": ("notify", "an entry counts before its word is final"),
    "FREE_ON_STACK": ("notify", "a slot is freed while it is a link of a done-stack"),
    "ARM_AFTER_LOOKING": ("notify", "the doorbell is armed after the words were looked at"),
    "STACK_NOT_EMPTIED": ("retry", "the sweep leaves the dead worker's done-stack"),
    "STAMP_KEPT": ("retry", "a task goes back with the stamp of its first start"),
    "PENDING_KEPT": ("retry", "a task goes back while its first entry is still pending"),
    "LIMIT_WITHOUT_STATE": ("limit", "a limit kills after a look at the word, not after a CAS"),
    "OVERRUN_KEPT": ("limit-2", "a cancel of the next attempt is taken for the limit of the first"),
    "CANCEL_BESIDE_LIMIT": ("limit", "a cancel of a task that is over its limit changes nothing"),
    "NO_RECHECK": ("sleep", "a sleeper does not look again after it set its bit"),
    "REWAKE_BY_BITMAP": ("long", "the sweep wakes only those whose bit is set"),
    "NO_ROLE_RECHECK": ("long", "a sleeper does not look whether it was given a role"),
    "KICK_GIVES_UP": ("fan-out", "a kick whose CAS fails is not repeated"),
    "NO_WITHDRAWAL": ("fan-out", "a role given to a worker that was awake stays with it"),
}


class Result:
    def __init__(self, states, seconds, error, complete):
        self.states, self.seconds, self.error, self.complete = states, seconds, error, complete


def check(name, definitions, build_dir):
    """Searches one configuration; `error` is None if there is none, else what went wrong."""
    started = cpu_seconds()
    work = build_dir / name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    live = "LIVENESS" in definitions
    run(["spin", "-a", *[f"-D{d}" for d in definitions], str(MODEL)], work)
    flags = ["-DNFAIR=3"] if live else ["-DSAFETY", "-DNOFAIR"]
    # Most mutants are caught before a better verifier would have been compiled.
    level = "-O0" if name.startswith("M_") and "LONG" not in definitions else "-O1"
    run(["gcc", level, "-w", f"-DMEMLIM={MEMORY_MIB}", *flags, "-o", "pan", "pan.c"], work)
    command = ["./pan", "-m300000", "-w24", *(["-a", "-f"] if live else [])]
    try:
        out = run(command, work, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return Result(0, cpu_seconds() - started, None, False)
    errors = re.search(r"errors: (\d+)", out)
    states = re.search(r"(\d+) states, stored", out)
    if errors is None or states is None:
        sys.exit(f"model: {name}: the verifier did not run to its end:\n{out}")
    error = None
    if int(errors[1]) > 0:
        error = re.search(r"pan:1: (.*?)(?: \(at depth|$)", out, re.M)
        error = error[1] if error else "error"
    complete = not re.search(r"Search not completed|max search depth too small|MEMLIM", out)
    return Result(int(states[1]), cpu_seconds() - started, error, complete)


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(command, directory, timeout=None):
    done = subprocess.run(command, cwd=directory, timeout=timeout, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0 and command[0] != "./pan":
        sys.exit(f"model: {' '.join(command)} failed:\n{done.stdout}")
    return done.stdout


def report(name, result, good, verdict):
    print(f"{'ok  ' if good else 'FAIL'} {name:24} {result.states:>9} states "
          f"{result.seconds:5.1f} s  {verdict}", flush=True)
    return good


def check_configuration(name, build_dir):
    definitions, purpose = CONFIGURATIONS[name]
    r = check(name, definitions.split(), build_dir)
    if r.error:
        trail = build_dir / name / f"{MODEL.name}.trail"
        defines = " ".join(f"-D{d}" for d in definitions.split())
        return report(name, r, False, f"{r.error}; replay: spin -t -p -k {trail} {defines} {MODEL}")
    if not r.complete:
        return report(name, r, False, "the search did not end within its limits")
    return report(name, r, True, f"no error: {purpose}")


def check_mutant(mutant, build_dir):
    where, broken = MUTANTS[mutant]
    name = f"M_{mutant}"
    r = check(name, [*CONFIGURATIONS[where][0].split(), name], build_dir)
    if r.error:
        return report(name, r, True, f"caught by {where}, {r.error.split(' (')[0]}: {broken}")
    return report(name, r, False, f"NOT caught by {where}: {broken}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", type=pathlib.Path, help="for generated files (kept)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="configurations and M_ mutants")
    arguments = parser.parse_args()
    for tool, package in (("spin", "spin"), ("gcc", "gcc")):
        if shutil.which(tool) is None:
            sys.exit(f"model: {tool} is not installed; on Debian: apt-get install {package}")
    known = [*CONFIGURATIONS, *(f"M_{m}" for m in MUTANTS)]
    unknown = set(arguments.only or []) - set(known)
    if unknown:
        sys.exit(f"model: no such configuration: {', '.join(sorted(unknown))}")

    started = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        build_dir = (arguments.build_dir or pathlib.Path(scratch)).resolve()
        failed = 0
        chosen = arguments.only or known
        for name in chosen:
            if name in CONFIGURATIONS:
                good = check_configuration(name, build_dir)
            else:
                good = check_mutant(name[2:], build_dir)
            failed += not good
    print(f"model: {len(chosen)} checked, {failed} failed, "
          f"{cpu_seconds():.0f} s of CPU in {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
