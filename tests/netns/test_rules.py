# SPDX-License-Identifier: GPL-2.0-only
"""Rules while traffic flows; what the command says, and how it ends."""
import contextlib
import json
import os
import shutil
import threading

import pytest
import talk
import world as w
from network import CLIENT, ROUTER, SERVER

RULE = "%s:8080:%s:80" % (ROUTER, SERVER)
NAME = "%s:8080/tcp" % ROUTER


def test_removed_and_added_under_traffic(network, loaded, service):
    """T122: the same listener goes and comes back."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    loaded("rule", "add", RULE)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"one") == b"one"
        loaded("rule", "del", NAME)
        # In force when the command returns: the host itself refuses now.
        with pytest.raises(ConnectionRefusedError):
            talk.dial(network.client, ROUTER, 8080)
        assert talk.ask(sock, b"two") == b"two"
        loaded("rule", "add", RULE)
        with talk.dial(network.client, ROUTER, 8080) as other:
            assert talk.ask(other, b"three") == b"three"
        assert talk.ask(sock, b"four") == b"four"


def test_other_rules_lose_nothing(network, native, service):
    """Numbered datagrams through one rule while another comes and goes."""
    collector = talk.Collector()
    native("rule", "add", "%s:5300:%s:53/udp" % (ROUTER, SERVER))
    service(network.server, collector.loop, 53, SERVER, kind=2)
    sender = talk.Numbered(network.client, ROUTER, 5300)
    w.wait(lambda: collector.seen, "the first datagram")
    for _ in range(20 if w.LONG else 5):
        native("rule", "add", RULE)
        native("rule", "del", NAME)
    sender.stop()
    w.wait(lambda: len(collector.seen) == sender.sent, "no gap", 5)


def test_rule_for_a_client_that_tries_already(network, native, service):
    """T128: SYNs are lost while nothing forwards; the next one after the rule works."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native.namespace.run("nft", "-f", "-", stdin="""table ip early {
        chain input {
            type filter hook input priority 0
            tcp dport 8080 drop
        }
    }
    """)
    try:
        socks = []
        dialled = threading.Thread(target=lambda: socks.append(
            talk.dial(network.client, ROUTER, 8080, 60)), daemon=True)
        dialled.start()
        w.wait(lambda: network.client.run("ss", "-tnH", "state", "syn-sent").stdout, "it tries")
        native("rule", "add", RULE)
        dialled.join(30)
        with socks[0] as sock:
            assert talk.ask(sock, b"at last") == b"at last"
    finally:
        native.namespace.run("nft", "delete", "table", "ip", "early")


def test_target_that_comes_later(network, native, service):
    """T124: a rule to a host that is not up; once it is, the client gets through."""
    late = "10.0.0.87"
    message = native("rule", "add", "8080:%s:80" % late).stderr
    assert late in message and "no_neighbour" in message
    socks = []
    dialled = threading.Thread(target=lambda: socks.append(
        talk.dial(network.client, ROUTER, 8080, 60)), daemon=True)
    dialled.start()
    w.wait(lambda: "to_tc_neighbour" in native("stats").stdout, "its first tries are lost")
    network.server.ip("addr", "add", late + "/24", "dev", "eth0")
    try:
        service(network.server, talk.accepting(talk.echo), 80, late)
        dialled.join(40)
        with socks[0] as sock:
            assert talk.ask(sock, b"at last") == b"at last"
    finally:
        network.server.ip("addr", "del", late + "/24", "dev", "eth0")


def test_hundred_live_flows(network, native, service):
    """T121: those of a rule that goes stay or end as was said, every one; the others'
    are not touched."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    rules = {port: "%d:%s:80" % (port, SERVER) for port in (8080, 8081)}
    for rule in rules.values():
        native("rule", "add", rule)
    with contextlib.ExitStack() as stack:
        socks = {port: [stack.enter_context(talk.dial(network.client, ROUTER, port))
                        for _ in range(100)] for port in rules}

        def alive(port):
            return sum(talk.ask(sock, b"%d" % n) == b"%d" % n
                       for n, sock in enumerate(socks[port]))
        assert alive(8080) == alive(8081) == 100
        native("rule", "del", "8080/tcp")
        assert alive(8080) == alive(8081) == 100
        native("rule", "add", rules[8080])
        native("rule", "replace", "8080/tcp", "8080:10.0.0.6:80")
        assert alive(8080) == 100
        assert "ended 100 flows" in native("rule", "del", "8081/tcp", "--flows", "kill").stdout
        assert alive(8080) == 100
        assert native.json("flow", "count")["count"] == 100
        for sock in socks[8081]:
            sock.settimeout(0.01)
            with pytest.raises(OSError):
                talk.ask(sock, b"gone")
                talk.ask(sock, b"gone")


def test_kept_and_killed_flows(network, native, service):
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native("rule", "add", RULE)
    with talk.dial(network.client, ROUTER, 8080) as sock:
        assert talk.ask(sock, b"one") == b"one"
        done = native("rule", "del", NAME, "--flows", "kill")
        assert "ended 1 flow" in done.stdout
        with pytest.raises(OSError):
            sock.settimeout(5)
            talk.ask(sock, b"two")
            talk.ask(sock, b"three")


def test_addresses_are_followed(network, native, service):
    """A rule without BIND listens on what the interface has, as it changes."""
    service(network.server, talk.accepting(talk.http), 80, SERVER)
    native("rule", "add", "8080:%s:80" % SERVER)

    def page(address):
        return network.client.run("curl", "-sS", "--noproxy", "*", "--max-time", "2",
                                  "http://%s:8080/" % address, check=False).stdout
    assert page(ROUTER) == "you are %s\n" % CLIENT
    assert page("203.0.113.77") == ""
    network.router.ip("addr", "add", "203.0.113.77/24", "dev", "wan")
    try:
        w.wait(lambda: page("203.0.113.77"), "the new address forwards", 10)
        assert page("10.0.0.1") == "", "the LAN's address has no default route"
    finally:
        network.router.ip("addr", "del", "203.0.113.77/24", "dev", "wan")
    network.router.run(w.XDNAT, "--instance", native.instance, "status")
    network.router.ip("addr", "add", "203.0.113.78/24", "dev", "wan")
    try:
        w.wait(lambda: page("203.0.113.78"), "the next one too", 10)
    finally:
        network.router.ip("addr", "del", "203.0.113.78/24", "dev", "wan")
    assert page(ROUTER)


INVALID = {
    "8080:80": "80",                    # docker's habit: no target
    "80x:10.0.0.5:80": "80x",
    "0:10.0.0.5:80": "0",
    "80:10.0.0.5:0": "0",
    "65536:10.0.0.5:80": "65536",
    "80:999.0.0.1:80": "999.0.0.1",
    "80:10.0.0.05:80": "10.0.0.05",
    "200-100:10.0.0.5:200-100": "200-100",
    "80:10.0.0.5:80/sctp": "sctp",
    "80:10.0.0.5:-1": "-1",
    "80:10.0.0.5:80 nonsense=1": "nonsense",
    "80:10.0.0.5:80 mode=masquerades": "masquerades",
    "80:10.0.0.5:80 snat=fd00::1": "snat",
    "80:10.0.0.5:80 snat=10.0.0.1": "add mode=masquerade or hairpin=on",
    "[2001:db8::1]:80:10.0.0.5:80": "family",
    "203.0.113.1:80:[fd00::5]:80": "family",
    "1000-1009:10.0.0.5:2000-2008": "unequal",
    "1000-1009:10.0.0.5:2000-2009 except=2001": "except=2001",
    "80:10.0.0.5:80,10.0.0.6:80": "10.0.0",
    "*:10.0.0.5:80-90": "*",
    "80:local": "8080:local:80",
    "80:example.com:8080": "example.com",
    "": "",
}


@pytest.mark.parametrize("text", INVALID)
def test_invalid_rules(native, text):
    words = text.split(" ") if " " in text else [text]
    native("rule", "add", RULE)
    before = native("rule", "list", "--json").stdout
    message = native.refused(6, "rule", "add", *words)
    assert INVALID[text].lower() in message.lower(), message
    assert len(message.strip().splitlines()) <= 3, message
    assert native("rule", "list", "--json").stdout == before, "it changed something"


def test_docker_habit_is_told_the_repair(native):
    message = native.refused(6, "rule", "add", "8080:80")
    assert "8080:" in message and ":80" in message.replace("8080:80", ""), message


def test_idempotent(native):
    native("rule", "add", RULE)
    listed = native("rule", "list", "--json").stdout
    again = native("rule", "add", RULE)
    assert "unchanged" in again.stdout + again.stderr
    assert native("rule", "list", "--json").stdout == listed
    pid = native.daemon()
    native("load", "wan", "lan")
    native("load")
    assert native.daemon() == pid
    assert native("rule", "list", "--json").stdout == listed


def test_exit_codes(native):
    native("rule", "add", RULE)
    native("rule", "add", "%s:8082:10.0.0.6:80" % ROUTER, "name=web")
    native.refused(5, "rule", "add", "%s:8080:10.0.0.6:80" % ROUTER)
    native.refused(5, "rule", "add", "%s:8081:10.0.0.6:80" % ROUTER, "name=web")
    for words in (["rule", "del", "nobody"], ["rule", "show", "nobody"],
                  ["load", "eth77"], ["unload", "eth77"]):
        message = native.refused(4, *words)
        assert words[-1] in message, message
    for words in (["rul"], ["rule"], ["rule", "ad", RULE], ["rule", "add"], ["load", "--flow", "4"],
                  ["load", "--flows", "x"], ["load", "--mode", "quick"], ["--sideways"],
                  ["status", "wan"], ["unload"], ["rule", "flush"], ["flow", "flush"]):
        native.refused(2, *words)
    assert native("rule", "list").stdout.count("\n") >= 1


def test_unknown_words_list_the_known(native):
    assert "rule" in native.refused(2, "forward")
    message = native.refused(2, "rule", "ad", RULE)
    assert "add" in message and "del" in message


def test_a_port_is_no_name(native):
    """Who types one is told the rules that have it."""
    for rule in ("80:%s" % SERVER, "80:%s/udp" % SERVER, "90-99:%s" % SERVER):
        native("rule", "add", rule)
    for words in ["del", "80"], ["show", "80"], ["disable", "80"]:
        assert "port 80 has: 80/tcp, 80/udp" in native.refused(4, "rule", *words)
    assert "port 95 has: 90-99/tcp" in native.refused(4, "rule", "show", "95")
    assert "xdnat rule list" in native.refused(4, "rule", "show", "443")


def test_not_loaded(xdnat):
    for words in (["status"], ["stats"], ["rule", "list"], ["rule", "add", RULE],
                  ["rule", "del", NAME], ["flow", "list"], ["flow", "count"], ["confirm"]):
        message = xdnat.refused(3, *words)
        assert "load" in message, message


def test_not_root(network, native):
    """Everybody may read the help, nobody else the maps."""
    directory = "/tmp/%s" % w.name("bin")
    os.mkdir(directory, 0o755)
    try:
        shutil.copy(w.XDNAT, directory)
        copy = os.path.join(directory, os.path.basename(w.XDNAT))
        nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy,
                  "--instance", native.instance)
        for words in (["status"], ["rule", "list"], ["load", "wan"], ["rule", "add", RULE]):
            done = network.router.run(*nobody, *words, check=False)
            assert done.returncode == 7, (words, done)
            assert "root" in done.stderr or "ermi" in done.stderr, done.stderr
        assert network.router.run(*nobody, "help").stdout
        assert network.router.run(*nobody, "version").stdout
    finally:
        shutil.rmtree(directory)


def test_help_and_version(xdnat):
    for words in (["help"], ["--help"], ["load", "--help"], ["rule", "add", "--help"],
                  ["version"]):
        done = xdnat(*words)
        assert done.stdout and not done.stderr, words
    assert "rule" in xdnat("help").stdout


JSON = [[], ["status"], ["stats"], ["rule", "list"], ["rule", "show", NAME], ["flow", "list"],
        ["flow", "count"], ["version"], ["load"], ["load", "wan", "lan"], ["confirm"]]


def test_json_everywhere(network, native, service):
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    native("rule", "add", RULE, "comment=a \"quoted\" one")
    with talk.dial(network.client, ROUTER, 8080) as sock:
        talk.ask(sock, b"there is a flow")
        for words in JSON:
            for arguments in (["--json", *words], [*words, "--json"]):
                text = native(*arguments).stdout
                documents = [json.loads(line) for line in text.splitlines()] \
                    if words[:2] == ["flow", "list"] else [json.loads(text)]
                assert documents and all(one["version"] == 1 and one["kind"]
                                         for one in documents), (words, text)
        flow, = [json.loads(line) for line in native("--json", "flow", "list").stdout.split("\n")
                 if line]
        assert CLIENT in json.dumps(flow) and SERVER in json.dumps(flow)
    assert native("rule", "list", "--json").stdout == native("rule", "list", "--json").stdout


def test_json_of_load_and_unload(xdnat):
    def row(name, change, mode="native", why=None):
        return {"name": name, "mode": mode, "auto": mode == "tc", "why": why, "shared": False,
                "change": change}

    loaded = xdnat.json("load", "wan", "--mode", "native", "--no-daemon")
    assert loaded == {"version": 1, "kind": "load", "interfaces": [row("wan", "loaded")],
                      "daemon_pid": None, "confirm_sec": None}
    both = xdnat.json("load", "wan", "lan", "--confirm", "60")
    why = both["interfaces"][0]["why"]
    assert "veth" in why
    assert both["interfaces"] == [row("lan", "loaded", "tc", why), row("wan", "upgraded")]
    assert both["daemon_pid"] == xdnat.daemon() and both["confirm_sec"] == 60
    assert [xdnat.json("confirm")["confirmed"] for _ in range(2)] == [True, False]
    assert xdnat.json("load")["interfaces"] == [row("wan", "upgraded"),
                                                row("lan", "upgraded", "tc")]
    assert xdnat.json("unload", "wan") == {"version": 1, "kind": "unload", "interfaces": ["wan"]}
    assert xdnat.json("unload", "--all")["interfaces"] == ["lan"]
    xdnat.refused(3, "status")


def test_quiet_load_and_unload(xdnat):
    for words in (["load", "wan", "lan", "--confirm", "60"], ["confirm"], ["confirm"], ["load"],
                  ["load", "wan"], ["unload", "wan"], ["unload", "--all"]):
        done = xdnat("--quiet", *words)
        assert not done.stdout, words
        assert all("warning: " in line for line in done.stderr.splitlines()), words


def test_confirm_with_nothing_new(native):
    done = native("load", "wan", "--confirm", "30")
    assert "no interface was newly loaded" in done.stderr
    assert native.json("confirm")["confirmed"] is False


def test_shape_of_json_is_stable(native):
    """Members are there whether or not they have something to say."""
    native("rule", "add", RULE)
    for rule in (native.json("rule", "list")["rules"] + native.json()["rules"] +
                 [native.json("rule", "show", NAME)]):
        assert rule["comment"] is None
    for one in native.json("status")["interfaces"]:
        assert set(one) == {"name", "ifindex", "mode", "auto", "target_side", "shared",
                            "attached", "rxvlan_off"}
        assert type(one["rxvlan_off"]) is bool


def test_rules_recreate_themselves(native):
    for words in ([RULE], ["[2001:db8::1]:443:[fd00::5]:8443", "name=web6"],
                  ["5300:10.0.0.6:53/udp", "comment=it's \"two\" words, $HOME"],
                  ["wan:7000:10.0.0.7"], ["*:53:10.0.0.8/udp"], ["81:[fd00::5]"]):
        native("rule", "add", *words)
    listed = native("rule", "list", "--json").stdout
    commands = native("rule", "list", "--format=commands").stdout
    for line in commands.splitlines():  # nothing that a shell would expand
        words = line.split(" ", 5)
        assert not set("*[") & set(words[5].split("'")[0]), line
    native("rule", "flush", "--yes")
    assert native("rule", "list", "--json").stdout != listed
    script = 'xdnat() { nsenter --net="$NETNS" "$BINARY" --instance "$INSTANCE" "$@"; }\n'
    w.run("env", "NETNS=" + native.namespace.path, "BINARY=" + w.XDNAT,
          "INSTANCE=" + native.instance, "bash", "-ec", script + commands)
    assert native("rule", "list", "--json").stdout == listed


def test_many_rules(native):
    count = 500 if w.LONG else 100
    for port in range(10000, 10000 + count):
        native("rule", "add", "%d:10.0.0.5" % port)
    listed = native.json("rule", "list")
    assert len(listed["rules"]) == count
    assert native("rule", "list", "--format=commands").stdout.count(":10.0.0.5") == count
    native("rule", "flush", "--yes")
    assert native.json("rule", "list")["rules"] == []


def test_precedence(network, native, service):
    """Bound to an address before unbound, whichever came first."""
    for port, text in ((80, b"bound"), (81, b"unbound")):
        def serve(connection, peer, text=text):
            connection.sendall(text)
        service(network.server, talk.accepting(serve), port, SERVER)
    for first, second in ((0, 1), (1, 0)):
        rules = [RULE, "8080:%s:81" % SERVER]
        native("rule", "add", rules[first])
        native("rule", "add", rules[second])
        with talk.dial(network.client, ROUTER, 8080) as sock:
            assert sock.makefile("rb").read() == b"bound"
        native("rule", "del", NAME)
        with talk.dial(network.client, ROUTER, 8080) as sock:
            assert sock.makefile("rb").read() == b"unbound"
        native("rule", "flush", "--yes")
