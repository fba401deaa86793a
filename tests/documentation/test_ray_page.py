"""The cluster file on the page about Ray is one that Ray's launcher accepts."""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "ray.md"


def test_the_cluster_file_has_rays_schema() -> None:
    jsonschema, yaml = pytest.importorskip("jsonschema"), pytest.importorskip("yaml")
    found = find_spec("ray")
    if found is None or found.origin is None:
        pytest.skip("Ray is not installed")
    schema = json.loads(Path(found.origin).with_name("autoscaler").joinpath("ray-schema.json").read_text(encoding="utf-8"))
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    jsonschema.validate(yaml.safe_load(block), schema)
