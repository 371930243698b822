"""The small package behind the course: data, batches, models, training, and the records of runs.

Importing it does nothing; each part is imported by its own name, as in `from course_utils import data`.
"""

__version__ = "0.1.0"
