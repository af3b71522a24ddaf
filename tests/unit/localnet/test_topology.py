from hypothesis import given
from hypothesis import strategies as st
from p2pfd_localnet.topology import DEGREE, dials

from p2pfd.core.rng import Rng


@given(st.integers(1, 64), st.integers(0, 2**32))
def test_connected_and_nobody_is_left_out(count, seed):
    names = [f"node-{place}" for place in range(count)]
    plan = dials(names, Rng(seed))
    assert plan == dials(names, Rng(seed))
    links = {name: set() for name in names}
    for name, others in plan.items():
        assert name not in others
        assert len(set(others)) == len(others)
        assert others or count == 1
        for other in others:
            links[name].add(other)
            links[other].add(name)
    assert all(len(peers) >= min(DEGREE, count - 1) for peers in links.values())
    seen, todo = set(), [names[0]]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += links[name]
    assert seen == set(names)
