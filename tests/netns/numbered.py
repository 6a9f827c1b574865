#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Numbered datagrams at a rate, from a process of its own: `send`, and `receive` or
`answer`, which answers the first one, run until their stdin ends and then say how it
was, in JSON. Stream is both of them."""
import json
import select
import socket
import struct
import subprocess
import sys
import time

SO_RCVBUFFORCE = 33


def has_ended():
    return bool(select.select([sys.stdin], [], [], 0)[0])


def udp_socket(address):
    return socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                         socket.SOCK_DGRAM)


def send(address, port, rate):
    """In bursts of a millisecond. Time that was lost is not caught up with: a flood
    would fill the queues of a busy machine."""
    sock = udp_socket(address)
    sock.connect((address, port))
    started, sent, burst = time.monotonic(), 0, max(1, rate // 1000)
    due = started
    while sent % 1000 >= burst or not has_ended():
        for number in range(sent, sent + burst):
            sock.send(struct.pack("!I", number))
        sent += burst
        due = max(due + burst / rate, time.monotonic() - 0.02)
        time.sleep(max(0, due - time.monotonic()))
    return {"sent": sent, "seconds": time.monotonic() - started}


def receive(address, port, answers=False):
    """Until stdin has ended and nothing has come for a second."""
    sock = udp_socket(address)
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 256 << 20)
    sock.settimeout(1)
    sock.bind((address, port))
    print("ready", flush=True)
    seen, total = set(), 0
    while True:
        try:
            number, sender = sock.recvfrom(64)
            if answers and not total:
                sock.sendto(number, sender)
            seen.add(number)
            total += 1
        except TimeoutError:
            if has_ended():
                break
    return {"total": total, "different": len(seen)}


def answer(address, port):
    return receive(address, port, True)


class Stream:
    """From one namespace to a target in another: stop() tells what came."""

    def __init__(self, sender, to, receiver, at, rate, how="receive"):
        self.receiver = self._start(receiver, how, *at)
        assert self.receiver.stdout.readline() == "ready\n"
        self.sender = self._start(sender, "send", *to, rate)

    @staticmethod
    def _start(space, *words):
        return subprocess.Popen(
            space.command(sys.executable, __file__, *words),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def stop(self):
        told = {}
        for process in self.sender, self.receiver:
            told.update(json.loads(process.communicate(timeout=60)[0]))
        return told


if __name__ == "__main__":
    what, address, *numbers = sys.argv[1:]
    print(json.dumps({"send": send, "receive": receive, "answer": answer}[what](address, *map(int, numbers))))
