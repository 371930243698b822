"""Toy lessons with their course.toml, for the tests of what runs, checks, links and publishes lessons."""

from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

PARAMETERS = """\
DATASET = "auto"  #@param ["auto", "cifar10", "synthetic"]
EPOCHS = 2  #@param {type:"slider", min:1, max:10, step:1}
RATE = 0.1  #@param {type:"slider", min:0, max:1, step:0.1}
FLIP = True  #@param {type:"boolean"}"""


def notebook(*code: str, parameters: str = PARAMETERS) -> nbformat.NotebookNode:
    """A lesson that keeps every rule of layout, around some code cells; its kernel's name is that of no kernel."""
    cells = [new_markdown_cell("# 0. Toy lesson"), new_code_cell(parameters, metadata={"tags": ["parameters"]})]
    cells += [new_code_cell(source) for source in code]
    cells += [new_markdown_cell(f"## {heading}") for heading in ("Exercises", "What we learned", "References")]
    return new_notebook(
        cells=cells, metadata={"kernelspec": {"name": "none", "display_name": "?", "language": "python"}}
    )


def write_course(folder: Path, **lessons: nbformat.NotebookNode) -> Path:
    """Write lessons by name (`lesson_00_name`) and their course.toml to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for name, nb in lessons.items():
        name = name.removeprefix("lesson_")
        nbformat.write(nb, folder / f"{name}.ipynb")
        entries.append(
            f'[[lesson]]\nname = "{name}"\ntitle = "Toy lesson"\nlearn = "Learn & see."\nseconds = {{ smoke = 2 }}\n'
            "smoke = { EPOCHS = 1 }\nquick = { EPOCHS = 2, RATE = 0.1 }\nfull = { EPOCHS = 10 }\n"
        )
    (folder / "course.toml").write_text("\n".join(entries), encoding="utf-8")
    return folder
