"""What maintainers need and students never open: the command line `course` and the tools behind it.

Beside it run, each by `python -m course_utils.author.NAME`: `gate`, which checks and renews the committed lessons;
`exercises`, which makes their releases; `tables`, which writes what README and TEACHING.md repeat from elsewhere; and
`smoke`, which runs the lessons as CI does.
"""
