"""What an interpreter reads as it starts: a stage is handed to the one that is warm (warm.py)."""

import os
import sys


def hand_over(address, arguments):
    """Have the stage run there and end as it ended; comes back where nobody answers."""
    import json
    import signal
    import socket

    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.connect(address)
    except OSError:
        return
    folder = os.getcwd()  # noqa: PTH109 (pathlib would be imported)
    request = {"arguments": arguments, "environment": dict(os.environ), "folder": folder}
    message = json.dumps(request).encode() + b"\n"
    sent = socket.send_fds(connection, [message], [0, 1, 2])
    connection.sendall(message[sent:])
    answers = connection.makefile()
    child = int(answers.readline())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, frame: os.kill(child, number))
    code = int(answers.readline() or -signal.SIGKILL)
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def asked_for():
    """Give the module of a stage, or the program dvc, with its arguments; or nothing."""
    first, *rest = sys.orig_argv[1:] or [""]
    if first == "-m" and rest and rest[0].startswith("tasks."):
        return rest
    if first.rpartition("/")[2] == "dvc":
        return [first, *rest]
    return None


if (
    "SALIENCY_TEST_WARM" in os.environ
    and "PYTHONPROFILEIMPORTTIME" not in os.environ
    and (arguments := asked_for()) is not None
):
    hand_over(os.environ["SALIENCY_TEST_WARM"], arguments)
