"""CIFAR-10 from every source, bad files refused, nothing half-written whatever happens to the process or the disk."""

import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import fake_cifar
import numpy as np
import pytest
from tiny import random_dataset

from course_utils import data
from course_utils.author.describe import describe
from course_utils.data import DataError, Split
from course_utils.plumbing import archive, cache, download
from course_utils.plumbing.cache import CACHE

HERE = Path(__file__).parent
NO_MIRROR = ["http://127.0.0.1:9/"]


def python(code: str, *args: object) -> subprocess.Popen:
    """A process that takes the fake for CIFAR-10 and runs `code`."""
    prelude = ("import os, sys, fake_cifar\nfrom course_utils import data\n"
               "from course_utils.plumbing import download\nfake_cifar.install()\n")
    paths = os.pathsep.join([str(HERE), str(HERE.parent)])
    return subprocess.Popen(
        [sys.executable, "-c", prelude + code, *map(str, args)],
        env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def check(dataset: data.Dataset) -> None:
    """`dataset` is the fake, in canonical order."""
    rows = np.load(io.BytesIO(fake_cifar.cache()))
    assert dataset.name == "CIFAR-10"
    for part, expected in ((dataset.train, rows[:500]), (dataset.test, rows[500:])):
        assert part.images.dtype == np.uint8 and part.labels.dtype == np.int64
        np.testing.assert_array_equal(part.labels, expected[:, 0])
        np.testing.assert_array_equal(part.images, expected[:, 1:].reshape(-1, 32, 32, 3))


# --- the real thing ---


def test_real_data_has_the_official_labels_and_the_published_statistics(real_root):
    dataset = data.load("cifar10", real_root)
    assert dataset.train.labels[:8].tolist() == [6, 9, 9, 4, 1, 1, 2, 7]
    assert dataset.test.labels[:8].tolist() == [3, 8, 8, 0, 6, 6, 1, 6]
    assert np.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    told = describe(dataset, real_root)
    assert "train mean: {:.4f}, {:.4f}, {:.4f}   std: {:.4f}, {:.4f}, {:.4f}".format(*data.MEAN, *data.STD) in told
    assert dataset.fingerprint in told and "50,000" in told
    kept, held_out = data.split(dataset.train)
    assert np.bincount(held_out.labels).tolist() == [500] * 10 and len(kept) == 45_000
    # Pinned: images in the lessons and the curves in the ledger depend on which images are held out.
    planes = held_out.images.transpose(0, 3, 1, 2).tobytes()
    assert hashlib.sha256(planes).hexdigest()[:16] == "9d078148bd088033"


# --- sources ---


SOURCES = {
    "cifar10.npy": fake_cifar.old_cache,
    "cifar10.npz": fake_cifar.npz,
    "cifar-10-python.tar.gz": fake_cifar.archive,
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_ends_in_the_same_cache_and_is_left_alone(tmp_path, fake, source):
    path = tmp_path / source
    path.write_bytes(SOURCES[source]())
    path.chmod(0o444)
    before = path.read_bytes(), path.stat().st_mtime_ns
    check(data.load("cifar10", tmp_path))
    assert (tmp_path / CACHE).read_bytes() == fake_cifar.cache()
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert names(tmp_path) == {source, CACHE}
    path.unlink()
    check(data.load("auto", tmp_path))  # from the cache alone


def unpack(folder: Path, **changes: bytes) -> None:
    folder.mkdir(parents=True)
    for name, content in (fake_cifar.pickles() | changes).items():
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", [
    "cifar-10-python (1).tar.gz", "cifar-10-batches-py.tar.gz", "cifar10.tgz", "cifar-10-python.tar",
    "CIFAR-10-python.tar.gz", "Cifar10.tgz", "data.tgz",
])
def test_the_archive_is_known_under_any_name(tmp_path, fake, name):
    (tmp_path / "cifar-100-python.tar.gz").write_bytes(b"another data set")
    (tmp_path / name).write_bytes(fake_cifar.tar() if name.endswith(".tar") else fake)
    check(data.load("cifar10", tmp_path, NO_MIRROR))


@pytest.mark.parametrize("below", [".", "cifar-10-batches-py", "cifar-10-batches-py-target/cifar-10-batches-py",
                                   "CIFAR10/cifar-10-batches-py"])
def test_an_unpacked_archive_is_read(tmp_path, fake, below):
    unpack(tmp_path / "data" / below)
    check(data.load("cifar10", tmp_path / "data", NO_MIRROR))


def test_a_good_source_counts_though_a_bad_one_lies_beside_it(tmp_path, fake):
    (tmp_path / "cifar10.npy").write_bytes(fake_cifar.old_cache()[:-1])
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(fake)
    check(data.load("cifar10", tmp_path, NO_MIRROR))


def test_what_lies_there_unread_is_named_with_its_reason(tmp_path, fake):
    mark = tmp_path / "mark"
    unpack(tmp_path / "cifar-10-batches-py", test_batch=fake_cifar.pickles(Evil(mark))["test_batch"])
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(fake[:1000])
    (tmp_path / "cifar-10-python.tar").write_bytes(fake_cifar.tar(Evil(mark)))
    (tmp_path / "cifar-10-python(2).tar").write_bytes(fake_cifar.tar()[:50_000])
    with pytest.raises(DataError) as error:
        data.load("cifar10", tmp_path, NO_MIRROR)
    for what in ("cifar-10-batches-py was not read: expected test_batch with MD5",
                 "cifar-10-binary.tar.gz was not read: expected 1", "found 1,000 bytes",
                 "cifar-10-python.tar was not read: expected test_batch with MD5",
                 "cifar-10-python(2).tar was not read: expected a whole .tar"):
        assert what in str(error.value)
    assert "\n" not in str(error.value) and not mark.exists()


def test_the_pickles_are_those_that_torchvision_knows():
    from torchvision.datasets import CIFAR10

    assert dict(CIFAR10.train_list + CIFAR10.test_list) == archive.MEMBER_MD5


def test_another_process_may_have_the_cache_open_where_it_cannot_be_replaced(tmp_path, fake, monkeypatch):
    """As on Windows, which has no lock either: what is there now is as good."""
    (tmp_path / "cifar10.npz").write_bytes(fake_cifar.npz())

    def refuse(path, *_):
        path.write_bytes(fake_cifar.cache())  # the other process was faster
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(cache, "write_atomically", refuse)
    check(data.load("cifar10", tmp_path))


def test_images_in_another_order_within_their_classes_end_in_the_same_cache(tmp_path, fake):
    images, labels = fake_cifar.splits()["train"]
    for label in range(10):
        images[labels == label] = images[labels == label][::-1]
    (tmp_path / "cifar10.npz").write_bytes(fake_cifar.npz(train_images=images))
    data.load("cifar10", tmp_path)
    assert (tmp_path / CACHE).read_bytes() == fake_cifar.cache()


def test_the_cache_is_mapped_not_copied_and_cannot_be_changed(tmp_path, fake):
    (tmp_path / CACHE).write_bytes(fake_cifar.cache())
    train = data.load("cifar10", tmp_path).train
    base = train.images
    while not isinstance(base, np.memmap):
        base = base.base
    with pytest.raises(ValueError, match="read-only"):
        train.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        train.labels[0] = 0


def in_memory(path: Path) -> int:
    """kB of the file that this process has mapped and holds in memory."""
    _, *mappings = Path("/proc/self/smaps").read_text().split(f"{path}\n")
    return sum(int(re.search(r"^Rss: +(\d+) kB", mapping, re.MULTILINE)[1]) for mapping in mappings)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux shows what is in memory")
def test_images_take_memory_only_once_they_are_used(tmp_path, fake):
    (tmp_path / CACHE).write_bytes(fake_cifar.cache())
    train = data.load("cifar10", tmp_path).train
    assert in_memory(tmp_path / CACHE) == 0
    train.images.sum()
    assert in_memory(tmp_path / CACHE) > 2 * len(train)  # an image has 3 kB


def test_root_is_the_argument_then_course_data_then_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("COURSE_DATA", raising=False)
    assert data.root_folder() == tmp_path / "xdg" / "cifar10-course"
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "env"))
    assert data.root_folder() == tmp_path / "env"
    assert data.root_folder(tmp_path) == tmp_path


def test_importing_needs_no_torch_and_does_nothing():
    code = "import course_utils.data, sys; assert not {'torch', 'matplotlib'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parent)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# --- bad input ---


@pytest.mark.parametrize(
    "arguments", [{"dataset": "cifar100"}, {"mirrors": ["file:///etc/passwd"]}, {"mirrors": ["example.org"]}]
)
def test_bad_arguments_are_refused(tmp_path, arguments):
    with pytest.raises(DataError, match="expected"):
        data.load(**{"root": tmp_path / "new"} | arguments)
    assert not (tmp_path / "new").exists()


class Evil:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


def flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def swapped(*whats: str) -> dict[str, np.ndarray]:
    """The train split, in which the labels, or the images, of two images of different classes change places."""
    arrays = dict(zip(("train_images", "train_labels"), fake_cifar.splits()["train"], strict=True))
    other = np.flatnonzero(arrays["train_labels"] != arrays["train_labels"][0])[0]
    for what in whats:
        arrays[what][[0, other]] = arrays[what][[other, 0]]
    return arrays


def with_objects(mark: Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Evil(mark)]), allow_pickle=True)
    return buffer.getvalue()


def with_header(shape: str) -> bytes:
    """An .npz whose train images claim another shape."""
    return fake_cifar.npz().replace(b"(500, 32, 32, 3)", shape.ljust(16).encode())


def bomb() -> bytes:
    """A small .npz whose train images would fill 200 MB."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file, file.open("train_images.npy", "w") as member:
        member.write(archive.header(500, 32, 32, 3))
        for _ in range(200):
            member.write(bytes(10**6))
    return buffer.getvalue()


BAD = {
    "cifar10.npz": {
        "empty": lambda mark: b"",
        "no archive": lambda mark: bytes(range(256)) * 100,
        "truncated": lambda mark: fake_cifar.npz()[:-100_000],
        "a bit flipped": lambda mark: flipped(fake_cifar.npz(), 100_000),
        "a pixel changed": lambda mark: fake_cifar.npz(test_images=fake_cifar.splits()["test"][0] ^ 1),
        "labels swapped": lambda mark: fake_cifar.npz(**swapped("train_labels")),
        "another sequence of labels": lambda mark: fake_cifar.npz(**swapped("train_labels", "train_images")),
        "a member missing": lambda mark: fake_cifar.npz(test_labels=None),
        "another type": lambda mark: fake_cifar.npz(train_labels=np.zeros(500, np.int64)),
        "another shape": lambda mark: fake_cifar.npz(test_images=np.zeros((50, 32, 32, 3), np.uint8)),
        "an absurd header": lambda mark: with_header("(9999999999999,)"),
        "pickled objects": lambda mark: fake_cifar.npz(train_images=np.array([Evil(mark)] * 500)),
        "a bomb": lambda mark: bomb(),
    },
    CACHE: {
        "empty": lambda mark: b"",
        "truncated": lambda mark: fake_cifar.cache()[:-1],
        "too long": lambda mark: fake_cifar.cache() + b"\0",
        "a bit flipped": lambda mark: flipped(fake_cifar.cache(), 100_000),
        "a bit of the header flipped": lambda mark: flipped(fake_cifar.cache(), 70),
        "pickled objects": with_objects,
    },
    "cifar10.npy": {
        "truncated": lambda mark: fake_cifar.old_cache()[:-1],
        "a bit flipped": lambda mark: flipped(fake_cifar.old_cache(), 100_000),
        "colours last": lambda mark: fake_cifar.cache(),
        "pickled objects": with_objects,
    },
    "cifar-10-python.tar.gz": {
        "empty": lambda mark: b"",
        "truncated": lambda mark: fake_cifar.archive()[:-1],
        "a bit flipped": lambda mark: flipped(fake_cifar.archive(), 100_000),
        "pickled objects": lambda mark: fake_cifar.archive(Evil(mark)),
    },
}


@pytest.mark.parametrize("name, kind", [(name, kind) for name, kinds in BAD.items() for kind in kinds])
@pytest.mark.parametrize("dataset", ["auto", "cifar10"])
def test_a_bad_file_is_refused_and_left_alone(tmp_path, fake, name, kind, dataset):
    mark, root = tmp_path / "mark", tmp_path / "root"
    root.mkdir()
    content = BAD[name][kind](mark)
    (root / name).write_bytes(content)
    with pytest.raises(DataError) as error:
        data.load(dataset, root)
    message = str(error.value)
    assert name in message and "expected" in message and "found" in message
    assert "replace it" in message or "delete it" in message
    assert kind != "a bomb" or "found a larger one" in message
    assert "\n" not in message
    assert names(root) == {name} and (root / name).read_bytes() == content
    assert not mark.exists()


def test_a_pickle_can_build_arrays_and_call_nothing_even_if_the_md5_is_right(tmp_path, fake, monkeypatch):
    evil = Evil(tmp_path / "mark")
    hostile = fake_cifar.archive(evil)
    monkeypatch.setattr(archive, "MEMBER_MD5", fake_cifar.md5s(fake_cifar.pickles(evil)))
    monkeypatch.setattr(download, "SIZE", len(hostile))
    monkeypatch.setattr(download, "MD5", hashlib.md5(hostile).hexdigest())
    (tmp_path / download.ARCHIVE).write_bytes(hostile)
    with pytest.raises(DataError, match="mkdir"):
        data.load("cifar10", tmp_path)
    assert names(tmp_path) == {download.ARCHIVE}


def test_any_byte_of_an_npz_may_be_wrong(tmp_path, fake):
    """Either what was hit doesn't matter (a date in the zip) and the data is right, or the file is refused."""
    whole, random = fake_cifar.npz(), np.random.RandomState(0)
    directory = whole.rindex(b"PK\1\2") - 300
    path, refused = tmp_path / "cifar10.npz", 0
    for at in [*random.randint(200, size=20), *random.randint(directory, len(whole), size=80)]:
        path.write_bytes(whole[:at] + bytes([random.randint(256)]) + whole[at + 1 :])
        try:
            check(data.load("cifar10", tmp_path))
            (tmp_path / CACHE).unlink()
        except DataError:
            refused += 1
        assert names(tmp_path) == {"cifar10.npz"}
    assert 20 < refused < 100


# --- killed, crowded out, no room, no rights ---


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_kill_while_writing_leaves_no_cache_and_the_next_load_cleans_up(tmp_path, fake, moment):
    (tmp_path / "cifar10.npz").write_bytes(fake_cifar.npz())
    kill = f"os.{moment} = lambda *_: os.kill(os.getpid(), 9)\ndata.load('cifar10', sys.argv[1])"
    assert python(kill, tmp_path).wait() == -9
    assert len(names(tmp_path)) == 2 and CACHE not in names(tmp_path)  # the source and a leftover
    check(data.load("cifar10", tmp_path))
    assert names(tmp_path) == {"cifar10.npz", CACHE}


def test_processes_that_prepare_at_once_end_with_one_good_cache(tmp_path, fake):
    (tmp_path / "cifar10.npz").write_bytes(fake_cifar.npz())
    code = "print(data.load('cifar10', sys.argv[1]).train.images[:].sum())"
    results = [process.communicate() for process in [python(code, tmp_path) for _ in range(4)]]
    assert {result for result, _ in results} == {f"{data.load('cifar10', tmp_path).train.images.sum()}\n"}
    assert names(tmp_path) == {"cifar10.npz", CACHE}
    assert (tmp_path / CACHE).read_bytes() == fake_cifar.cache()


@pytest.fixture
def small_disk(tmp_path):
    """A disk of a megabyte, where mounting is allowed."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_is_a_clear_error_and_leaves_nothing(small_disk, tmp_path, fake):
    (tmp_path / "cifar10.npz").write_bytes(fake_cifar.npz())
    (small_disk / "cifar10.npz").symlink_to(tmp_path / "cifar10.npz")
    with pytest.raises(DataError, match="No space left on device.*make room"):
        data.load("cifar10", small_disk)
    assert names(small_disk) == {"cifar10.npz"}


def test_without_room_for_a_new_cache_the_old_one_will_do(small_disk, tmp_path, fake):
    (tmp_path / "cifar10.npy").write_bytes(fake_cifar.old_cache())
    (small_disk / "cifar10.npy").symlink_to(tmp_path / "cifar10.npy")
    check(data.load("cifar10", small_disk))
    assert names(small_disk) == {"cifar10.npy"}


def test_a_quota_is_a_clear_error_and_leaves_nothing(tmp_path, fake):
    (tmp_path / "cifar10.npz").write_bytes(fake_cifar.npz())
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
    code += "data.load('cifar10', sys.argv[1])"
    _, errors = python(code, tmp_path).communicate()
    assert "DataError: can't prepare CIFAR-10" in errors and "File too large" in errors
    assert names(tmp_path) == {"cifar10.npz"}


@pytest.fixture
def read_only():
    """A folder, outside pytest's own that only its owner may enter, for a test to write-protect."""
    folder = Path(tempfile.mkdtemp())
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.parametrize("present", [CACHE, "cifar10.npy", "cifar10.npz", "nothing"])
def test_a_read_only_folder_is_read_or_refused_clearly(read_only, tmp_path, fake, present):
    (tmp_path / "cifar10.npz").write_bytes(fake_cifar.npz())
    if present != "nothing":
        content = {CACHE: fake_cifar.cache} | SOURCES
        (read_only / present).write_bytes(content[present]())
    read_only.chmod(0o555)
    code = "data.load('cifar10', sys.argv[2])\n"  # Python's own files may be out of reach afterwards
    code += "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
    code += "print(data.load('cifar10', sys.argv[1], ['http://127.0.0.1:9/']).train.images[:].sum())"
    output, errors = python(code, read_only, tmp_path).communicate()
    if present == "nothing":
        assert "DataError: can't prepare CIFAR-10" in errors and "Permission denied" in errors
        assert names(read_only) == set()
    else:
        assert output == f"{np.load(io.BytesIO(fake_cifar.cache()))[:500, 1:].sum()}\n", errors
        assert names(read_only) == {present}


def test_a_root_that_is_a_file_is_refused_and_left_alone(tmp_path, fake):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="is a file; expected a folder"):
        data.load("cifar10", tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


# --- splits ---


@pytest.fixture
def unbalanced() -> Split:
    labels = np.array([3] * 50 + [1] * 20 + [0] * 2)
    return Split(np.arange(len(labels) * 3072).astype(np.uint8).reshape(-1, 32, 32, 3), labels)


def test_take_keeps_images_with_their_labels(unbalanced):
    taken = unbalanced.take([70, 0, 55])
    assert taken.labels.tolist() == [0, 3, 1] and len(taken) == 3
    np.testing.assert_array_equal(taken.images, unbalanced.images[[70, 0, 55]])


def test_first_is_as_balanced_as_the_classes_allow(unbalanced):
    assert np.bincount(unbalanced.first(6).labels).tolist() == [2, 2, 0, 2]
    assert np.bincount(unbalanced.first(20).labels).tolist() == [2, 9, 0, 9]
    assert unbalanced.first(6).labels.tolist() == [3, 3, 1, 1, 0, 0]  # their order is kept
    np.testing.assert_array_equal(unbalanced.first(72).images, unbalanced.images)


def test_split_is_stratified_disjoint_complete_and_fixed_by_its_seed():
    labels = np.tile(np.arange(10), 60)
    images = np.zeros((600, 32, 32, 3), np.uint8)
    images[:, 0, 0, :2] = np.arange(600, dtype=">u2").view(np.uint8).reshape(-1, 2)  # each carries its number

    def number(part: Split) -> list[int]:
        return (256 * part.images[:, 0, 0, 0].astype(int) + part.images[:, 0, 0, 1]).tolist()

    kept, held_out = data.split(Split(images, labels), held_out=50)
    assert np.bincount(held_out.labels).tolist() == [5] * 10
    assert sorted(number(kept) + number(held_out)) == list(range(600))
    assert [n % 10 for n in number(held_out)] == held_out.labels.tolist()
    assert number(data.split(Split(images, labels), 50)[1]) == number(held_out)
    assert number(data.split(Split(images, labels), 50, seed=1)[1]) != number(held_out)


@pytest.mark.parametrize("count", [-3, 60, 61])
def test_too_many_images_held_out_or_fewer_than_none_are_refused(count):
    dataset = random_dataset(60, 10)
    with pytest.raises(ValueError, match=f"{count} images held out of 60: choose 0 to 59"):
        data.hold_out(dataset, count)
    with pytest.raises(ValueError, match="the first -5 images"):
        dataset.train.first(-5)
