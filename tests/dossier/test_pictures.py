import base64
import io

import numpy as np
import pytest
from PIL import Image

from harness.digests import digest_file
from harness.dossier.pictures import CHANGED, UNREADABLE, overlay, picture


def shown(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.fixture
def path(tmp_path):
    Image.fromarray(np.full((400, 200), 90, dtype=np.uint8)).save(tmp_path / "a.png")
    return tmp_path / "a.png"


def test_a_picture_is_small_grey_and_inside_the_page(path):
    uri, why = picture(path, digest_file(path))
    assert (why, uri[:22]) == ("", "data:image/jpeg;base64")
    assert shown(uri).size == (150, 300)


def test_why_there_is_none(path):
    assert picture(None) == ("", "The study has no picture.")
    assert picture(path, "0" * 64) == ("", CHANGED)
    path.write_bytes(path.read_bytes()[:100])
    assert picture(path) == ("", UNREADABLE)
    path.unlink()
    assert picture(path, "0" * 64) == ("", UNREADABLE)


def test_deep_pictures_keep_their_middle_grey(tmp_path):
    Image.fromarray(np.full((64, 64), 32_768, dtype=np.uint16)).save(tmp_path / "deep.png")
    values = np.asarray(shown(picture(tmp_path / "deep.png")[0]))
    assert abs(values.mean() - 127) < 3


def test_an_overlay_glows_where_the_map_is_high_and_leaves_the_rest(path):
    grey = Image.fromarray(np.full((100, 100), 60, dtype=np.uint8))
    heat = np.zeros((10, 10), dtype=np.float32)
    heat[2:4, 6:8] = 1
    mixed = np.asarray(overlay(grey, heat)).astype(int)
    assert mixed[30, 70, 0] > mixed[30, 70, 2] + 50
    assert mixed[80, 20].tolist() == [60, 60, 60]
    brightness = mixed.mean(axis=-1)
    assert brightness[30, 70] > 100, "seen in grey print too"
    assert np.asarray(overlay(grey, np.zeros((5, 5), dtype=np.float32))).max() == 60
    assert shown(picture(path, attention=heat)[0]).size == (150, 300)
