# SPDX-License-Identifier: GPL-2.0-only
"""Real connections through the router, in every mode."""
import contextlib
import selectors
import socket
import struct

import pytest
import talk
import world as w
from network import CLIENT, ROUTER, SERVER, SIDES, bracket, rule


@SIDES
def test_http(network, loaded, service, client, router, server):
    loaded("rule", "add", rule(router, 8080, server, 80))
    service(network.server, talk.accepting(talk.http), 80, server)
    for _ in range(5):
        page = network.client.run("curl", "-sS", "--noproxy", "*", "--max-time", "20",
                                  "http://%s:8080/" % bracket(router)).stdout
        assert page == "you are %s\n" % client


@SIDES
def test_udp_echo(network, loaded, service, client, router, server):
    loaded("rule", "add", rule(router, 5300, server, 53, "udp"))
    service(network.server, talk.udp_echo, 53, server, kind=socket.SOCK_DGRAM)
    with network.client.socket(socket.AF_INET6 if ":" in client else socket.AF_INET,
                               socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.connect((router, 5300))
        for size in 0, 1, 2, 3, 511, 512, 1000, 1400:
            sock.send(b"x" * size)
            seen, _, data = sock.recv(65536).partition(b" ")
            port, _, data = data.partition(b" ")
            assert (seen.decode(), int(port)) == (client, sock.getsockname()[1])
            assert data == b"x" * size


@SIDES
def test_bulk_both_ways(network, loaded, service, client, router, server):
    """T037: every byte arrives, both directions at once, digests compared; in tc and auto
    with the end hosts' offloads as a veth is delivered."""
    bulk = talk.BothWays(100 if w.LONG else 10)
    loaded("rule", "add", rule(router, 8080, server, 80))
    service(network.server, talk.accepting(bulk.serve), 80, server)
    with talk.dial(network.client, router, 8080) as sock:
        bulk.run(sock)


def test_five_hundred_connections(network, loaded, service):
    """All open at once, each with its own data and its own port at the server."""
    count = 5000 if w.LONG else 500
    peers = set()

    def loop(listener):
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            if listener.fileno() < 0:
                return
            for key, _ in selector.select(1):
                if key.fileobj is listener:
                    connection, peer = listener.accept()
                    peers.add(peer)
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                data = key.fileobj.recv(4096)
                if data:
                    key.fileobj.sendall(data)
                else:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()

    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = 2 * count + 200
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, need), max(hard, need)))
    loaded("rule", "add", rule(ROUTER, 8080, SERVER, 80))
    service(network.server, loop, 80, SERVER)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(talk.dial(network.client, ROUTER, 8080))
                   for _ in range(count)]
        for n, sock in enumerate(clients):
            sock.sendall(b"connection %05d" % n)
        for n, sock in enumerate(clients):
            answer = b""
            while len(answer) < 16:
                answer += sock.recv(16)
            assert answer == b"connection %05d" % n
        assert peers == {sock.getsockname() for sock in clients}
        assert len(loaded("flow", "list", "--json").stdout.splitlines()) >= count


@SIDES
def test_ttl_is_one_less(network, loaded, service, client, router, server):
    """One less and no more, both ways."""
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    level, option, send, kind = (
        (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, socket.IPV6_UNICAST_HOPS,
         socket.IPV6_HOPLIMIT) if family == socket.AF_INET6
        else (socket.IPPROTO_IP, 12, socket.IP_TTL, socket.IP_TTL))  # IP_RECVTTL

    def receive(sock):
        data, extra, _, peer = sock.recvmsg(100, 100)
        ttl, = [struct.unpack("i", value)[0] for where, what, value in extra
                if (where, what) == (level, kind)]
        return data, ttl, peer

    seen = []

    def loop(sock):
        sock.setsockopt(level, option, 1)
        sock.setsockopt(level, send, 33)
        while True:
            data, ttl, peer = receive(sock)
            seen.append(ttl)
            sock.sendto(data, peer)

    loaded("rule", "add", rule(router, 5300, server, 53, "udp"))
    service(network.server, loop, 53, server, kind=socket.SOCK_DGRAM)
    with network.client.socket(family, socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.setsockopt(level, option, 1)
        for ttl in 2, 47, 64, 255:
            sock.setsockopt(level, send, ttl)
            sock.sendto(b"%d" % ttl, (router, 5300))
            assert receive(sock)[:2] == (b"%d" % ttl, 32)
    # A listening socket may have taken its first datagram before it was asked.
    assert seen == [1, 46, 63, 254]


@SIDES
def test_others_are_untouched(network, loaded, service, client, router, server):
    """The host's own services, its other ports, and plain routing to ports that are no
    rule's target (those are guarded: test_leak.py)."""
    loaded("rule", "add", rule(router, 8080, server, 80))
    service(network.router, talk.accepting(talk.who), 22222, router)
    service(network.router, talk.udp_echo, 8080, router, kind=socket.SOCK_DGRAM)
    service(network.server, talk.accepting(talk.who), 80, server)
    service(network.server, talk.accepting(talk.who), 81, server)
    for address, port in ((router, 22222), (server, 81)):
        with talk.dial(network.client, address, port) as sock:
            seen = sock.makefile().readline().split()
            assert seen == [client, str(sock.getsockname()[1])], (address, port)
    with network.client.socket(socket.AF_INET6 if ":" in client else socket.AF_INET,
                               socket.SOCK_DGRAM) as sock:
        sock.settimeout(20)
        sock.sendto(b"not the TCP rule's", (router, 8080))
        assert sock.recv(100).endswith(b" not the TCP rule's")
    with pytest.raises(ConnectionRefusedError):
        talk.dial(network.client, router, 8081)
    # And the router as a client, while it is one of others.
    with talk.dial(network.router, server, 80) as sock:
        assert sock.makefile().readline()


def test_closed_target_port(network, loaded):
    """The target's refusal reaches the client as one."""
    loaded("rule", "add", rule(ROUTER, 8080, SERVER, 4))
    with pytest.raises(ConnectionRefusedError):
        talk.dial(network.client, ROUTER, 8080)


def test_half_closed(network, loaded, service):
    """The client has finished; the answer still comes, long."""
    def serve(connection, peer):
        while connection.recv(4096):
            pass
        talk.send_bulk(connection, 2)

    loaded("rule", "add", rule(ROUTER, 8080, SERVER, 80))
    service(network.server, talk.accepting(serve), 80, SERVER)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        sock.sendall(b"that was all")
        sock.shutdown(socket.SHUT_WR)
        received = 0
        while True:
            data = sock.recv(1 << 18)
            if not data:
                break
            received += len(data)
    assert received == 2 << 20


def test_client_port_used_again_at_once(network, loaded, service):
    """A port in TIME_WAIT opens again with a new SYN."""
    loaded("rule", "add", rule(ROUTER, 8080, SERVER, 80))
    service(network.server, talk.accepting(talk.who), 80, SERVER)
    for _ in range(5):
        with talk.dial(network.client, ROUTER, 8080, sport=30404) as sock:
            assert sock.makefile().readline() == "%s 30404\n" % CLIENT
            # Closed by a reset: the client may use the port at once.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_flows_lost_connection_goes_on(network, native, service):
    """Flush under a live connection: the client's next segment makes it anew."""
    native("rule", "add", rule(ROUTER, 8080, SERVER, 80))
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"before") == b"before"
        native("flow", "flush", "--yes")
        assert native("flow", "list", "--json").stdout == ""
        assert talk.ask(sock, b"after") == b"after"
