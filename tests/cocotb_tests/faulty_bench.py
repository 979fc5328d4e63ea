"""Benches that go wrong on purpose, each as its parameter ``fault`` says."""

import os
import signal
import time

import cocotb
from cocotb.triggers import Timer

from cocotb_tests import exchange


@cocotb.test()
async def fault(dut):
    kind = exchange.parameters()["fault"]
    pid_file = exchange.run_directory() / "pid"
    pid_file.write_text(str(os.getpid()))
    exchange.report(pid=os.getpid())
    await Timer(10, "ns")
    if kind == "assertion":
        assert dut.start.value == 2, "start is not two"
    if kind == "exception":
        raise KeyError("lost")
    if kind == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if kind == "hang":
        time.sleep(600)
    if kind == "exit":
        os._exit(3)
