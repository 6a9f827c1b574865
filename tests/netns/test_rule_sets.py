# SPDX-License-Identifier: GPL-2.0-only
"""Many rules at once: all of them or none, in force between two packets."""
import os
import signal
import subprocess
import threading
import time

import pytest
import talk
import world as w
from network import ROUTER, SERVER

MANY = 10000
FIRST = 20000  # ports of the many


def lines(target, count=MANY, extra=()):
    return "".join("%d:%s:80\n" % (FIRST + n, target) for n in range(count)) + "\n".join(extra)


class FreshFlows:
    """Numbered datagrams, each of a flow of its own (a port not used before), in order."""

    def __init__(self, space, *ports, pause=0.002):
        self.space, self.ports, self.pause = space, ports, pause
        self.sent, self.running = 0, True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while self.running:
            with self.space.socket(kind=2) as sock:
                sock.bind(("", 1024 + self.sent))
                for port in self.ports:
                    sock.sendto(self.sent.to_bytes(4, "big"), (ROUTER, port))
            self.sent += 1
            time.sleep(self.pause)

    def stop(self):
        self.running = False
        self.thread.join()


def test_ten_thousand_replaced_under_load(network, native, service):
    """T123: a probe on a rule that stays loses nothing; of one on a rule that changes
    every datagram takes the old way or the new one, and none the old one after a new."""
    stays, old, new = talk.Collector(), talk.Collector(), talk.Collector()
    for port, collector in ((53, stays), (54, old), (55, new)):
        service(network.server, collector.loop, port, SERVER, kind=2)
    same = "5300:%s:53/udp" % SERVER
    ways = ["5301:%s:%d/udp" % (SERVER, port) for port in (54, 55)]
    native("rule", "add", "-", stdin="%s\n%s\n" % (same, ways[0]))
    steady = talk.Numbered(network.client, ROUTER, 5300)
    fresh = FreshFlows(network.client, 5301)
    w.wait(lambda: stays.seen and old.seen, "both probes arrive")
    told = native.json("rule", "add", "-", stdin=lines(SERVER))
    assert (told["added"], told["unchanged"]) == (MANY, 0)
    told = native.json("rule", "replace", "-", stdin=lines("10.0.0.6", extra=(same, ways[1])))
    after = fresh.sent + 1  # sent when the command had returned
    assert (told["changed"], told["unchanged"], told["added"], told["deleted"]) == \
        (MANY + 1, 1, 0, 0)
    w.wait(lambda: len(new.seen) > 200, "the new way is taken")
    steady.stop()
    fresh.stop()
    w.wait(lambda: len(stays.seen) == steady.sent, "no gap where nothing changed", 5)
    w.wait(lambda: len(old.seen) + len(new.seen) == fresh.sent, "no gap where it changed", 5)
    assert not set(old.seen) & set(new.seen), "datagrams took both ways"
    assert max(old.seen) < min(new.seen), "the old way was taken after the new one"
    assert max(old.seen) < after, "the old way was taken after the command returned"
    assert set(stays.seen.values()) == set(old.seen.values()) | set(new.seen.values()) == {1}
    assert len(native.json("rule", "list")["rules"]) == MANY + 2


def test_back_and_forth_under_load(network, native, service):
    """T123: sets swap many times; every datagram takes one of the two ways."""
    ways = [talk.Collector(), talk.Collector()]
    for port, collector in zip((54, 55), ways):
        service(network.server, collector.loop, port, SERVER, kind=2)
    sets = [lines(SERVER, 200, ["5301:%s:%d/udp" % (SERVER, port)]) for port in (54, 55)]
    native("rule", "add", "-", stdin=sets[0])
    fresh = FreshFlows(network.client, 5301, pause=0.0005)
    w.wait(lambda: ways[0].seen, "the probe arrives")
    for n in range(200 if w.LONG else 20):
        native("rule", "replace", "-", stdin=sets[(n + 1) % 2])
    fresh.stop()
    w.wait(lambda: len(ways[0].seen) + len(ways[1].seen) == fresh.sent, "no gap", 5)
    assert not set(ways[0].seen) & set(ways[1].seen)
    assert min(len(way.seen) for way in ways) > 20, "the ways were not both taken"


def test_sets_swap_at_once(network, native, service):
    """T123: a rule moves from one port to another among ten thousand: of two packets
    sent back to back, one to each port, exactly one is forwarded, but for the pair that
    the swap falls between."""
    ways = [talk.Collector(), talk.Collector()]
    for port, collector in zip((54, 55), ways):
        service(network.server, collector.loop, port, SERVER, kind=2)
    low, high = FIRST - 1, FIRST + MANY
    sets = [lines(target, extra=["%d:%s:%d/udp" % (port, SERVER, to)])
            for target, port, to in ((SERVER, low, 54), ("10.0.0.6", high, 55))]
    native("rule", "add", "-", stdin=sets[0])
    pairs = FreshFlows(network.client, low, high, pause=0.0005)
    w.wait(lambda: ways[0].seen, "the first way is taken")
    swaps = 6 if w.LONG else 2
    for n in range(swaps):
        native("rule", "replace", "-", stdin=sets[(n + 1) % 2])
    w.wait(lambda: max(way.seen and max(way.seen) for way in ways) > pairs.sent - 50, "all came")
    pairs.stop()
    w.wait(lambda: len(set(ways[0].seen) | set(ways[1].seen)) > pairs.sent - swaps - 1,
           "all came", 5)
    both = set(ways[0].seen) & set(ways[1].seen)
    neither = set(range(pairs.sent)) - set(ways[0].seen) - set(ways[1].seen)
    assert ways[0].seen and ways[1].seen
    assert len(both) + len(neither) <= swaps, (both, neither)


WRONG = {
    "a word": ("this is no rule", 6, "line 2"),
    "a form of later": ("90:10.0.0.5,10.0.0.6", 6, "line 2"),
    "taken port": ("8080:10.0.0.9:80", 5, "line 2"),
    "the same port twice": ("7000:10.0.0.9", 5, "line 1"),
    "an overlapping range": ("6990-7000:10.0.0.9\n6999-7010:10.0.0.9", 5, "line 3"),
    "the same name twice": ("7001:10.0.0.9 name=first", 5, "first"),
    "an interface that is not there": ("eth77:90:10.0.0.5", 4, "eth77"),
    "binary": ("\x00\x01\x02", 6, "NUL"),
    "control characters": ("\x1b[31m", 6, "line 2"),
    "a megabyte": ("9" * (1 << 20), 6, "line 2"),
    "a quote": ("90:10.0.0.5 comment='open", 6, "quote"),
}


@pytest.mark.parametrize("verb,what", [(verb, what) for verb in ("add", "replace")
                                       for what in WRONG
                                       if (verb, what) != ("replace", "taken port")])  # it is free
def test_all_or_none(native, what, verb):
    """T125, T126: one line that is wrong, and nothing has changed."""
    wrong, code, told = WRONG[what]
    native("rule", "add", "%s:8080:%s:80" % (ROUTER, SERVER))
    native("rule", "add", "8080:%s:80" % SERVER)
    before = native("rule", "list", "--json").stdout
    text = "7000:10.0.0.5 name=first\n%s\n7002:10.0.0.5\n" % wrong
    message = native.refused(code, "rule", verb, "-", stdin=text)
    assert told in message and message.count("nothing was changed") == 1, message
    assert len(message) < 600 and message.count("\n") == 1, message
    assert native("rule", "list", "--json").stdout == before


def test_no_rules_replace_none(native):
    """What makes the rules may have failed: nothing on stdin is not "no rules"."""
    native("rule", "add", "80:10.0.0.5")
    for text in "", "# nothing\n\n":
        assert "rule flush" in native.refused(6, "rule", "replace", "-", stdin=text)
    assert native.json("rule", "add", "-", stdin="")["added"] == 0
    assert len(native.json("rule", "list")["rules"]) == 1


def test_comments_and_blank_lines(native):
    text = "# the shop\n\n  80:10.0.0.5 name=shop comment='two words'\n\t# more\n81:10.0.0.5"
    told = native.json("rule", "add", "-", stdin=text)
    assert told["added"] == 2
    again = native.json("rule", "add", "-", stdin=text + "\n81:10.0.0.5:81/tcp\n")
    assert (again["added"], again["unchanged"]) == (0, 2)
    assert {rule["name"] for rule in native.json("rule", "list")["rules"]} == {"shop", "81/tcp"}


def test_rules_file_can_be_read_back(native):
    """What lies in /run is what `rule add -` takes."""
    native("rule", "add", "80:10.0.0.5", "name=web", "comment=it's \"two\" words, $HOME")
    native("rule", "add", "wan:81:10.0.0.5", "enabled=no")
    listed = native("rule", "list", "--json").stdout
    with open(os.path.join(native.run_dir, "rules")) as file:
        text = file.read()
    assert native("rule", "list", "--format", "rules").stdout == text
    native("rule", "flush", "--yes")
    native("rule", "add", "-", stdin=text)
    assert native("rule", "list", "--json").stdout == listed


def replace_and_kill(xdnat, text, seconds):
    """Runs `rule replace -`, for so long at most."""
    command = xdnat.command("--quiet", "rule", "replace", "-")
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=w.environment) as process:
        process.stdin.write(text.encode())
        process.stdin.close()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)


def test_killed_while_replacing(network, native, service):
    """T155: wherever it dies, the rules are the old ones or the new ones, and the next
    command goes on from there."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    keep, rounds, present = "8080:%s:80" % SERVER, 60 if w.LONG else 12, SERVER
    sets = {target: lines(target, 2000, [keep]) for target in (SERVER, "10.0.0.6")}
    native("rule", "add", "-", stdin=sets[SERVER])
    seconds, seen = 0.05, set()
    for n in range(rounds):
        wanted, = set(sets) - {present}
        replace_and_kill(native, sets[wanted], seconds)
        rules = native.json("rule", "list")["rules"]
        present, = {rule["target"] for rule in rules if rule["port"] != 8080}
        assert len(rules) == 2001
        seen.add(present == wanted)
        seconds *= 0.7 if present == wanted else 1.6  # about where it commits
        with talk.dial(network.client, ROUTER, 8080) as sock:
            assert talk.ask(sock, b"%d" % n) == b"%d" % n
    assert seen == {True, False}, "it was always too early or always too late"
    native("rule", "replace", "-", stdin=keep)
    assert [rule["port"] for rule in native.json("rule", "list")["rules"]] == [8080]


def test_replaced_rule(network, native, service):
    """T121: new connections go the new way at once, live ones stay, unless killed."""
    for port, text in ((80, b"old"), (81, b"new")):
        def serve(connection, peer, text=text):
            connection.sendall(text)
            talk.echo(connection, peer)
        service(network.server, talk.accepting(serve), port, SERVER)
    native("rule", "add", "8080:%s:80" % SERVER, "name=web")
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert sock.recv(3) == b"old"
        assert native.json("rule", "replace", "web", "8080:%s:81" % SERVER)["change"] == "replaced"
        with talk.dial(network.client, ROUTER, 8080) as other:
            assert other.recv(3) == b"new"
            assert talk.ask(sock, b"still") == b"still"
            # The same rule under another name: nobody notices.
            native("rule", "replace", "web", "8080:%s:81" % SERVER, "name=shop")
            assert native.json("rule", "show", "shop")["flows_made"] == 1
            told = native.json("rule", "replace", "shop", "8081:%s:81" % SERVER, "--flows", "kill")
            assert told["flows_ended"] == 1 and told["rule"]["name"] == "shop"
            other.settimeout(2)
            with pytest.raises(OSError):
                talk.ask(other, b"gone")
                talk.ask(other, b"gone")
        assert talk.ask(sock, b"still") == b"still", "another rule's flow"
    assert native("rule", "replace", "shop", "8081:%s:81" % SERVER).stdout.startswith("unchanged")


def test_default_name_follows_the_listener(native):
    native("rule", "add", "80:10.0.0.5")
    native("rule", "replace", "80/tcp", "81:10.0.0.5")
    rule, = native.json("rule", "list")["rules"]
    assert rule["name"] == "81/tcp"


def test_refused_replacement(native):
    native("rule", "add", "80:10.0.0.5", "name=web")
    native("rule", "add", "81:10.0.0.5", "name=shop")
    before = native("rule", "list", "--json").stdout
    native.refused(4, "rule", "replace", "nobody", "82:10.0.0.5")
    native.refused(5, "rule", "replace", "web", "81:10.0.0.6")
    native.refused(5, "rule", "replace", "web", "82:10.0.0.6", "name=shop")
    native.refused(5, "rule", "replace", "web", "81:10.0.0.5", "name=shop")
    native.refused(6, "rule", "replace", "web", "82")
    native.refused(2, "rule", "replace", "web")
    native.refused(2, "rule", "replace", "-", "82:10.0.0.6")
    assert native("rule", "list", "--json").stdout == before


def test_disabled_rule(network, native, service):
    """As if it were not there; kept with its totals, and there again in a word."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native("rule", "add", "8080:%s:80" % SERVER, "name=web")
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"one") == b"one"
        assert native.json("rule", "disable", "web")["change"] == "disabled"
        assert native.json("rule", "disable", "web")["change"] == "unchanged"
        with pytest.raises(ConnectionRefusedError):
            talk.dial(network.client, ROUTER, 8080)
        assert talk.ask(sock, b"two") == b"two"
        assert native.json("rule", "list")["rules"][0]["enabled"] is False
        assert "enabled=no" in native("rule", "list", "--format=commands").stdout
        message = native.refused(5, "rule", "add", "8080:%s:80" % SERVER, "name=web")
        assert "rule enable web" in message
        native("rule", "enable", "web")
        with talk.dial(network.client, ROUTER, 8080) as other:
            assert talk.ask(other, b"three") == b"three"
        assert native.json("rule", "show", "web")["flows_made"] == 2
        told = native.json("rule", "disable", "web", "--flows", "kill")
        assert told["flows_ended"] == 2
    native.refused(4, "rule", "enable", "nobody")


def test_killing_flows_can_be_repeated(network, native, service):
    """A command that died before it ended them is typed again, and ends them."""
    service(network.server, talk.udp_echo, 53, SERVER, kind=2)
    native("rule", "add", "5300:%s:53/udp" % SERVER, "name=dns")
    with network.client.socket(kind=2) as sock:
        sock.settimeout(20)
        sock.sendto(b"x", (ROUTER, 5300))
        sock.recv(100)
    native("rule", "disable", "dns")
    told = native.json("rule", "disable", "dns", "--flows", "kill")
    assert (told["change"], told["flows_ended"]) == ("unchanged", 1)


def test_endless_line(native):
    """T126: it is not read to its end."""
    native("rule", "add", "80:10.0.0.5")
    done = native.namespace.run("sh", "-c", '"$0" --instance "$1" rule replace - </dev/zero',
                                w.XDNAT, native.instance, check=False, timeout=20)
    assert done.returncode == 6 and "NUL" in done.stderr
    done = native.namespace.run("sh", "-c", 'yes | tr -d "\\n" | "$0" --instance "$1" rule add -',
                                w.XDNAT, native.instance, check=False, timeout=20)
    assert done.returncode == 6 and "longer than" in done.stderr
    done = native.namespace.run("sh", "-c", '"$0" --instance "$1" rule replace - <&-', w.XDNAT,
                                native.instance, check=False, timeout=20)
    assert done.returncode == 6, done
    assert len(native.json("rule", "list")["rules"]) == 1


def test_line_ends(native):
    """Of DOS are line ends; a lone CR is no end."""
    assert native.json("rule", "add", "-", stdin="80:10.0.0.5\r\n81:10.0.0.5\r\n")["added"] == 2
    native.refused(6, "rule", "add", "-", stdin="82:10.0.0.5\r83:10.0.0.5\r")


def test_flush_kills_flows(network, native, service):
    service(network.server, talk.udp_echo, 53, SERVER, kind=2)
    native("rule", "add", "5300:%s:53/udp" % SERVER)
    for _ in range(5):
        with network.client.socket(kind=2) as sock:
            sock.settimeout(20)
            sock.sendto(b"x", (ROUTER, 5300))
            sock.recv(100)
    told = native.json("rule", "flush", "--yes", "--flows", "kill")
    assert (told["deleted"], told["flows_ended"]) == (1, 5)
    assert native.json("flow", "count")["count"] == 0


def test_own_ssh_session_is_spared(native):
    """The port that the caller is logged in by: only by force."""
    def ssh(*words):
        return native.namespace.run("env", "SSH_CONNECTION=203.0.113.9 40000 %s 22" % ROUTER,
                                    w.XDNAT, "--instance", native.instance, *words, check=False)
    assert ssh("rule", "add", "22:10.0.0.5").returncode == 5
    done = ssh("rule", "add", "-")
    assert done.returncode == 0
    native("rule", "add", "23:10.0.0.5", "name=web")
    done = ssh("rule", "replace", "web", "22:10.0.0.5")
    assert done.returncode == 5 and "--force" in done.stderr
    assert ssh("rule", "add", "22:10.0.0.5", "enabled=no").returncode == 0
    done = ssh("rule", "enable", "22/tcp")
    assert done.returncode == 5 and "--force" in done.stderr
    assert ssh("rule", "enable", "22/tcp", "--force").returncode == 0


def test_local_listener_is_told(network, native, service):
    service(network.router, talk.accepting(talk.echo), 8085)
    done = native("rule", "add", "8085:%s:80" % SERVER)
    assert "a service of this host listens on port 8085" in done.stderr
    native("rule", "disable", "8085/tcp")
    assert "a service" not in native("rule", "add", "8086:%s:80" % SERVER).stderr
    assert "a service" in native("rule", "enable", "8085/tcp").stderr


def test_target_behind_an_interface_that_takes_no_filters(network, native):
    """It gets none by itself, and the rule is there all the same."""
    native("unload", "lan")
    network.router.run("tc", "qdisc", "add", "dev", "lan", "ingress")
    try:
        told = native("rule", "add", "8085:%s:80" % SERVER).stderr
    finally:
        network.router.run("tc", "qdisc", "del", "dev", "lan", "ingress")
    assert "plain ingress qdisc" in told and "xdnat load lan" in told, told
