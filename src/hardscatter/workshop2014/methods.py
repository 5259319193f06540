"""What the workshop compares, under its own names: weights of particles, and methods that act on jets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hardscatter.errors import SettingsError
from hardscatter.pileup import Method, get_method
from hardscatter.pileup.chs import ChargedHadronSubtraction
from hardscatter.pileup.learned import describe
from hardscatter.pileup.method import MODEL_SUFFIX
from hardscatter.pileup.softkiller import SoftKiller
from hardscatter.pileup.softkiller_zeroing import SoftKillerZeroing
from hardscatter.workshop2014.crossings import Y_MAX
from hardscatter.workshop2014.jet_level import (
    AreaSubtraction,
    AreaTrimming,
    JetConstituentSubtraction,
    JetMethod,
    LinearCleansing,
)
from hardscatter.workshop2014.puppi import WorkshopPuppi
from hardscatter.workshop2014.total import WorkshopTotal

METHODS: dict[str, Method | JetMethod] = {
    "unsub": ChargedHadronSubtraction(),
    "area": AreaSubtraction(),
    "constit": JetConstituentSubtraction(),
    "clns": LinearCleansing(),
    "sk50": SoftKiller(tile=0.5, y_max=Y_MAX),
    "sk45z02": SoftKillerZeroing(softkiller=SoftKiller(tile=0.45, y_max=Y_MAX), radius=0.2, track_eta_max=Y_MAX),
    "atrim15": AreaTrimming(),
    "workshop:puppi": WorkshopPuppi(),
    "workshop:total": WorkshopTotal(),
}
"""The workshop's methods, and TOTAL; its PUPPI has a name of its own: ``puppi`` is that of CMS, here as everywhere."""

PUBLISHED_AS = {"workshop:puppi": "puppi"}
"""Names in the published table where they differ."""


def chosen(methods: Sequence[str | Method | JetMethod]) -> dict[str, Method | JetMethod]:
    """Return methods by name: those of `METHODS`, ids of `hardscatter.methods`, trained models by the stem of the file.

    Raises
    ------
    UnknownMethodError, UnreadableFileError
        If there is no such method or model.
    SettingsError
        If two would get the same name.
    """
    found: dict[str, Method | JetMethod] = {}
    for given in methods:
        name = _name(given)
        if name in found:
            raise SettingsError(f"two methods would both be called '{name}': leave one out or rename a model's file.")
        found[name] = given if isinstance(given, JetMethod) else _method(given)
        if isinstance(one := found[name], WorkshopTotal):
            describe(one.model)  # a model that cannot be used is found before any work
    return found


def _method(given: str | Method) -> Method | JetMethod:
    return METHODS[given] if isinstance(given, str) and given in METHODS else get_method(given)


def _name(given: str | Method | JetMethod) -> str:
    if not isinstance(given, str):
        return type(given).__name__
    return Path(given).name.removesuffix(MODEL_SUFFIX) if given.endswith(MODEL_SUFFIX) else given
