"""Texts with their translations, read from the formats people have."""

from __future__ import annotations

from pathlib import Path

from regard.data.files import SPLITS, Files, find_files
from regard.data.findings import Finding, first_few
from regard.data.pairs import parallel
from regard.data.pairs.formats import FORMATS, format_of
from regard.data.pairs.languages import ROLES, Languages
from regard.data.pairs.pair import Pair
from regard.data.pairs.quality import check_pairs, cleaned
from regard.errors import InputError

__all__ = ["Languages", "Pair", "check_pairs", "find_pairs", "read_pairs", "way_of"]
_MOST_ERRORS = 20


def find_pairs(folder: str | Path | None, given: dict[str, str | None], languages: Languages) -> Files:
    """The parts in `folder`, each replaced by the one named singly in `given`; of parallel files the source's.

    Which of two is the source: that of `languages`, else the first in the folder's name, such as europarl_en_de.
    """
    given = dict(given)
    for split in SPLITS if folder is not None else ():
        if not given.get(split):
            path = parallel.source_side(Path(folder or ""), split, languages)
            given[split] = str(path) if path else None
    return find_files(folder, given)


def way_of(path: Path, languages: Languages) -> Languages | None:
    """From which language into which a file is read, of parallel ones the source's; None where nothing says it."""
    own = format_of(path)
    found = parallel.way(path, languages) or (own.way(path, languages) if own else None)
    return None if found in ROLES else found


def read_pairs(path: Path, languages: Languages) -> tuple[list[Pair], list[Finding]]:
    """The pairs of a file that could be read, and what is wrong with the rest; the name tells the format.

    Parallel text is read with the file beside it: same name, the other language. A pair with an empty side is left out.
    """
    own = format_of(path)
    if side := parallel.side_of(path, languages):
        pairs, errors = parallel.read(path, side, languages)
    elif own:
        pairs, errors = own.read(path, languages)
    else:
        raise InputError(f"the name must end in {', '.join(FORMATS)}, or in a language such as .en.", file=path)
    kept, warnings = cleaned(pairs, path)
    findings = [*first_few(errors, _MOST_ERRORS), *warnings]
    if not kept and not any(finding.level == "error" for finding in findings):
        findings.append(Finding("error", path, None, "the file holds no pair of texts."))
    return kept, sorted(findings, key=lambda finding: finding.line or 0)
