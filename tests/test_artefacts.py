"""Nothing is left half-written."""

import os

import pytest

from tinyflow.artefacts import Manifest, atomic_folder, atomic_path, fingerprint, read_json, scratch_folder, write_json
from tinyflow.errors import TinyflowError


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    target = tmp_path / "a.json"
    write_json(target, 1)
    with pytest.raises(RuntimeError):
        with atomic_path(target) as path:
            path.write_text("half")
            raise RuntimeError
    assert read_json(target) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "stage"
    with atomic_folder(target) as path:
        (path / "x").write_text("old")
    with pytest.raises(RuntimeError):
        with atomic_folder(target) as path:
            (path / "x").write_text("half")
            raise RuntimeError
    assert (target / "x").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["stage"]


def test_a_scratch_folder_goes_with_its_owner_and_not_with_a_fork_of_it():
    class Owner:
        pass

    owner = Owner()
    folder, _ = scratch_folder(owner)
    (folder / "x").write_text("x")
    child = os.fork()
    if not child:
        del owner
        os._exit(0)
    os.waitpid(child, 0)
    assert (folder / "x").is_file()
    del owner
    assert not folder.exists()
    folder, discard = scratch_folder(owner := Owner())
    discard()
    assert not folder.exists()


def test_manifest_round_trip_and_foreign_fields(tmp_path):
    manifest = Manifest("train", "abc", outputs={"w": "1"}, seconds=1.5)
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    assert Manifest.read(tmp_path / "absent") is None
    write_json(tmp_path / "manifest.json", {"stage": "train", "fingerprint": "", "colour": "red"})
    with pytest.raises(TinyflowError, match="colour"):
        Manifest.read(tmp_path)


def test_fingerprint_does_not_depend_on_the_order_of_keys():
    assert (
        fingerprint({"a": 1, "b": (2, 3)}) == fingerprint({"b": [2, 3], "a": 1}) != fingerprint({"a": 2, "b": [2, 3]})
    )


@pytest.mark.parametrize("text, message", [(None, "does not exist"), ("{", "not valid JSON")])
def test_unreadable_json(tmp_path, text, message):
    if text:
        (tmp_path / "a.json").write_text(text)
    with pytest.raises(TinyflowError, match=message):
        read_json(tmp_path / "a.json")
