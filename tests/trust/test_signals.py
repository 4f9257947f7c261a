"""A signal ends the program, by that signal, whatever it is doing and however its clearing up would
hang.
"""

import signal
import subprocess
import sys

import pytest

START = """
import ctypes, time
from parabench import cli
from parabench.commands import signals

def ready():
    print("ready", flush=True)

def work():
{work}
cli.app = work
cli.main()
"""
TOLD = "\nstopped; the same command goes on from here\n"
WORKS = {
    "in a run": ("with signals.resume_hint():\n ready()\n time.sleep(600)", TOLD),
    "with clearing up that hangs": (
        "with signals.resume_hint():\n try:\n  ready()\n  time.sleep(600)\n"
        " finally:\n  time.sleep(600)",
        TOLD,
    ),
    "with code that swallows every end": (
        "with signals.resume_hint():\n while True:\n"
        "  try: ready(), time.sleep(600)\n  except BaseException: pass",
        TOLD,
    ),
    "in a library being loaded, which holds the interpreter": (
        "ready()\nctypes.PyDLL(None).sleep(600)",
        "",
    ),
}


def start(work: str) -> "subprocess.Popen[str]":
    code = START.format(work="".join(f"    {line}\n" for line in work.split("\n")))
    command = [sys.executable, "-c", code]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", WORKS)
def test_a_signal_ends_the_program_at_once(where, number):
    work, told = WORKS[where]
    process = start(work)
    process.send_signal(number)
    said = process.communicate(timeout=60)[1]
    assert (process.returncode, said) == (-number, told)


def test_a_second_signal_does_not_wait_for_the_firsts_message():
    """Stderr is a pipe that is full and that nobody reads."""
    fill_the_pipe = (
        "import os\nos.set_blocking(2, False)\n"
        'try:\n while True: os.write(2, b"x" * 4096)\n'
        "except BlockingIOError: os.set_blocking(2, True)\n"
    )
    process = start(fill_the_pipe + WORKS["in a run"][0])
    process.send_signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) in (-signal.SIGINT, -signal.SIGTERM)
    process.communicate()
