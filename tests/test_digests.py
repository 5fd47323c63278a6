"""Hashes of texts and of records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mimo_eval.digests import MultisetHash, digest


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_no_two_sequences_of_texts_share_a_digest(one, two):
    assert (digest(*one) == digest(*two)) == (one == two)


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=3)), max_size=6), st.randoms())
def test_the_hash_of_a_multiset_forgets_order_but_not_number(records, shuffle):
    def of(rows):
        hasher = MultisetHash()
        for row in rows:
            hasher.add(row)
        return hasher.hexdigest()

    assert of(shuffle.sample(records, len(records))) == of(records)
    assert len(of(records)) == 64
    if records:
        assert of([*records, records[0]]) != of(records) != of(records[1:])


def test_fields_do_not_run_into_each_other():
    one, two = MultisetHash(), MultisetHash()
    one.add(("ab", "c"))
    two.add(("a", "bc"))
    assert one.hexdigest() != two.hexdigest()
