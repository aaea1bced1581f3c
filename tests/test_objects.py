"""Objects and their cache: never a wrong one, never a needless compilation, whatever happens to the files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tinyflow.objects import Cache, ToolError, Unit, Workbench, dependencies, workbench
from tinyflow.reference.hostlib import host_compiler

OPTIONS = ("-O1", "-Wall", "-Werror")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("TINYFLOW_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def compiled(monkeypatch) -> list[str]:
    """Sources that a compiler was called for."""
    sources, run = [], Workbench.run

    def noting(bench, command):
        sources.append(command[-1])
        run(bench, command)

    monkeypatch.setattr(Workbench, "run", noting)
    return sources


@pytest.fixture
def project(tmp_path) -> Path:
    folder = tmp_path / "project"
    (folder / "inc").mkdir(parents=True)
    (folder / "inc" / "value.h").write_text("#define VALUE 1\n")
    (folder / "a.c").write_text('#include <stdint.h>\n#include "value.h"\nint32_t a(void) { return VALUE; }\n')
    return folder


def objects(folder: Path, *options: str, names: tuple[str, ...] = ("a.c",), includes=("inc",)) -> list[bytes]:
    compiler = tuple(host_compiler())
    searched = tuple(folder / name for name in includes)
    with workbench({"project": folder}) as bench:
        units = [Unit(folder / name, compiler, (*OPTIONS, *options), searched) for name in names]
        return [(bench.folder / name).read_bytes() for name in bench.compile(units)]


def test_the_second_time_nothing_is_compiled(project, compiled):
    first = objects(project)
    assert compiled == ["project/a.c"]
    assert objects(project) == first and len(compiled) == 1


def test_it_does_not_matter_where_things_lie(project, compiled, tmp_path):
    first = objects(project, "-g")
    (tmp_path / "else where=").mkdir()
    project.rename(tmp_path / "else where=" / "deeper")
    assert objects(tmp_path / "else where=" / "deeper", "-g") == first and len(compiled) == 1
    assert str(tmp_path).encode() not in first[0]


@pytest.mark.parametrize("what", ["source", "header", "flag", "define", "order", "compiler", "language", "name"])
def test_what_changes_is_compiled_anew(project, compiled, what, tmp_path, monkeypatch):
    (project / "other").mkdir()
    (project / "other" / "value.h").write_text("#define VALUE 2\n")
    (project / "a.c").write_text(
        '#include "value.h"\n#ifndef MORE\n#define MORE 0\n#endif\nint a(int x) { return x / 7 + VALUE + MORE; }\n'
    )
    both = {"includes": ("inc", "other")}
    first = objects(project, **both)
    again = {}
    if what == "source":
        (project / "a.c").write_text("int a(int x) { return x; }\n")
    elif what == "header":
        (project / "inc" / "value.h").write_text("#define VALUE 3\n")
    elif what == "flag":
        again = {"options": ("-O0",)}
    elif what == "define":
        again = {"options": ("-DMORE=1",)}
    elif what == "order":
        both = {"includes": ("other", "inc")}
    elif what == "language":
        again = {"options": ("-std=c99", "-fwrapv", "-Os")}
    elif what == "name":
        (project / "a.c").rename(project / "b.c")
        both["names"] = ("b.c",)
    elif what == "compiler":  # another of the same name: after an update
        other = tmp_path / "bin" / "cc"
        other.parent.mkdir()
        other.write_text(f'#!/bin/sh\nexec {host_compiler()[0]} -DMORE=5 "$@"\n')
        other.chmod(0o755)
        monkeypatch.setenv("CC", str(other))
    second = objects(project, *again.get("options", ()), **both)
    assert len([name for name in compiled if name.endswith(".c")]) == 2 and second != first
    monkeypatch.setenv("TINYFLOW_CACHE", "")
    assert objects(project, *again.get("options", ()), **both) == second


def test_a_new_header_that_comes_first_is_noticed(project, compiled):
    """No file that was read has changed, yet another one is read now."""
    first = objects(project, includes=("early", "inc"))
    (project / "early").mkdir()
    (project / "early" / "value.h").write_text("#define VALUE 5\n")
    second = objects(project, includes=("early", "inc"))
    (project / "value.h").write_text("#define VALUE 6\n")  # beside the source comes before all
    third = objects(project, includes=("early", "inc"))
    assert len(compiled) == 3 and len({first[0], second[0], third[0]}) == 3
    (project / "early" / "stdint.h").write_text("typedef int int32_t;\n#define MARK\n")  # instead of the system's
    assert objects(project, includes=("early", "inc")) and len(compiled) == 4
    (project / "early" / "unrelated.h").write_text("#error\n")
    assert objects(project, includes=("early", "inc")) and len(compiled) == 4


def test_a_header_in_folders_is_noticed(project, compiled):
    (project / "inc" / "deep").mkdir()
    (project / "inc" / "deep" / "value.h").write_text("#define VALUE 1\n")
    (project / "a.c").write_text('#include "deep/value.h"\nint a(void) { return VALUE; }\n')
    (project / "early" / "deep").mkdir(parents=True)
    first = objects(project, includes=("early", "inc"))
    (project / "early" / "deep" / "value.h").write_text("#define VALUE 2\n")
    assert objects(project, includes=("early", "inc")) != first and len(compiled) == 2


def test_what_is_included_may_depend_on_what_is_defined_in_a_header(project, compiled):
    (project / "inc" / "extra.h").write_text("#define EXTRA 1\n")
    (project / "a.c").write_text(
        '#include "value.h"\n#if VALUE > 1\n#include "extra.h"\n#else\n#define EXTRA 0\n#endif\nint a = EXTRA;\n'
    )
    found = {}
    for value in (1, 2, 1, 2):
        (project / "inc" / "value.h").write_text(f"#define VALUE {value}\n")
        found.setdefault(value, objects(project))
        assert objects(project) == found[value]
    assert len(compiled) == 2
    (project / "inc" / "extra.h").write_text("#define EXTRA 2\n")
    assert objects(project) != found[2] and len(compiled) == 3
    (project / "inc" / "value.h").write_text("#define VALUE 1\n")
    assert objects(project) == found[1] and len(compiled) == 3


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty"])
def test_a_damaged_entry_is_ignored_and_replaced(project, compiled, cache, damage):
    first = objects(project)
    entries = [path for path in cache.rglob("*") if path.suffix in (".o", ".reads")]
    assert len(entries) == 2
    for number, path in enumerate(entries, 2):
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes({"flipped": data, "cut": data[:-5], "empty": b""}[damage])
        assert objects(project) == first and len(compiled) == number
        assert objects(project) == first and len(compiled) == number


def test_what_fails_is_not_kept_and_names_real_paths(project, cache):
    (project / "inc" / "value.h").write_text("#define VALUE nowhere\n")
    for _ in range(2):
        with pytest.raises(ToolError, match="nowhere") as error:
            objects(project)
        assert f"{project}/a.c:3:" in error.value.output and f"{project}/inc/value.h:1:" in error.value.output
        assert f"-I{project}/inc" in error.value.command and "/tmp/tinyflow-" not in error.value.output
    assert not list(cache.rglob("*.o"))


def test_the_first_source_that_fails_is_the_one_that_is_named(project):
    for name in ("b", "c", "d"):
        (project / f"{name}.c").write_text(f"int {name} = wrong_{name};\n")
    for _ in range(5):
        with pytest.raises(ToolError, match="wrong_b"):
            objects(project, names=("a.c", "b.c", "c.c", "d.c"))


def test_a_file_changed_while_the_compiler_runs_is_not_kept(project, compiled, monkeypatch):
    run = Workbench.run

    def changing(bench, command):
        run(bench, command)
        (project / "inc" / "value.h").write_text("#define VALUE 9\n")

    monkeypatch.setattr(Workbench, "run", changing)
    first = objects(project)
    monkeypatch.setattr(Workbench, "run", run)
    assert objects(project) != first and len(compiled) == 2


def test_off_elsewhere_and_unusable(project, compiled, monkeypatch, tmp_path, cache):
    monkeypatch.setenv("TINYFLOW_CACHE", "")
    assert Cache.of_user() is None
    first = objects(project)
    assert objects(project) == first and len(compiled) == 2 and not cache.exists()
    monkeypatch.delenv("TINYFLOW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert Cache.of_user() == Cache(tmp_path / "xdg" / "tinyflow" / "objects")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert Cache.of_user() == Cache(tmp_path / "home" / ".cache" / "tinyflow" / "objects")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("TINYFLOW_CACHE", str(tmp_path / "file"))
    assert Cache.of_user() is None and objects(project) == first


def test_a_cache_that_cannot_be_written_is_no_obstacle(project, monkeypatch):
    monkeypatch.setattr("tinyflow.objects.tempfile.mkstemp", full)
    assert objects(project)


def full(**_):
    raise OSError(28, "No space left on device")


def test_its_size_is_bounded_and_what_was_used_stays(project, compiled, cache):
    names = [f"f{number}.c" for number in range(20)]
    for name in names:
        (project / name).write_text(f"int {Path(name).stem} = {len(name)};\n")
    objects(project, names=tuple(names))
    entries = Cache(cache / "objects")
    for at, path in enumerate(path for path in cache.rglob("*") if path.is_file()):
        os.utime(path, (at, at))
    compiled.clear()
    objects(project, names=("f3.c",))
    assert not compiled, "a hit"
    total = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    (cache / "objects" / "looked").unlink(missing_ok=True)
    entries.prune(total // 2)
    left = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    assert total // 4 < left <= total * 3 // 8
    objects(project, names=("f3.c",))
    assert not compiled, "used last, so it stayed"
    objects(project, names=tuple(names))
    assert 5 < len(compiled) < 20
    entries.prune(0)  # it looked a moment ago
    assert len(list(cache.rglob("*.o"))) == 20


def test_many_processes_at_once(project, tmp_path):
    """All begin with an empty cache and compile the same sources; nobody fails, and nobody gets half an object."""
    names = [f"f{number}.c" for number in range(6)]
    for name in names:
        (project / name).write_text(f'#include "value.h"\nint {Path(name).stem}(int x) {{ return x * VALUE; }}\n')
    script = (
        "import sys; from pathlib import Path; sys.path[:0] = [sys.argv[1]]; import test_objects as t, hashlib\n"
        "for _ in range(3):\n"
        "    print(hashlib.sha256(b''.join(t.objects(Path(sys.argv[2]), names=tuple(sys.argv[3:])))).hexdigest())"
    )
    command = [sys.executable, "-c", script, str(Path(__file__).parent), str(project), *names]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(5)]
    said = [process.communicate(timeout=120)[0].split() for process in running]
    assert all(process.returncode == 0 for process in running)
    assert len(set().union(*said)) == 1 and all(len(lines) == 3 for lines in said)


@pytest.mark.parametrize(
    "rule, files",
    [
        ("object: a.c b.h\n", ["a.c", "b.h"]),
        ("object: a.c \\\n /usr/include/x.h \\\n  c/d.h\n", ["a.c", "/usr/include/x.h", "c/d.h"]),
        ("object: two\\ words.h a$$b.h c\\#d.h\n", ["two words.h", "a$b.h", "c#d.h"]),
        ("object:\n", []),
    ],
)
def test_rules_of_make(rule, files):
    assert dependencies(rule) == files


def test_odd_names_are_read_as_the_compiler_writes_them(project, compiled):
    odd = "a b$c#d'é.h"
    (project / "inc" / odd).write_text("#define ODD 1\n")
    (project / "a.c").write_text(f'#include "{odd}"\nint a = ODD;\n')
    first = objects(project)
    assert objects(project) == first and len(compiled) == 1
    (project / "inc" / odd).write_text("#define ODD 2\n")
    assert objects(project) != first and len(compiled) == 2
