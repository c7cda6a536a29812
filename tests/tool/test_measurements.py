"""A CSV file from a visitor is read exactly or refused in words; what goes back runs nowhere."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.spc import MAX_BYTES, MAX_ROWS, UnusableDataError, make_study, read_measurements, safe_csv

GOOD = [
    ("plain", b"t,v\n1,2.5\n2,3.5\n", (2.5, 3.5)),
    ("windows line ends and a mark", b"\xef\xbb\xbft,v\r\n1,2.5\r\n2,3.5\r\n", (2.5, 3.5)),
    ("utf-16 as spreadsheets write it", "t\tv\n1\t2.5\n2\t3.5\n".encode("utf-16"), (2.5, 3.5)),
    ("semicolons and decimal commas", b"t;v\n1;2,5\n2;3,5\n", (2.5, 3.5)),
    ("semicolons and decimal points", b"t;v\n1;2.5\n2;3.5\n", (2.5, 3.5)),
    ("quoted cells and blanks", b't, v\n"a, b", 2.5\n"c", 3.5 \n', (2.5, 3.5)),
    ("empty lines", b"\n\nt,v\n\n1,2.5\n,\n2,3.5\n\n", (2.5, 3.5)),
    ("gaps and words", b"t,v\n1,2.5\n2,\n3,n/a\n4,3.5\n", (2.5, None, None, 3.5)),
    ("digit groups are not numbers", b't,v\n1,"1,234"\n2,2.5\n3,3.5\n', (None, 2.5, 3.5)),
    (
        "not a number, infinity, underscores",
        b"t,v\n1,nan\n2,inf\n3,1_0\n4,2\n5,3\n6,-1e-3\n",
        (None, None, None, 2, 3, -0.001),
    ),
    ("short lines", b"t,v,w\n1,2.5\n2,3.5,x\n", (2.5, 3.5)),
    ("a separator at the end of each line", b"t,v\n1,2.5,\n2,3.5,\n", (2.5, 3.5)),
]


@pytest.mark.parametrize(("content", "values"), [case[1:] for case in GOOD], ids=[case[0] for case in GOOD])
def test_readable_files(content: bytes, values: tuple[float | None, ...]) -> None:
    """UTF-8 or UTF-16, commas, semicolons or tabs, and no number is changed or invented."""
    assert read_measurements(content).numbers("v") == values


BAD = [
    ("empty", b"", "empty"),
    ("blank", b" \r\n\n", "empty"),
    ("separators only", b",,\n,,\n", "empty"),
    ("a header only", b"t,v\n", "no measurements"),
    ("no numbers", b"t,v\na,b\nc,d\n", "No column holds numbers"),
    ("one number", b"t,v\na,1\n", "No column holds numbers"),
    ("no header", b"1,2\n3,4\n", "must name the columns"),
    ("latin-1", "größe,v\n1,2\n3,4\n".encode("latin-1"), "not UTF-8"),
    ("half of utf-16", b"\xff\xfea", "not UTF-8"),
    ("binary", b"a,b\x00\n1,2\n", "not text"),
    ("a workbook", b"PK\x03\x04rest", "spreadsheet"),
    ("an old workbook", b"\xd0\xcf\x11\xe0rest", "spreadsheet"),
    ("a longer line", b"t,v\n1,2\n3,4,5\n", "Line 3 has 3 cells"),
    ("an open quote", b't,v\n1,"2\n', "cannot be read as CSV"),
    ("a huge cell", b"t,v\n1," + b"9" * 200_000, "cannot be read as CSV"),
    ("too many columns", b",".join(b"c%d" % index for index in range(300)) + b"\n", "more than 200 columns"),
    ("too many rows", b"v\n" + b"1\n" * (MAX_ROWS + 1), "more than 20,000 rows"),
    ("too large", b"v\n" + b"1" * MAX_BYTES, "larger than 5 MB"),
]


@pytest.mark.parametrize(("content", "words"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_files_that_cannot_be_used(content: bytes, words: str) -> None:
    """A file that gives no chart is refused with what is wrong and what to do."""
    with pytest.raises(UnusableDataError, match=words):
        read_measurements(content)


@given(st.binary(max_size=300) | st.text('a1,;\t"\n.-', max_size=80).map(str.encode))
def test_any_file_is_read_or_refused(content: bytes) -> None:
    """No file, however broken, makes the tool fail."""
    try:
        measurements = read_measurements(content)
        make_study(measurements, value=measurements.number_columns()[0])
    except UnusableDataError as error:
        assert str(error).endswith(".")


def test_columns_have_names_of_their_own() -> None:
    """Columns without a name, or with the same one, are told apart."""
    assert read_measurements(b"v,,v\n1,2,3\n4,5,6\n").columns == ("v", "column 2", "v (2)")


# OWASP, "CSV Injection": the characters after which a spreadsheet may take a cell for a formula.
CELLS = [
    ("a formula", "=1+1", "'=1+1"),
    ("plus", "+1", "'+1"),
    ("minus in text", "-1", "'-1"),
    ("at", "@SUM(A1)", "'@SUM(A1)"),
    ("tab", "\t=1", "'\t=1"),
    ("blanks in front", "  =1", "'  =1"),
    ("a link", '=HYPERLINK("http://evil.test","x")', '\'=HYPERLINK("http://evil.test","x")'),
    ("plain text", "M1", "M1"),
    ("a number", -1.5, "-1.5"),
    ("a whole number", -3, "-3"),
]


@pytest.mark.parametrize(("cell", "expected"), [case[1:] for case in CELLS], ids=[case[0] for case in CELLS])
def test_downloads_run_nowhere(cell: str | float, expected: str) -> None:
    """Text that a spreadsheet would take for a formula is marked as text, in cells and in headings; numbers are not."""
    content = safe_csv([str(cell)], [[cell]]).decode("utf-8-sig")
    heading, row = csv.reader(io.StringIO(content, newline=""))
    assert row == [expected]
    assert heading == ["'" + str(cell) if str(cell).lstrip(" ")[0] in "=+-@\t" else str(cell)]
