"""How large the meshes of experiments are in tests: as small as still learns."""

from __future__ import annotations

SMALL = """\
[data]
public = 32
validation = 10
test = 40
private = 80
[settings]
epochs = 1
distil_epochs = 1
"""
