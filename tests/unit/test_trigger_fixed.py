from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hardscatter.trigger import Format, quantise, requantise, to_real


def _exact(x: Fraction, into: Format) -> int:
    """Round half up and clip, in rational arithmetic."""
    scaled = x * Fraction(2) ** into.fraction
    return min(max((scaled + Fraction(1, 2)).__floor__(), into.lowest), into.highest)


@st.composite
def _formats(draw: st.DrawFn) -> Format:
    width = draw(st.integers(1, 62))
    return Format(width, width - draw(st.integers(-62, 62)), draw(st.booleans()))


@settings(max_examples=400, deadline=None)
@given(_formats(), st.floats(allow_nan=False, allow_infinity=False))
def test_a_real_number_goes_where_rational_arithmetic_puts_it(form, x):
    assert quantise(np.array([x]), form)[0] == _exact(Fraction(x), form)


@settings(max_examples=400, deadline=None)
@given(_formats(), st.integers(-(2**62) + 1, 2**62 - 1), st.integers(-62, 124))
def test_an_integer_goes_where_rational_arithmetic_puts_it(form, n, fraction):
    assert requantise(np.array([n]), fraction, form)[0] == _exact(Fraction(n) / Fraction(2) ** fraction, form)


@settings(max_examples=100, deadline=None)
@given(_formats(), st.data())
def test_numbers_of_a_format_stay_what_they_are(form, data):
    n = np.array([data.draw(st.integers(form.lowest, form.highest))])
    assert requantise(n, form.fraction, form) == n
    if abs(n[0]) < 2**53:
        assert quantise(to_real(n, form), form) == n


def test_a_half_goes_up_and_what_is_outside_to_the_end():
    form = Format(4, 3)  # -4 to 3.5 in steps of 0.5
    assert form.step == 0.5
    given = np.array([0.25, -0.25, 0.75, -0.75, 0.2499, 3.75, -4.2, np.inf, -np.inf])
    np.testing.assert_array_equal(to_real(quantise(given, form), form), [0.5, 0, 1, -0.5, 0, 3.5, -4, 3.5, -4])
    positive = Format(8, 0, signed=False)
    np.testing.assert_array_equal(quantise(np.array([-1.0, 0.5, 1.0]), positive), [0, 128, 255])


def test_the_largest_number_below_a_half_is_not_rounded_up():
    assert quantise(np.array([np.nextafter(0.5, 0)]), Format(8, 8))[0] == 0


def test_a_format_is_spelt_as_synthesis_does():
    assert str(Format(8, 3)) == "ap_fixed<8,3,AP_RND,AP_SAT>"
    assert str(Format(8, 0, signed=False)) == "ap_ufixed<8,0,AP_RND,AP_SAT>"


def test_what_has_no_fixed_point_number_is_refused():
    with pytest.raises(ValueError, match="NaN"):
        quantise(np.array([np.nan]), Format(8, 3))
    with pytest.raises(ValueError, match="63 bits"):
        Format(63, 3)
    with pytest.raises(ValueError, match="fraction"):
        Format(8, 100)


def test_no_number_is_no_number():
    assert quantise(np.zeros((0, 3)), Format(8, 3)).shape == (0, 3)
