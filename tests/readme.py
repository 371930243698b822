"""What README repeats from elsewhere: the table of recorded runs and the picture of the ladder.

python tests/readme.py writes both anew.
"""

import base64
import json
from pathlib import Path

from course_utils import records
from course_utils.author.lessons import NOTEBOOKS

README = Path(__file__).resolve().parent.parent / "README.md"
LADDER = NOTEBOOKS / "ladder.png"
BEGIN = "<!-- results: written by `python tests/readme.py` from notebooks/results -->\n"
END = "<!-- end of results -->"


def with_results(text: str) -> str:
    """README's text with the table of the ledger as it stands."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    table = records.results_table(list(records.load_results(NOTEBOOKS / "results").values()))
    return f"{before}{BEGIN}{table}\n{END}{after}"


def ladder() -> bytes:
    """The first picture of lesson 0, a PNG."""
    cells = json.loads((NOTEBOOKS / "00_start_here.ipynb").read_text())["cells"]
    outputs = [output.get("data", {}) for cell in cells for output in cell.get("outputs", [])]
    return base64.b64decode(next(data["image/png"] for data in outputs if "image/png" in data))


if __name__ == "__main__":
    README.write_text(with_results(README.read_text()))
    LADDER.write_bytes(ladder())
