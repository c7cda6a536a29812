"""Random bytes in blocks."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.entropy import Entropy


def test_no_bytes_are_given_twice():
    """Every taker gets bytes of its own, across blocks and from many threads."""
    source = Entropy()
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: source.take(16), range(20_000)))
    assert len(set(taken)) == 20_000


def test_a_forked_child_has_its_own():
    """What a child gives out is not what its parent gives out."""
    source = Entropy()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, source.take(32))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 32) != source.take(32)


@pytest.mark.parametrize("count", [0, -1, 65])
def test_odd_amounts_are_refused(count):
    """It is for names, not for bulk."""
    with pytest.raises(ValueError):
        Entropy().take(count)
