"""A CIFAR-10 of 600 random images in every form in which people keep the real one, with plainly computed checksums."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np

from course_utils.plumbing import archive as reader
from course_utils.plumbing import download

SIZES = {"train": 500, "test": 100}


def splits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Images (N, 32, 32, 3) and labels (N,), uint8, in the archive's order."""
    random = np.random.RandomState(0)
    return {
        name: (random.randint(256, size=(n, 32, 32, 3)).astype(np.uint8), random.permutation(n).astype(np.uint8) % 10)
        for name, n in SIZES.items()
    }


def digest(image: np.ndarray) -> bytes:
    return hashlib.blake2b(image.tobytes(), digest_size=8).digest()


def fingerprint(images: np.ndarray, labels: np.ndarray) -> str:
    pairs = sorted(bytes([label]) + digest(image) for image, label in zip(images, labels, strict=True))
    return hashlib.sha256(b"".join(pairs)).hexdigest()


def cache(axes: tuple[int, int, int] = (0, 1, 2)) -> bytes:
    """The cache: labels in their sequence, each followed by the next image of its class in the order of digests."""
    rows = []
    for images, labels in splits().values():
        ordered = {label: iter(sorted(images[labels == label], key=digest)) for label in range(10)}
        rows += [[label, *next(ordered[label]).transpose(axes).ravel()] for label in labels]
    buffer = io.BytesIO()
    np.save(buffer, np.array(rows, np.uint8))
    return buffer.getvalue()


def old_cache() -> bytes:
    """The cache of the first versions, which kept the three colours of an image apart."""
    return cache((2, 0, 1))


def npz(**changes: np.ndarray | None) -> bytes:
    """What unpacking the images writes, with some arrays changed, or left out where None."""
    arrays = {}
    for name, (images, labels) in splits().items():
        arrays |= {f"{name}_images": images, f"{name}_labels": labels}
    buffer = io.BytesIO()
    np.savez(buffer, **{name: a for name, a in (arrays | changes).items() if a is not None})
    return buffer.getvalue()


def pickles(evil: object = None) -> dict[str, bytes]:
    """The archive's pickles of these images by name; `evil` takes the place of the test batch's labels."""
    (images, labels), test = splits().values()
    batches = {f"data_batch_{k + 1}": (images[100 * k :][:100], labels[100 * k :][:100]) for k in range(5)}
    contents = {}
    for name, (images, labels) in (batches | {"test_batch": test}).items():
        planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2)).reshape(-1, 3072)
        stored = evil if evil and name == "test_batch" else labels.tolist()
        contents[name] = as_python2({"batch_label": name, "labels": stored, "data": planes})
    return contents


def tar(evil: object = None) -> bytes:
    """The original archive, unzipped."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w|") as file:
        for name, content in pickles(evil).items():
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def archive(evil: object = None) -> bytes:
    """The original archive of these images."""
    return gzip.compress(tar(evil), mtime=0)


def md5s(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}


class _AsPython2(pickle._Pickler):
    """Pickles as the data's authors did: protocol 2, every string one of Python 2, NumPy's parts by their old names."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, text: str | bytes) -> None:
        data = text.encode("latin1") if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(text)

    dispatch[bytes] = dispatch[str] = save_string

    def save_global(self, value, name=None) -> None:
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{value.__name__}\n".encode())
        self.memoize(value)


def as_python2(value: object) -> bytes:
    buffer = io.BytesIO()
    _AsPython2(buffer, protocol=2).dump(value)
    return buffer.getvalue()


def constants(archive_bytes: bytes) -> dict[tuple[object, str], object]:
    """What the package should expect instead of the real thing."""
    whole = cache()
    return {
        (reader, "SIZES"): SIZES,
        (reader, "FINGERPRINTS"): {name: fingerprint(*both) for name, both in splits().items()},
        (reader, "MEMBER_MD5"): md5s(pickles()),
        (reader, "BYTES"): len(whole),
        (reader, "SHA256"): hashlib.sha256(whole).hexdigest(),
        (reader, "PLANES_SHA256"): hashlib.sha256(old_cache()).hexdigest(),
        (download, "SIZE"): len(archive_bytes),
        (download, "MD5"): hashlib.md5(archive_bytes).hexdigest(),
    }


def install() -> None:
    """Let this process take the fake for CIFAR-10 (for processes that a test starts)."""
    for (module, name), value in constants(archive()).items():
        setattr(module, name, value)
