"""Read users' text files in any encoding, and tables as spreadsheets of any country write them."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from stav2a.media.limits import InputError

MOST_BYTES = 50_000_000
FEW = 8  # letters beyond ASCII
DELIMITERS = (",", ";", "\t", "|")
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(path: str | Path) -> tuple[str, str]:
    """The text and the name of its encoding: from the byte order mark, else UTF-8, else guessed from the bytes."""
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(f"{path.name} has more than {MOST_BYTES / 1e6:g} MB, too many for a text.")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} cannot be read: {(error.strerror or 'error').lower()}.") from error
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    try:
        return data.decode(encoding), encoding.removesuffix("-sig")
    except UnicodeDecodeError:
        pass
    # a few accents among plain letters are too few for a guess, and are mostly Western European
    accents = sum(byte >= 0x80 for byte in data)
    if b"\0" not in data and accents <= FEW and accents < len(data) / 5:
        with suppress(UnicodeDecodeError):
            return data.decode("cp1252"), "cp1252"
    from charset_normalizer import from_bytes

    best = None if b"\0" in data else from_bytes(data).best()
    if best is None:
        raise InputError(f"{path.name} is no text in an encoding that can be told; save it as UTF-8.")
    return str(best), best.encoding.replace("_", "-")


def rows_of(text: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """The non-empty rows of a table as (last line number, cells); cells are stripped.

    A first line `sep=;`, as spreadsheets write it, and line breaks within quotes are handled.
    """
    if text[:4].lower() == "sep=":
        text = text.partition("\n")[2]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        return [(reader.line_num, [_plain(cell) for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise InputError(f"The text is no table: line {reader.line_num}: {error}.") from error


def headed(text: str, wanted: Callable[[set[str]], object]) -> list[tuple[int, dict[str, str]]] | None:
    """Rows as dicts with lower-case column names if `wanted` accepts the names in the first row, else None.

    Countries with a decimal comma use semicolons or tabs as delimiter: the one that yields the wanted columns is used.
    """
    for delimiter in DELIMITERS:
        rows = rows_of(text, delimiter)
        names = [name.casefold() for name in rows[0][1]] if rows else []
        if wanted(set(names)):
            return [(line, dict(zip(names, cells, strict=False))) for line, cells in rows[1:]]
    return None


def read_table(path: str | Path, columns: tuple[str, ...]) -> tuple[list[tuple[int, dict[str, str]]], str]:
    """`headed` rows of a file with these `columns`, and its encoding."""
    text, encoding = read_text(path)
    try:
        rows = headed(text, set(columns).issubset)
    except InputError as error:
        raise InputError(str(error).replace("The text", Path(path).name)) from error
    if rows is None:
        raise InputError(f"{Path(path).name} needs the columns {' and '.join(columns)}.")
    return rows, encoding


def _plain(cell: str) -> str:
    """The stripped text in composed Unicode form (NFC): macOS writes file names decomposed."""
    return unicodedata.normalize("NFC", cell).strip()
