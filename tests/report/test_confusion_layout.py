"""Where the cells of the confusion matrix lie, and which confusions are the worst."""

import base64

import cv2
import numpy as np
import pytest

from cdb_video.output.rows import Confusion
from cdb_video.report.confusion import (
    RIGHT_BGR,
    WRONG_BGR,
    as_picture,
    lay_out,
    worst_confusions,
)

SMALL = Confusion(["a", "b", "c"], np.array([[3, 1, 0], [0, 0, 0], [2, 0, 2]]))


def test_cells_are_shares_of_their_row_in_the_order_wanted():
    matrix = lay_out(SMALL, [2, 0, 1])
    assert matrix.names == ["c", "a", "b"]
    assert matrix.totals == [4, 4, 0]
    cells = {(cell.row, cell.column): cell.share for cell in matrix.cells}
    assert cells == {(0, 0): 0.5, (0, 1): 0.5, (1, 1): 0.75, (1, 2): 0.25}


@pytest.mark.parametrize("size", [1, 2, 19, 106, 400])
def test_labels_fit_their_cells_and_the_picture_holds_all(size):
    confusion = Confusion([f"class {c}" for c in range(size)], np.eye(size, dtype=np.int64))
    matrix = lay_out(confusion, range(size))
    assert matrix.font <= matrix.cell
    assert matrix.width >= matrix.left + size * matrix.cell
    assert matrix.height >= matrix.top + size * matrix.cell
    assert matrix.with_numbers == (size <= 37)


def test_a_long_name_is_cut_in_its_label_only():
    name = "put the very long named thing into the cupboard"
    matrix = lay_out(Confusion([name], np.array([[1]])), [0])
    assert matrix.names == [name]
    assert matrix.labels[0].endswith("…")
    assert name.startswith(matrix.labels[0][:-1])


def test_worst_confusions_are_by_count_then_by_share():
    counts = np.array([[90, 5, 5], [5, 5, 0], [0, 7, 0]])
    worst = worst_confusions(Confusion(["a", "b", "c"], counts), limit=3)
    found = [(m.true, m.predicted, m.count, m.share) for m in worst]
    assert found == [("c", "b", 7, 1.0), ("b", "a", 5, 0.5), ("a", "b", 5, 0.05)]


def test_more_classes_than_can_be_labelled_are_a_picture():
    counts = np.zeros((3, 3), np.int64)
    counts[0], counts[2] = (3, 1, 0), (0, 4, 0)
    address = as_picture(Confusion(list("abc"), counts), [2, 0, 1])
    png = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
    assert picture.shape == (3, 3, 4)
    # Rows are c, a, b; what is not there is transparent, what is whole is opaque.
    assert picture[..., 3].tolist() == [[0, 0, 255], [0, 206, 109], [0, 0, 0]]
    assert (picture[1, 1, :3] == RIGHT_BGR).all()
    assert (picture[1, 2, :3] == WRONG_BGR).all()
