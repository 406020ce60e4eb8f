"""`shuyuan` from a process that has everything imported: each command is a fork of it that runs the real `main`.

    python command_server.py FOLDER

puts a program `shuyuan` into the folder, says `ready`, and ends when its input does. That program hands its arguments,
environment, folder and open files over and ends with the command's exit code; when it is killed, so is the command.
What takes a command longest is done once: importing Dagster and Great Expectations, hashing extensions, parsing
the catalogue's YAML.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

CLIENT = f"""#!{sys.executable} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.path.join(os.path.dirname(os.path.abspath(__file__)), "socket"))
    told = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]).encode()
    socket.send_fds(server, [len(told).to_bytes(8, "big")], [0, 1, 2])
    server.sendall(told)
    said = server.recv(1)
os._exit(said[0] if said else 137)
"""


def serve(listening: socket.socket) -> None:
    """Take callers for ever; in the fork of a command, return with its arguments."""
    looking: set[int] = set()
    while True:
        if 0 in select.select([listening, 0], [], [])[0]:
            for one in looking:
                os.waitpid(one, 0)
            os._exit(0)
        caller, _ = listening.accept()
        looking = {one for one in looking if os.waitpid(one, os.WNOHANG) == (0, 0)}
        if one := os.fork():
            looking.add(one)
            caller.close()
            continue
        listening.close()
        length, files, *_ = socket.recv_fds(caller, 8, 3)
        told = b""
        while len(told) < int.from_bytes(length, "big"):
            told += caller.recv(1 << 20)
        command = os.fork()
        if command == 0:
            caller.close()
            become(files, *json.loads(told))
            return
        look_after(caller, command)


def become(files: list[int], arguments: list[str], environ: dict[str, str], folder: str) -> None:
    """Take on what the caller is."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()  # noqa: TID251  # the command reads it through its settings
    os.environ.update(environ)  # noqa: TID251
    sys.argv = ["shuyuan", *arguments]


def look_after(caller: socket.socket, command: int) -> None:
    """Wait for the end of the command, or of its caller, and end."""
    ended = os.pidfd_open(command)
    ready, _, _ = select.select([caller, ended], [], [])
    if ended not in ready:
        os.kill(command, signal.SIGKILL)
    _, status = os.waitpid(command, 0)
    if ended in ready:
        caller.send(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    os._exit(0)


def end(main: Callable[[], None]) -> None:
    """Run the command to the end of the process, but for the ends of libraries whose threads were not forked."""
    code: object = 0
    try:
        main()
    except SystemExit as said:
        code = said.code or 0
    except BaseException:  # noqa: BLE001  # as Python ends a process
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(int(code))


if __name__ == "__main__":
    import pipelines.city_run
    import pipelines.repair  # noqa: F401  # and what both need
    from catalog import load_catalog
    from pipelines.cli import main
    from quality_checks import runner
    from resources import city

    runner._gx()
    city._check_signatures()
    for catalogue in ("catalog", "tests/small_catalogue"):  # its files parsed; a command still checks what they say
        load_catalog(Path(__file__).parents[2] / catalogue)
    folder = Path(sys.argv[1])
    program = folder / "shuyuan"
    program.write_text(CLIENT)
    program.chmod(0o700)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        listening.listen()
        os.write(1, b"ready\n")
        serve(listening)
    end(main)
