"""A strict reader of Prometheus's text format: what a monitoring system would take, and no more than that."""

from __future__ import annotations

import re

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
_HELP = re.compile(r"# HELP ([a-z][a-z0-9_]*) (\S.*)")
_TYPE = re.compile(r"# TYPE ([a-z][a-z0-9_]*) (counter|gauge)")
_SAMPLE = re.compile(r"([a-z][a-z0-9_]*)(?:\{([a-z_]+=\"(?:[^\"\\\n]|\\[\\n\"])*\",?)+\})? (\S+)")


def read(text: str) -> Samples:
    """The samples in a page; AssertionError when any line of it is out of order."""
    assert text.endswith("\n")
    names: list[str] = []
    lines = iter(text[:-1].split("\n"))
    for line in lines:
        if line.startswith("# HELP"):
            helped = _HELP.fullmatch(line)
            typed = _TYPE.fullmatch(next(lines))
            assert helped, line
            assert typed, line
            assert helped[1] == typed[1], line
            assert helped[1] not in names, f"{helped[1]} twice"
            assert (typed[2] == "counter") == helped[1].endswith("_total")
            names.append(helped[1])
        else:
            sample = _SAMPLE.fullmatch(line)
            assert sample, line
            assert sample[1] == names[-1], f"not a sample of {names[-1]}: {line}"
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for each in family.samples:
            key = each.name, tuple(sorted(each.labels.items()))
            assert key not in found, f"{key} twice"
            assert each.value >= 0
            found[key] = each.value
    return found
