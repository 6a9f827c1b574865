# SPDX-License-Identifier: GPL-2.0-only
"""What `rule show` and `rule list` tell people of a rule's options."""
from network import SERVER

ALLOWED = ",".join("198.51.100.%d" % n for n in range(3))


def line(text, title):
    """What stands behind it; None without such a line."""
    return next((row[len(title):].strip() for row in text.splitlines()
                 if row.startswith(title + " ")), None)


def test_options(native):
    """Those that are not as by default; long lists are told short in a table."""
    native("rule", "add", "8080:%s:80" % SERVER, "mode=preserve", "hairpin=off", "name=plain")
    assert "OPTIONS" not in native("rule", "list").stdout
    assert line(native("rule", "show", "plain").stdout, "options") is None
    words = ["mode=masquerade", "snat=10.0.0.1", "allow=" + ALLOWED, "mss=1300"]
    native("rule", "add", "8081:%s:80" % SERVER, *words, "name=full", "comment=all of it")
    assert line(native("rule", "show", "full").stdout, "options") == " ".join(words)
    title, *rows = native("rule", "list").stdout.splitlines()
    words[2] = "allow=3 prefixes"
    assert "OPTIONS" in title
    assert {row.split()[0]: row[title.index("OPTIONS"):title.index("COMMENT")].strip()
            for row in rows} == {"plain": "-", "full": " ".join(words)}


def test_what_is_left_to_this_host(network, native):
    """T071: "*" leaves its own ports to it, of the rule's protocols; except= is an option."""
    native("rule", "add", "*:%s" % SERVER, "except=80,443", "name=star")
    native("rule", "add", "8080-8089:%s" % SERVER, "name=range")
    with network.router.socket() as tcp, network.router.socket(kind=2) as udp:
        tcp.bind(("", 22))
        tcp.listen()
        udp.bind(("", 53))
        told = native("rule", "show", "star").stdout
    assert line(told, "options") == "except=80,443"
    assert line(told, "left here").startswith("22,32768-60999: ")
    assert line(native("rule", "show", "range").stdout, "left here") is None
