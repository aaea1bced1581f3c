"""Whether a recipe's values may be what they are: the rule of each key, then what keys say about each other."""

from dataclasses import fields, is_dataclass
from typing import Any

from tinyflow.errors import TinyflowError
from tinyflow.frontend.registry import front_end_named
from tinyflow.recipe.keys import key_of
from tinyflow.recipe.sections import Data, Recipe, Search


def check(recipe: Recipe, where: str) -> None:
    """TinyflowError names the file, the key, its value and what it may be."""
    if "/" in recipe.name or recipe.name in ("", ".", ".."):
        raise TinyflowError(f"{where}: name is {recipe.name!r}", "a plain folder name")
    _check_keys(recipe, where, "")
    _check_data(recipe.data, where)
    if recipe.search:
        _check_search(recipe.search, where)


def _check_keys(section: Any, where: str, path: str) -> None:
    for item in fields(section):
        value, name = getattr(section, item.name), path + item.name
        rule = key_of(item).rule
        if is_dataclass(value):
            _check_keys(value, where, f"{name}.")
        elif rule and not (value is None and item.default is None) and not rule.holds(value):
            raise TinyflowError(f"{where}: {name} is {value!r}", rule.says)


def _check_data(data: Data, where: str) -> None:
    if data.task == "keywords" and data.source != "folder" and not data.keywords:
        raise TinyflowError(
            f"{where}: data.keywords is {data.keywords!r}",
            "list the words to spot: data: {task: keywords, keywords: [yes, no]}",
        )
    fractions = data.synthetic.validation_fraction, data.synthetic.test_fraction
    if sum(fractions) >= 0.9:
        raise TinyflowError(f"{where}: data.synthetic fractions is {fractions!r}", "together below 0.9")


def _check_search(search: Search, where: str) -> None:
    for name in search.frontends:
        front_end_named(name)
    if len(set(search.frontends)) != len(search.frontends):
        raise TinyflowError(f"{where}: search.frontends is {search.frontends!r}", "each front end once")
    if search.channels % search.partial or search.channels < 2 * search.partial:
        raise TinyflowError(
            f"{where}: search.channels is {search.channels!r}",
            f"a multiple of search.partial ({search.partial}), at least twice it",
        )
    if search.warmup_epochs >= search.epochs:
        raise TinyflowError(
            f"{where}: search.warmup_epochs is {search.warmup_epochs!r}",
            f"0 up to search.epochs - 1 ({search.epochs - 1}): after it alpha, beta and gamma are learnt",
        )
    if search.resource_weight and not search.board:
        raise TinyflowError(
            f"{where}: search.resource_weight is {search.resource_weight!r}",
            "name the board whose budget counts: search.board=nucleo-l4r5zi",
        )
