"""From generated collisions to the candidates of a crossing: overlay, tracker, calorimeters, particle flow."""

from hardscatter.detector.card import Card
from hardscatter.detector.interactions import Fixed, Flat, Histogram, Pileup, Poisson
from hardscatter.detector.loading import load_card
from hardscatter.detector.simulation import simulate_crossings, simulate_mixtures, simulate_pairs
from hardscatter.detector.sources import Source, prepare

__all__ = [
    "Card", "Fixed", "Flat", "Histogram", "Pileup", "Poisson", "Source",
    "load_card", "prepare", "simulate_crossings", "simulate_mixtures", "simulate_pairs",
]  # fmt: skip
