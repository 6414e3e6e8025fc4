"""Tiles and bundles, as C2SP tlog-tiles writes them."""

import contextlib

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tlog_scales import tiles as scales

from doorstep.audit.domain.errors import Malformed
from doorstep.audit.domain.merkle import consistency_ranges, inclusion_ranges, leaf_hash, root_of
from doorstep.audit.domain.proving import ProofTiles
from doorstep.audit.domain.tiles import (
    BUNDLE,
    Tile,
    decode_bundle,
    decode_hashes,
    encode_bundle,
    encode_hashes,
    levels_of,
    parse_path,
    tiles_of_level,
)

LEAVES = [leaf_hash(str(number).encode()) for number in range(1200)]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),
        (Tile(1, 999, 255), "tile/1/999.p/255"),
        (Tile(BUNDLE, 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_paths_are_written_in_groups_of_three(tile, path):
    assert tile.path == path
    assert parse_path(path) == tile


@given(st.integers(BUNDLE, 5), st.integers(0, 2**14), st.integers(1, 256))
def test_every_tile_has_one_path(level, index, width):
    tile = Tile(level, index, width)
    assert parse_path(tile.path) == tile
    assert tile.path == "/".join(scales.tile_path(level, index, 0 if width == 256 else width))


@pytest.mark.parametrize(
    "path",
    [
        "", "tile", "tile/0", "tile/0/", "tile/0/1", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/-1/000",
        "tile/0/x000/001", "tile/0/001/002", "tile/0/x001/x002", "tile/0/x1/002", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/000.p/", "tile/0/000.p", "/tile/0/000", "tile/0/000/", "tile/0/000\n",
        "tile/0/٠٠١", "tile/٠/001", "tile/entries/x000/000", "tile/Entries/000", "tile/data/000", "tile/8/000",
        "tile/7/128", "tile/0/x999/x999/x999/x999/x999/x999/x999/999", "tile/63/000.p/1", "tile/0/x001/234.p/-1",
    ],
)  # fmt: skip
def test_a_path_that_is_not_one_is_one_error(path):
    with pytest.raises(Malformed):
        parse_path(path)


@given(st.text(max_size=40))
@example("tile/0/000")
def test_any_text_is_a_path_or_malformed(text):
    with contextlib.suppress(Malformed):
        assert parse_path(text).path == text


def test_widths_are_those_of_the_published_example():
    assert [(tile.level, tile.index, tile.width) for tile in list(tiles_of_level(70_000, 0))[-1:]] == [(0, 273, 112)]
    assert len([tile for tile in tiles_of_level(70_000, 0) if tile.full]) == 273
    assert list(tiles_of_level(70_000, 1)) == [Tile(1, 0), Tile(1, 1, 17)]
    assert list(tiles_of_level(70_000, 2)) == [Tile(2, 0, 1)]
    assert levels_of(70_000) == 3
    assert list(tiles_of_level(256, 0)) == [Tile(0, 0)]
    assert list(tiles_of_level(256, 1)) == [Tile(1, 0, 1)]
    assert levels_of(256) == 2
    assert levels_of(0) == 0
    assert list(tiles_of_level(0, 0)) == []


@given(st.integers(0, 2**40), st.integers(BUNDLE, 7))
def test_no_tile_is_empty_and_each_is_within_its_tree(size, level):
    full, width = scales.level_tiles(size, level)
    if full < 1000:
        tiles = list(tiles_of_level(size, level))
        assert len(tiles) == full + bool(width)
        assert all(tile.within(size) for tile in tiles)
        assert not tiles or not Tile(level, tiles[-1].index + 1, 1).within(size)


@given(st.lists(st.binary(max_size=300), max_size=256))
def test_bundles_give_back_their_entries(entries):
    assert decode_bundle(encode_bundle(entries), len(entries)) == entries


def test_the_longest_entry_is_65535_bytes():
    entry = b"x" * 65535
    assert decode_bundle(encode_bundle([entry]), 1) == [entry]
    with pytest.raises(Malformed):
        encode_bundle([entry + b"x"])


@given(st.binary(max_size=600), st.integers(1, 5))
def test_any_bytes_are_a_bundle_or_malformed(data, width):
    with contextlib.suppress(Malformed):
        assert encode_bundle(decode_bundle(data, width)) == data


@pytest.mark.parametrize("data", [b"\0", b"\0\1", b"\0\5four", b"", b"\0\1a\0\1b", b"\0\1a\0"])
def test_a_bundle_of_another_width_or_cut_short_is_malformed(data):
    with pytest.raises(Malformed):
        decode_bundle(data, 1)


def test_a_tile_of_another_width_is_malformed():
    data = encode_hashes(LEAVES[:7])
    assert decode_hashes(data, 7) == LEAVES[:7]
    for width, wrong in ((8, data), (6, data), (7, data[:-1]), (7, data + b"x"), (1, b"")):
        with pytest.raises(Malformed):
            decode_hashes(wrong, width)


def _hashes(tile: Tile) -> bytes:
    span = 256**tile.level
    numbers = range(tile.start, tile.start + tile.width)
    return encode_hashes([root_of(LEAVES[number * span : (number + 1) * span]) for number in numbers])


@given(st.data())
def test_proofs_from_tiles_are_those_from_leaves(data):
    size = data.draw(st.integers(1, 1200))
    spans = inclusion_ranges(data.draw(st.integers(0, size - 1)), size)
    spans += consistency_ranges(data.draw(st.integers(1, size)), size)
    tiles = ProofTiles(size)
    for tile in tiles.missing(spans):
        assert tile.within(size)
        tiles.add(tile, _hashes(tile))
    assert tiles.missing(spans) == []
    assert tiles.hashes(spans) == [root_of(LEAVES[start:end]) for start, end in spans]
