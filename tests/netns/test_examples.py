# SPDX-License-Identifier: GPL-2.0-only
"""What README.md and `xdnat help` show is what the product takes: every rule, and every
command without a placeholder, is run on a router whose wan is eth0 and whose lan eth1."""
import os
import re
import shlex

import pytest
import world as w

TOPICS = "grammar", "keys", "layouts", "modes"
SOURCES = ("README",) + TOPICS
# What a reader must find an example of, in README and in help.
FEATURES = ("/udp", "/tcp+udp", "eth0:", "*:443", "*:10.0.0.9", "203.0.113.7:", ":40000-40099",
            ":53/udp", "except=", ":local:", "[fd00::5]", "name=", "comment=", "allow=", "deny=@",
            "enabled=no", "mode=masquerade", "snat=", "hairpin=on", "mss=auto", "mss=1360")
RULE = re.compile(r"[^\s='/]*[0-9*]:[^\s=']+( [a-z-]+=('[^']*'|\S+))*")
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b|[|<>]|\.\.\.")


def text_of(source):
    if source == "README":
        with open(os.path.join(w.ROOT, "README.md")) as file:
            return file.read()
    return w.run(w.XDNAT, "help", source).stdout


def examples(source):
    """`code` that begins a row of a table, a line of a block, an indented line of help;
    without what is said about it."""
    is_block = False
    for line in text_of(source).splitlines():
        is_block ^= line.startswith("```")
        row = re.match(r"\| `([^`]*)` \|", line)
        if row:
            yield row[1]
        elif is_block or source != "README" and line.startswith("  "):
            yield re.split(r"\s+#\s|\s{2,}", line.strip())[0]


def rules(source):
    found = [re.sub("^xdnat rule add ", "", one) for one in examples(source)]
    return [one for one in found if RULE.fullmatch(re.sub("^'([^']*)'", r"\1", one))]


def commands(source):
    return [one for one in examples(source) if one.startswith("xdnat") and
            not one.startswith("xdnat rule add") and not PLACEHOLDER.search(one)]


@pytest.fixture(scope="module")
def reader(network, tmp_path_factory):
    """reader(line): types it, in a shell's words."""
    listed = tmp_path_factory.mktemp("files") / "list"
    listed.write_text("192.0.2.0/24\n")
    command = w.Xdnat(network.router)

    def types(line):
        line = re.sub(r"\beth0\b", "wan", re.sub(r"\beth1\b", "lan", line))
        return command(*shlex.split(re.sub(r"@/\S+", "@%s" % listed, line))[1:])

    types("xdnat load eth0 eth1 --mode native")
    for target in "10.0.0.6/31", "10.0.0.9/32":  # who does not answer is waited for
        network.server.ip("route", "add", "local", target, "dev", "lo")
    try:
        yield types
    finally:
        command.destroy()
        for target in "10.0.0.6/31", "10.0.0.9/32":
            network.server.ip("route", "del", "local", target, "dev", "lo")


@pytest.mark.parametrize("source, fewest", [("README", 25), ("grammar", 15), ("keys", 10),
                                            ("layouts", 5)])
def test_every_rule_is_taken(reader, source, fewest):
    found = rules(source)
    assert len(found) >= fewest, found
    for one in found:
        said = reader("xdnat rule add " + one).stdout
        assert said.startswith("added "), (one, said)
        reader("xdnat rule flush --yes")


@pytest.mark.parametrize("sources", [("README",), TOPICS], ids=["README", "help"])
def test_every_form_is_shown(sources):
    shown = "\n".join(one for source in sources for one in rules(source)).replace("'", "")
    assert not [one for one in FEATURES if one not in shown]


@pytest.mark.parametrize("source", [one for one in SOURCES if one != "grammar"])
def test_every_command_is_taken(reader, source):
    """In the order in which they stand there. What needs a dispatcher has its own test."""
    found = [one for one in commands(source) if "--shared" not in one]
    assert found
    if found[0].startswith("xdnat load eth"):
        reader("xdnat unload --all")
    try:
        for one in found:
            reader(one)
    finally:
        reader("xdnat unload --all")
        reader("xdnat load eth0 eth1 --mode native")


def helped():
    """Every text of help: what the overview names, and the overview."""
    overview = w.run(w.XDNAT, "help").stdout.partition("\nForward ")[0]
    named = re.findall(r"^  ([a-z]+(?: [a-z]+)*)", overview, re.M)
    return [[]] + [one.removeprefix("help ").split() for one in named if one != "xdnat"]


def test_help_fits_a_terminal():
    """No line of it is longer than 80 columns."""
    shown = {" ".join(words): w.run(w.XDNAT, "help", *words).stdout for words in helped()}
    assert {"load", "rule list", "flow kill", "version"} | {*TOPICS, "sources", "json"} <= {*shown}
    wide = [(name, line) for name, text in shown.items() for line in text.splitlines()
            if len(line) > 80]
    assert not wide, wide
