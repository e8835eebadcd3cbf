"""Text that people wrote: in any encoding, and tables as spreadsheets of any country write them."""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

from stav2a.media.limits import InputError

MOST_BYTES = 50_000_000
DELIMITERS = (",", ";", "\t", "|")
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


def read_text(path: str | Path) -> tuple[str, str]:
    """The text and the name of its encoding: what its first bytes say, else UTF-8, else what the bytes look like."""
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
    from charset_normalizer import from_bytes

    best = None if b"\0" in data else from_bytes(data).best()
    if best is None:
        raise InputError(f"{path.name} is no text in an encoding that can be told; save it as UTF-8.")
    return str(best), best.encoding.replace("_", "-")


def read_table(path: str | Path, columns: tuple[str, ...]) -> tuple[list[tuple[int, dict[str, str]]], str]:
    """Rows with their line numbers, names of columns in lower case; and the encoding.

    Spreadsheets put semicolons or tabs between cells where the comma is the decimal mark, a line `sep=;` in front, and
    line breaks within quotes. The delimiter is the one that finds the `columns`.
    """
    text, encoding = read_text(path)
    if text[:4].lower() == "sep=":
        text = text.partition("\n")[2]
    for delimiter in DELIMITERS:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
        try:
            names = [_plain(name).casefold() for name in next(reader, [])]
            if set(columns) <= set(names):
                return [
                    (reader.line_num, {name: _plain(cell) for name, cell in zip(names, cells, strict=False)})
                    for cells in reader
                    if any(map(str.strip, cells))
                ], encoding
        except csv.Error as error:
            raise InputError(f"{Path(path).name} is no table: line {reader.line_num}: {error}.") from error
    raise InputError(f"{Path(path).name} needs the columns {' and '.join(columns)}.")


def _plain(cell: str) -> str:
    """Without blanks around it, its accents in the composed form: macOS writes file names decomposed."""
    return unicodedata.normalize("NFC", cell).strip()
