"""A signal ends the program, whatever it is doing and however its clearing up hangs."""

import signal
import subprocess
import sys

import pytest

BUSY = """
import signal, sys, time
from parabench.cli import stop
signal.signal(signal.SIGINT, stop)
signal.signal(signal.SIGTERM, stop)
try:
    print("ready", flush=True)
    time.sleep(600)
finally:
    time.sleep({after})
"""


def ended(number: int, after: int) -> tuple[int, str]:
    command = [sys.executable, "-c", BUSY.format(after=after)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_program_and_says_how_to_go_on(number):
    status, said = ended(number, 0)
    assert status == 128 + number
    assert said == "\nstopped; the same command goes on from here\n"


def test_clearing_up_that_hangs_is_ended():
    assert ended(signal.SIGTERM, 600)[0] == -signal.SIGALRM
