"""``python -m commands.generate [--check] [--root DIR]``: writes or compares the generated files.

Exit 0 when the files (now) match the types; with ``--check`` exit 1 and one line that
names the files which are not.
"""

from __future__ import annotations

from pathlib import Path

import click

from crds.documents import as_yaml, crd_document
from crds.reference import reference_page
from gati.resources import API

_TYPES = "src/gati/types"
_HEAD = f"# Written by `make generate` from {_TYPES}; change the types, not this file.\n"


def generated_files() -> dict[str, str]:
    """Every generated file: its path below the root of the repository, and its content."""
    files = {
        f"deploy/gati/crds/{resource.kind.plural}.yaml": _HEAD
        + as_yaml(crd_document(API, resource))
        for resource in API.resources
    }
    return {**files, "docs/reference/gati-crds.md": reference_page(API, _TYPES)}


def outdated(root: Path) -> list[str]:
    """The generated files that are missing or do not match the types, and strays beside them."""
    files = generated_files()
    stale = [
        name
        for name, content in files.items()
        if not (root / name).is_file() or (root / name).read_text(encoding="utf-8") != content
    ]
    present = {
        f"deploy/gati/crds/{path.name}" for path in (root / "deploy/gati/crds").glob("*.yaml")
    }
    return sorted({*stale, *(present - files.keys())})


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; fail where a file is out of date.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="The root of the repository. Default: the working directory.",
)
def main(*, check: bool, root: Path) -> None:
    """Write the CRDs and their reference page from the types."""
    if check:
        if stale := outdated(root):
            raise click.ClickException(
                f"out of date: {', '.join(stale)}; run make generate and commit the result"
            )
        return
    for name, content in generated_files().items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main(prog_name="python -m commands.generate")
