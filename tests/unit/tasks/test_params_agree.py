"""A parameter is declared once: its default is params.yaml's, and check refuses as stages do."""

from __future__ import annotations

import copy
import math

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.ground.parameters import check_tree
from saliency_audit.errors import ParameterError
from saliency_audit.models.specification import read_specification
from saliency_audit.parameters import parameter_defaults
from tasks import params

#: Where params.yaml and a default differ on purpose, and why.
DIFFERENT = {
    "datasets.phantom_skin.source": "a default would name a file of one repository",
    "datasets.phantom_chest.source": "a default would name a file of one repository",
}


@pytest.fixture(scope="module")
def tree(root):
    return params.read_tree(root / "params.yaml")


def declared_keys(tree):
    """Every dotted key with a dataclass behind it, and the dataclass."""
    for section, place in params.SECTIONS.items():
        if section in params.NAMED:
            for name, raw in tree[section].items():
                yield f"{section}.{name}", type(params.named(place)(name, raw)), raw
        elif section not in ("preset", "methods"):
            yield section, params.named(place), params.look_up(tree, section)


def test_a_default_is_what_params_yaml_says(tree):
    differ = {
        f"{key}.{name}": f"default {default!r}, params.yaml {raw[name]!r}"
        for key, kind, raw in declared_keys(tree)
        if not key.startswith("audits.")
        for name, default in parameter_defaults(kind).items()
        if name in raw and raw[name] != (list(default) if isinstance(default, tuple) else default)
    }
    assert differ.keys() == DIFFERENT.keys(), f"make these one, or say why not: {differ}"


def test_without_its_line_a_parameter_is_the_same(tree):
    """What stands in params.yaml may be left out: the stage then does the same."""
    for key, kind, raw in declared_keys(tree):
        if key.startswith(("audits.", "datasets.")):
            continue
        whole = params.build(kind, raw, key) if not key.startswith("method.") else None
        for name in raw:
            less = {other: value for other, value in raw.items() if other != name}
            if whole is not None:
                assert params.build(kind, less, key) == whole, f"{key}.{name}"
            else:
                method = key.removeprefix("method.")
                assert params.build_method(method, less) == params.build_method(method, raw), key


def test_sections_are_those_of_params_yaml(tree):
    told = {key.partition(".")[0] for key in params.SECTIONS}
    assert told == set(tree), "tasks.params.SECTIONS and params.yaml name other sections"
    below = {key.partition(".")[2] for key in params.SECTIONS if key.startswith("quality.")}
    assert below == set(tree["quality"]), "tasks.params.SECTIONS and quality name other gates"


def stages(root, tree):
    """The dotted keys that each stage of dvc.yaml reads, one entry per stage."""
    graph = yaml.safe_load((root / "dvc.yaml").read_text("utf-8"))["stages"]
    for stage in graph.values():
        if "matrix" in stage:
            items = [
                {"${item.audit}": audit, "${item.method}": method}
                for audit in tree["audits"]
                for method in tree["methods"]
            ]
        elif "foreach" in stage:
            items = [{"${key}": name} for name in tree[stage["foreach"][2:-1]]]
        else:
            items = [{}]
        for item in items:
            keys = stage.get("do", stage)["params"]
            for mark, name in item.items():
                keys = [key.replace(mark, str(name)) for key in keys]
            yield keys


def test_every_parameter_that_a_stage_declares_is_of_a_section(root, tree):
    for keys in stages(root, tree):
        params.check_declared(tree, keys)


def refuses(check, *arguments):
    try:
        check(*arguments)
    except ParameterError:
        return True
    return False


def a_stage_refuses(root, tree):
    """Whether a stage refuses what it declares, or the graph what its stages are made of."""
    for section in ("datasets", "audits", "methods"):
        if refuses(params.check_key, tree, section):
            return True
    if any(refuses(params.check_declared, tree, keys) for keys in stages(root, tree)):
        return True
    audits, datasets = tree["audits"].values(), tree["datasets"]
    linked = {audit["dataset"] for audit in audits} == set(datasets)
    files = [root / known.get("source", "nowhere") for known in datasets.values()]
    folders = [root / "classifiers" / audit["classifier"] / "model.yaml" for audit in audits]
    if not linked or not all(path.exists() for path in [*files, *folders]):
        return True
    from saliency_audit.models.segmenter import check_encoder

    return any(refuses(read_specification, path) for path in folders) or refuses(
        check_encoder, tree["segmenter"].get("encoder", "tu-regnetx_002")
    )


def leaves(node, path=()):
    yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, key))


BAD = (math.nan, math.inf, -1, 0, 1, 2, 0.5, 3.0, True, False, "3", "", [], {}, None, 10**30)
BAD += (
    "rise",
    ["rise"],
    ["rise", "rise"],
    ["lime", "gradcam"],
    {"x": math.nan},
    [-1, 64],
    "imagenet",
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_check_refuses_what_a_stage_refuses_and_nothing_else(root, tree, data):
    spoilt = copy.deepcopy(tree)
    path = data.draw(st.sampled_from([p for p in leaves(tree) if p]))
    what = data.draw(st.sampled_from(["value", "gone", "more"]))
    node = spoilt
    for part in path[:-1]:
        node = node[part]
    if what == "gone" and len(path) > 1 and path not in QUALITY:
        del node[path[-1]]
    elif what == "more" and isinstance(node[path[-1]], dict) and path != ("quality",):
        node[path[-1]][data.draw(st.sampled_from(["seed", "samples", "a.b", "x"]))] = data.draw(
            st.sampled_from(BAD)
        )
    elif path != ("quality",) and path not in QUALITY:
        node[path[-1]] = data.draw(st.sampled_from(BAD))
    assert refuses(check_tree, root, spoilt) == a_stage_refuses(root, spoilt)


def test_a_line_that_a_stage_reads_alone_is_wanted(root, tree):
    spoilt = copy.deepcopy(tree)
    del spoilt["measures"]["kept_fraction"]
    with pytest.raises(ParameterError, match="kept_fraction"):
        check_tree(root, spoilt)


#: Read by ``read_tree`` before any stage or check sees the tree.
QUALITY = [("quality", gate) for gate in ("inputs", "models", "maps", "results", "drift")]


def test_a_severity_of_no_rule_is_refused(root, tree):
    spoilt = copy.deepcopy(tree)
    spoilt["quality"]["inputs"]["severity"] = {"near_duplicat": "stop"}
    with pytest.raises(ParameterError, match=r"quality\.inputs\.severity.*did you mean near_dup"):
        check_tree(root, spoilt)
    spoilt["quality"]["inputs"]["severity"] = {"near_duplicate": "stop"}
    check_tree(root, spoilt)


def test_an_encoder_or_architecture_that_nothing_knows_is_refused(root, tree, tmp_path):
    spoilt = copy.deepcopy(tree)
    spoilt["segmenter"]["encoder"] = "tu-regnetx_003"
    with pytest.raises(ParameterError, match=r"params\.yaml: segmenter\.encoder.*did you mean tu-"):
        check_tree(root, spoilt)
    (tmp_path / "saliency_audit").symlink_to(root / "saliency_audit")
    for audit in tree["audits"].values():
        folder = tmp_path / "classifiers" / audit["classifier"]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "model.yaml").write_text("{architecture: resnet81, train: {}}")
    with pytest.raises(ParameterError, match=r"model\.yaml: unknown architecture.*resnet18"):
        check_tree(tmp_path, tree)
