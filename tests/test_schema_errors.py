from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.schema_errors import explain_all
from harness.yaml_source import read_yaml


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    size: int
    share: float | None = Field(default=None, gt=0, lt=1)


class Thing(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    one: Inner | None = None
    many: tuple[Inner, ...] = Field(default=(), max_length=9)


def problems(folder: Path, text: str) -> list[str]:
    path = folder / "thing.yaml"
    path.write_text(text)
    source = read_yaml(path)
    with pytest.raises(ValidationError) as caught:
        Thing.model_validate(source.data)
    return [line.removeprefix(str(path)) for line in explain_all(source, caught.value, Thing, ("share",))]


CASES = {
    "nam: x\n": ":1:1: name: missing; every thing needs it|:1:1: nam: unknown key; did you mean name?",
    "name: x\none: {siz: 1}\n": ":2:1: one.size: missing|:2:7: one.siz: unknown key; did you mean size?",
    "name: x\nmany:\n  - {size: 1, zzz: 2}\n": ":3:15: many[0].zzz: unknown key; known here: size, share",
    "name: x\none: {size: 1, share: 98}\n": (
        ":2:16: one.share: 98 is not a fraction between 0 and 1; for 98 % write 0.98"
    ),
}


@pytest.mark.parametrize(("text", "told"), CASES.items(), ids=range(len(CASES)))
def test_every_problem_has_its_place_and_remedy(tmp_path, text, told):
    assert sorted(problems(tmp_path, text)) == sorted(told.split("|"))
