"""The small package behind the course: data, batches, models, training, and the records of runs.

Importing it does nothing; each part is imported by its own name, as in `from course_utils import data`.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 (in a clone no installer has looked)
    raise ImportError(f"the course needs Python 3.11 or later, and this is {sys.version.split()[0]}")

__version__ = "0.1.0"
