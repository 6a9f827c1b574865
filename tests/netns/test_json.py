# SPDX-License-Identifier: GPL-2.0-only
"""What --json prints is what share/xdnat.schema.json says, in every state."""
import copy
import glob
import json
import os
import re
import socket
import subprocess

import jsonschema
import pytest
import talk
import world as w
from network import CLIENT, ROUTER, ROUTER6, SERVER, SERVER6

RULE = "%s:8080:%s:80" % (ROUTER, SERVER)
NAME = "%s:8080/tcp" % ROUTER
with open(os.path.join(w.ROOT, "share/xdnat.schema.json")) as file:
    SCHEMA = json.load(file)
LOOKING = [[], ["status"], ["stats"], ["rule", "list"], ["flow", "list"], ["flow", "count"]]


def strict(node):
    """The schema as this version keeps it: all members and words that it names and no
    others, where later versions may add some."""
    if isinstance(node, list):
        return [strict(one) for one in node]
    if not isinstance(node, dict):
        return node
    made = {key: strict(value) for key, value in node.items()}
    if isinstance(node.get("examples"), list):
        made["enum"] = node["examples"]
    if "properties" in node:
        made["required"] = list(node["properties"])
    for key in "properties", "$defs":
        for name, one in node.get(key, {}).items():
            if key == "properties" or name in KINDS:
                made[key][name]["unevaluatedProperties"] = False
    if isinstance(node.get("items"), dict):
        made["items"]["unevaluatedProperties"] = False
    return made


KINDS = {name for name, one in SCHEMA["$defs"].items() if "kind" in one.get("properties", {})}
STRICT = strict(copy.deepcopy(SCHEMA))


def validator(schema, kind):
    """One kind's: that of all kinds would only say that none fits."""
    return jsonschema.Draft202012Validator({**schema, "$ref": "#/$defs/" + kind, "oneOf": [{}]})


def check(document):
    """Returns its kind."""
    kind = document["kind"]
    assert kind in KINDS, "the schema has no %s" % kind
    for schema in SCHEMA, STRICT:
        faults = ["%s: %s" % (fault.json_path, fault.message)
                  for fault in validator(schema, kind).iter_errors(document)]
        assert not faults, "\n".join([json.dumps(document), *faults])
    jsonschema.Draft202012Validator(SCHEMA).validate(document)
    return kind


class Seen:
    """Runs commands with --json, checks what they print and remembers the kinds."""

    def __init__(self, xdnat):
        self.xdnat, self.kinds = xdnat, set()

    def __call__(self, *words, code=0, stdin=None):
        done = self.xdnat(*words, "--json", check=False, stdin=stdin)
        assert done.returncode == code, (words, done)
        lines = words[:2] == ("flow", "list") or code
        documents = [json.loads(one) for one in (done.stdout.splitlines() if lines
                                                 else [done.stdout])]
        self.kinds |= {check(one) for one in documents}
        if code:
            assert documents[-1]["kind"] == "error" and documents[-1]["exit_code"] == code
            assert documents[-1]["error"] in done.stderr
        return documents

    def look(self):
        for words in LOOKING:
            self(*words)


def kinds_of_sources():
    """The names that out_document() gets, also through functions that hand on a kind."""
    text = "".join(open(path).read() for path in
                   sorted(glob.glob(os.path.join(w.ROOT, "user/*.c"))))
    through = set(re.findall(r"\b(\w+)\([^()]*\bconst char \*kind\b", text))
    named = re.findall(r"\bout_document\((?!const char)([^()]*)\)", text)
    assert all(one == "kind" or re.fullmatch(r'"\w+"', one) for one in named), named
    return {found for one in through
            for found in re.findall(r'\b%s\([^;{"]*"(\w+)"' % one, text)}


def talk_through(network, native, service):
    """Flows of both families and protocols; one's rule is deleted."""
    service(network.server, talk.accepting(talk.echo), 80, SERVER)
    service(network.server, talk.accepting(talk.echo), 80, SERVER6)
    service(network.server, talk.udp_echo, 53, SERVER, kind=socket.SOCK_DGRAM)
    streams = [talk.dial(network.client, address, port)
               for address, port in ((ROUTER, 8080), (ROUTER6, 443), (ROUTER, 8081))]
    for sock in streams:
        talk.ask(sock, b"hello")
    streams.append(network.client.socket(kind=socket.SOCK_DGRAM))
    streams[-1].settimeout(20)
    streams[-1].sendto(b"hello", (ROUTER, 5300))
    assert streams[-1].recv(100)
    native("rule", "del", "gone")
    return streams


RULES = [[RULE], ["[%s]:443:[%s]:80" % (ROUTER6, SERVER6), "name=web6"],
         ["5300:%s:53/udp" % SERVER, "comment=it's \"two\" words, ü"],
         ["30000-30099:10.0.0.7:40000-40099/tcp+udp", "except=30022,30050-30059"],
         ["wan:*:10.0.0.9/udp", "except=1-10000"], ["6000:local:7000"],
         ["wan:7000:10.0.0.7"], ["*:53:10.0.0.8/udp"], ["8081:%s:80" % SERVER, "name=gone"]]


def test_every_kind(network, xdnat, service):
    """Every kind that the sources make is in the schema and is printed here."""
    seen = Seen(xdnat)
    seen("version")
    seen("load", "wan", "--mode", "native", "--no-daemon")
    seen.look()
    seen("load", "wan", "lan", "--confirm", "60")
    seen.look()
    assert [seen("confirm")[0]["confirmed"] for _ in range(2)] == [True, False]
    seen("load")
    for words in RULES:
        seen("rule", "add", *words)
        seen("rule", "add", *words)
    streams = talk_through(network, xdnat, service)
    seen.look()
    flows = seen("flow", "list")
    assert len(flows) == len(streams) and [one for one in flows if one["rule"] is None]
    for one in seen("rule", "list")[0]["rules"]:
        seen("rule", "show", one["name"])
    for sock in streams:
        sock.close()
    seen("flow", "kill", "src=" + CLIENT, "proto=udp")
    seen("flow", "flush", "--yes")
    seen("rule", "disable", NAME, "--flows", "kill")
    seen("rule", "list")
    seen("rule", "enable", NAME)
    seen("rule", "replace", NAME, RULE, "name=web")
    seen("rule", "add", "-", stdin="82:%s\n83:%s\n" % (SERVER, SERVER))
    seen("rule", "del", "web")
    network.router.sysctl("ipv4.ip_forward=0")
    try:
        assert seen()[0]["problems"]
        seen("rule", "show", "wan:7000/tcp")
    finally:
        network.router.sysctl("ipv4.ip_forward=1")
    seen("rule", "flush", "--yes")
    seen("unload", "wan")
    seen("unload", "--all")
    seen("status", code=3)
    assert kinds_of_sources() == KINDS == seen.kinds


def test_errors_are_objects_too(native):
    """One line on stdout, wherever --json stands and whatever is wrong with the words."""
    seen = Seen(native)
    native("rule", "add", RULE)
    for code, *words in (
            (2, "rul"), (2, "rule"), (2, "rule", "ad"), (2, "rule", "add"), (2, "--sideways"),
            (2, "load", "--flows", "x"), (2, "status", "wan"), (2, "flow", "kill"),
            (2, "flow", "list", "sideways"), (2, "flow", "flush"), (2, "--instance", ".."),
            (4, "rule", "show", "nobody"), (4, "rule", "del", "nobody"), (4, "load", "nowhere"),
            (4, "flow", "list", "rule=nobody"), (4, "flow", "kill", "src=192.0.2.1"),
            (5, "rule", "add", "%s:8080:10.0.0.6" % ROUTER), (6, "rule", "add", "8080:80")):
        seen(*words, code=code)
    done = native("--json", "rule", "show", "nobody", check=False)
    assert json.loads(done.stdout)["exit_code"] == done.returncode == 4
    assert len(done.stderr.splitlines()) == 1


def test_errors_when_not_loaded(xdnat):
    seen = Seen(xdnat)
    for words in LOOKING + [["confirm"], ["flow", "flush", "--yes"], ["rule", "add", RULE],
                            ["unload", "--all"], ["flow", "kill", "proto=udp"]]:
        seen(*words, code=3)


def test_errors_quote_any_bytes(native):
    """What was typed need not be UTF-8, JSON must be; a long word is cut short."""
    for word in b"\xff\xfe", "ü".encode() * 1000, b"a" + "ü".encode() * 1000, b"\x1b[31m\n":
        done = subprocess.run(native.command("--json", "rule", "show") + [word],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=w.environment)
        assert done.returncode == 4
        check(json.loads(done.stdout.decode()))


def test_without_json_stdout_stays_empty(native):
    done = native("rule", "show", "nobody", check=False)
    assert done.returncode == 4 and not done.stdout


def test_published_schema_lets_versions_grow(native):
    """More members and words are still version 1; a missing or changed member is not."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    native("rule", "add", RULE)
    listed = native.json("rule", "list")
    check(listed)
    grown = copy.deepcopy(listed)
    grown["more"] = grown["rules"][0]["more"] = True
    grown["rules"][0]["mode"] = "masquerade"
    jsonschema.validate(grown, SCHEMA)
    with pytest.raises(AssertionError, match="more"):
        check(grown)
    for change in ({"port": "80"}, {"port": 0}, {"target": "[::1]"}, {"comment": False}):
        broken = copy.deepcopy(listed)
        broken["rules"][0].update(change)
        with pytest.raises(AssertionError):
            check(broken)
    del listed["rules"][0]["comment"]
    with pytest.raises(AssertionError, match="comment"):
        check(listed)
