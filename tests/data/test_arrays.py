"""Rows of a split, and arrays on disk."""

import numpy as np
import pytest

from convzoo.data.arrays import evenly_spaced, load_array, save_array
from convzoo.errors import ConvzooError


def test_rows_are_spread_evenly_over_all():
    assert evenly_spaced(10, 4).tolist() == [0, 3, 6, 9]
    assert evenly_spaced(3, 9).tolist() == [0, 1, 2]
    assert evenly_spaced(5, 1).tolist() == [0]


def test_an_array_comes_back_and_a_broken_one_is_named(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    save_array(tmp_path / "a.npy", array)
    assert np.array_equal(load_array(tmp_path / "a.npy", "net"), array)
    (tmp_path / "a.npy").write_bytes((tmp_path / "a.npy").read_bytes()[:-1])
    for name in ("a.npy", "missing.npy"):
        with pytest.raises(ConvzooError, match=rf"{name}: cannot be read .*; train the network again: .* train@net"):
            load_array(tmp_path / name, "net")


def test_nothing_but_plain_arrays_is_written_or_read(tmp_path):
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        save_array(tmp_path / "a.npy", np.array([{}], dtype=object))
    assert not list(tmp_path.iterdir())
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ConvzooError, match="Object arrays cannot be loaded"):
        load_array(tmp_path / "a.npy", "net")
