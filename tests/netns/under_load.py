# SPDX-License-Identifier: GPL-2.0-only
"""Load that must not notice: transfers, and what counts every packet that is missing."""
import contextlib
import json
import re
import socket
import threading
import time

import talk
from network import ROUTER


class Transfers:
    """So many at a time, each followed by the next until stop(), at a pace that leaves
    the processors time."""
    BYTES, PIECE, PAUSE = 1 << 20, 1 << 14, 0.02

    def __init__(self, space, count):
        self.done, self.errors, self.is_ending = 0, [], False
        self.threads = [threading.Thread(target=self._run, args=(space,), daemon=True)
                        for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _run(self, space):
        try:
            while not self.is_ending:
                with talk.dial(space, ROUTER, 8081, 60) as sock:
                    self._transfer(sock)
                self.done += 1
        except (OSError, AssertionError) as error:
            self.errors.append(error)

    def _transfer(self, sock):
        """Up a piece, down its echo: the whole is compared by its hash."""
        whole = talk.random_block(self.done)
        sent, returned = talk.hashlib.sha256(), talk.hashlib.sha256()
        for start in range(0, self.BYTES, self.PIECE):
            piece = whole[start:start + self.PIECE]
            sent.update(piece)
            returned.update(talk.ask(sock, piece))
            time.sleep(self.PAUSE)
        sock.shutdown(socket.SHUT_WR)
        assert sent.digest() == returned.digest(), "other bytes came back"

    def stop(self):
        self.is_ending = True
        for thread in self.threads:
            thread.join(120)
        assert not self.errors, self.errors
        return self.done


def ring_drops(space, device):
    """What found a veth's ring full: on its way in, and redirected to its peer."""
    told = space.run("ethtool", "-S", device).stdout
    return sum(map(int, re.findall(r"(?:rx_queue_\d+_drops|xdp_xmit_errors): (\d+)", told)))


def socket_drops(space):
    told = space.run("cat", "/proc/net/snmp").stdout
    names, values = re.findall(r"^Udp: (.*)", told, re.M)
    return int(dict(zip(names.split(), values.split()))["InErrors"])


@contextlib.contextmanager
def queues_counted(network):
    """The client waits where its veth is full (Linux 6.16), as with real queues; what the
    queues before and behind the router drop all the same, on a machine that has no
    processor for them in time, is none of its: it counts that."""
    client = network.client
    client.run("tc", "qdisc", "add", "dev", "eth0", "root", "pfifo", "limit", "10000")

    def dropped():
        links = json.loads(client.ip("-j", "-s", "link", "show", "dev", "eth0"))
        return {"client": links[0]["stats64"]["tx"]["dropped"],
                "wan": ring_drops(network.router, "wan"),
                "lan": ring_drops(network.router, "lan"),
                "server": ring_drops(network.server, "eth0") + socket_drops(network.server)}
    before = dropped()
    yield lambda: {at: count - before[at] for at, count in dropped().items()}
    client.run("tc", "qdisc", "del", "dev", "eth0", "root")


def reasons_to_drop(xdnat):
    return {row["reason"]: row["packets"] for row in xdnat.json("stats")["reasons"]
            if row["verdict"] == "dropped" and row["packets"]}
