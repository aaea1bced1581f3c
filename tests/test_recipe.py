"""Recipes: what a user may write, and what a mistake is told."""

import re
from dataclasses import fields, is_dataclass

import pytest

from tinyflow.artefacts import CONFIGS
from tinyflow.errors import TinyflowError
from tinyflow.network.genotype import read_genotype
from tinyflow.recipe import (
    Augment,
    Compile,
    Data,
    Deploy,
    Listen,
    Network,
    Recipe,
    Search,
    Synthetic,
    Train,
    load_recipe,
    override,
    parse_yaml,
    recipe_from_dict,
)
from tinyflow.recipe.keys import key_of
from tinyflow.template import template, write_template


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_committed_recipes_and_their_genotypes_load(path):
    recipe = load_recipe(path)
    assert recipe.name == path.stem
    read_genotype(recipe.resolve(recipe.network.genotype))


@pytest.mark.parametrize(
    "value, message, hint",
    [
        ({"trian": {}}, "unknown key 'trian'", "did you mean 'train'?"),
        ({"train": {"epoch": 3}}, "unknown key 'train.epoch'", "did you mean 'epochs'?"),
        ({"train": {"augment": {"shift": 3}}}, "unknown key 'train.augment.shift'", "did you mean 'shift_ms'?"),
        ({"train": {"epochs": "many"}}, "train.epochs is 'many'", "tinyflow init"),
        ({"train": {"epochs": 0}}, "train.epochs is 0", "at least 1"),
        ({"data": {"source": "web"}}, "data.source is 'web'", "tinyflow init"),
        ({"data": {"task": "keywords"}}, "data.keywords is ()", "list the words"),
        ({"data": {"seed": -1}}, "data.seed is -1", "0 or more"),
        ({"data": {"clip_seconds": 2}}, "data.clip_seconds is 2.0", "one second"),
        ({"train": {"seed": -1}}, "train.seed is -1", "0 or more"),
        ({"train": {"learning_rate": float("inf")}}, "train.learning_rate is inf", "above 0"),
        ({"train": {"momentum": 1}}, "train.momentum is 1.0", "from 0 up to 1"),
        ({"train": {"device": "tpu"}}, "train.device is 'tpu'", "cuda"),
        ({"train": {"augment": {"noise_probability": 3}}}, "train.augment.noise_probability is 3.0", "from 0 to 1"),
        (
            {"train": {"augment": {"noise_snr_db": [30, 5]}}},
            "train.augment.noise_snr_db is (30.0, 5.0)",
            "the lower first",
        ),
        ({"network": {"channels": 0}}, "network.channels is 0", "1 or more"),
        ({"network": {"stem_stride": 3}}, "network.stem_stride is 3", "1 or 2"),
        ({"deploy": {"boards": []}}, "deploy.boards is ()", "tinyflow boards"),
        ({"name": "a/b"}, "name is 'a/b'", "folder name"),
        ({"data": {"synthetic": {"test_fraction": 0}}}, "data.synthetic.test_fraction is 0.0", "above 0"),
        ({"data": {"synthetic": {"test_fraction": 0.8}}}, "fractions is (0.1, 0.8)", "together below 0.9"),
        ({"search": {"epochs": 3, "warmup_epochs": 3}}, "search.warmup_epochs is 3", "search.epochs - 1 (2)"),
        ({"search": {"channels": 6}}, "search.channels is 6", "a multiple of search.partial (4)"),
        ({"search": {"skip_cap": -1}}, "search.skip_cap is -1", "null for no cap"),
        ({"search": {"resource_weight": 1}}, "search.resource_weight is 1.0", "search.board="),
        ({"search": {"frontends": ["640/320/40"] * 2}}, "search.frontends is ('640", "each front end once"),
        ({"listen": {"average": 17}}, "listen.average is 17", "from 1 to 16 runs"),
    ],
)
def test_mistakes_are_named_with_the_way_out(value, message, hint):
    with pytest.raises(TinyflowError) as error:
        recipe_from_dict({"name": "x", **value}, "my.yaml")
    assert message in error.value.message and "my.yaml" in error.value.message
    assert hint in error.value.hint


def test_overrides_reach_their_key(tmp_path):
    (tmp_path / "r.yaml").write_text("data: {task: gsc12}\n")
    recipe = load_recipe(tmp_path / "r.yaml", ("train.epochs=7", "train.augment.gain_db=3", "network.channels=6"))
    assert (recipe.train.epochs, recipe.train.augment.gain_db, recipe.network.channels) == (7, 3.0, 6)
    with pytest.raises(TinyflowError, match="no key=value"):
        load_recipe(tmp_path / "r.yaml", ("train.epochs",))
    with pytest.raises(TinyflowError, match=r"--set data.keywords=\[yes: the value is not valid YAML"):
        load_recipe(tmp_path / "r.yaml", ("data.keywords=[yes",))
    with pytest.raises(TinyflowError, match="unknown key 'base'"):
        load_recipe(tmp_path / "r.yaml", ("base=/tmp",))


def test_a_replaced_key_is_checked_as_well():
    recipe = recipe_from_dict({"name": "x", "search": {}})
    assert override(recipe, {"search.skip_cap": None, "train.epochs": 7}).train.epochs == 7
    with pytest.raises(TinyflowError, match="x: search.momentum is 1"):
        override(recipe, {"search.momentum": 1})
    for wrong in ("many", None):  # null only where the default is
        with pytest.raises(TinyflowError, match="of a wrong type"):
            override(recipe, {"train.epochs": wrong})


def test_yes_no_on_off_are_words_not_booleans():
    assert parse_yaml("[yes, no, on, off, true, 3e-4]") == ["yes", "no", "on", "off", True, 3e-4]


@pytest.mark.parametrize("text, message", [("a: [", "not valid YAML"), ("- 1", "not a recipe")])
def test_files_that_are_no_recipe(tmp_path, text, message):
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(TinyflowError, match=message):
        load_recipe(tmp_path / "r.yaml")


def test_missing_recipe_says_where_recipes_are(tmp_path):
    with pytest.raises(TinyflowError, match="no recipe at"):
        load_recipe(tmp_path / "absent.yaml")


def test_template_has_every_key_and_reads_back_as_the_defaults():
    text = template("mine", "mine.genotype.json")
    recipe = recipe_from_dict(parse_yaml(text))
    default = Recipe("mine")
    for item in fields(Recipe):
        if is_dataclass(getattr(default, item.name)) and item.name != "network":
            assert getattr(recipe, item.name) == getattr(default, item.name)
    for section in (default.data, default.train, default.train.augment, default.compile, default.deploy):
        for item in fields(section):
            assert f"{item.name}:" in text


@pytest.mark.parametrize("section", [Data, Synthetic, Network, Search, Augment, Train, Compile, Listen, Deploy])
def test_a_default_keeps_its_own_rule_and_init_shows_it(section):
    text = template("mine", "mine.genotype.json")
    for item in fields(section):
        rule = key_of(item).rule
        if rule:
            assert item.default is None or rule.holds(item.default), item.name
            assert re.search(rf"^[# ]*{item.name}: .* \[{re.escape(rule.says)}\]$", text, re.M), item.name


def test_init_refuses_to_overwrite(tmp_path):
    recipe, genotype = write_template(tmp_path / "mine.yaml")
    assert load_recipe(recipe).network.genotype == genotype.name
    with pytest.raises(TinyflowError, match="exists"):
        write_template(tmp_path / "mine.yaml")
    write_template(tmp_path / "mine.yaml", force=True)


def test_init_for_recordings_names_them(tmp_path):
    (tmp_path / "my words: ü" / "hello").mkdir(parents=True)
    recipe, _ = write_template(tmp_path / "123.yaml", recordings=tmp_path / "my words: ü")
    loaded = load_recipe(recipe)
    assert (loaded.name, loaded.data.source, loaded.data.task, loaded.data.path) == (
        "123",
        "folder",
        "keywords",
        str(tmp_path / "my words: ü"),
    )
    with pytest.raises(TinyflowError, match="is not a folder"):
        write_template(tmp_path / "b.yaml", recordings=tmp_path / "absent")
    with pytest.raises(TinyflowError, match="ends in .yaml"):
        write_template(tmp_path / "b")


def test_a_genotype_that_is_not_there(tmp_path):
    with pytest.raises(TinyflowError, match="absent.json does not exist"):
        read_genotype(tmp_path / "absent.json")
