"""XLNet's two streams and its memory, against the reference."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import blocks
from blocks import Clock, GenerationError, State, two_streams
from tests.families.reference import TOLERANCE

LENGTH, PLACES = 14, torch.tensor([[3, 9, 0], [11, 4, 5]])


def visible(one_way: bool = False) -> Tensor:
    """Which token sees which, in an order of the tokens of each row whose first is none of PLACES.

    One way, tokens are told from left to right, a query's own apart.
    """
    if one_way:
        return torch.ones(2, LENGTH, LENGTH, dtype=torch.bool).tril(-1)
    draw = torch.Generator().manual_seed(4)
    places = [torch.randperm(LENGTH, generator=draw) for _ in range(2)]
    for row in range(2):
        start = int((places[row] == 0).nonzero())
        places[row][[start, 1]] = places[row][[1, start]]  # token 1 is told first
    order = torch.stack(places)
    return order[:, :, None] > order[:, None, :]


def rows(it: Any, length: int = LENGTH) -> Tensor:
    return it.tokens[:, :length]


def one_hot(places: Tensor, length: int) -> Tensor:
    return torch.nn.functional.one_hot(places, length).float()


def asked(it: Any, tokens: Tensor, **options: Any) -> Any:
    with torch.no_grad():
        return it.reference(tokens, **options)


@pytest.mark.parametrize("variant", ["plain", "clamped distances", "bare", "token classes"])
@pytest.mark.parametrize("typed", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_any_order_and_hidden_places(loaded: Any, variant: str, typed: bool, padded: bool) -> None:
    it = loaded("xlnet", variant)
    tokens, seen, mask = rows(it), visible(), torch.ones(2, LENGTH, dtype=torch.bool)
    options: dict[str, Any] = {"perm_mask": (~seen).float()}
    given: dict[str, Any] = {"seen": seen}
    if typed:
        types = torch.randint(0, 3, tokens.shape, generator=torch.Generator().manual_seed(5))
        options["token_type_ids"] = given["types"] = types
    if padded:
        mask[1, -2:] = False
        options["attention_mask"], given["mask"] = mask.float(), mask
    with torch.no_grad():
        content = two_streams(it.ours, tokens, **given)
        queries = two_streams(it.ours, tokens, PLACES, **given)
    theirs = it.variant.answer(asked(it, tokens, **options))
    assert it.close(content[mask], theirs[mask]) <= TOLERANCE
    if variant == "token classes":
        return  # the reference's takes no targets
    theirs = it.variant.answer(asked(it, tokens, target_mapping=one_hot(PLACES, LENGTH), **options))
    assert it.close(queries, theirs) <= TOLERANCE
    assert it.close(queries, content.gather(1, PLACES[..., None].expand_as(queries))) > 0.1


@pytest.mark.parametrize("variant", ["one way", "clamped, one way"])
def test_one_way(loaded: Any, variant: str) -> None:
    it = loaded("xlnet", variant)
    tokens, seen, places = rows(it), visible(one_way=True), PLACES.clamp(min=1)
    with torch.no_grad():
        ours = two_streams(it.ours, tokens, places, seen=seen)
    for row in range(2):  # the reference fails at several
        options = {"perm_mask": ~seen, "target_mapping": one_hot(places, LENGTH)}
        options = {name: value[row : row + 1].float() for name, value in options.items()}
        theirs = asked(it, tokens[row : row + 1], **options).logits
        assert it.close(ours[row : row + 1], theirs) <= TOLERANCE


@pytest.mark.parametrize("variant", ["plain", "remembers", "one way", "clamped distances"])
@pytest.mark.parametrize("queries", [False, True])
def test_segments_see_the_memory(loaded: Any, variant: str, queries: bool) -> None:
    it = loaded("xlnet", variant)
    rows = 1 if variant == "one way" else 2  # of which the reference takes no more
    state, mems = State.of(it.ours.layers, rows), None
    for n, length in enumerate((5, 1, 9, 3, 6)):
        tokens = it.tokens[:rows, 4 * n : 4 * n + length]
        types = (torch.arange(length) % 2).expand(rows, -1)
        options: dict[str, Any] = {"token_type_ids": types}
        given: dict[str, Any] = {"types": types}
        if queries:
            given["seen"] = torch.ones(rows, length, length, dtype=torch.bool).tril(-1)
            given["targets"] = torch.tensor([[length - 1], [length // 2]])[:rows]
            options["perm_mask"] = (~given["seen"]).float()
            options["target_mapping"] = one_hot(given["targets"], length)
        wanted = asked(it, tokens, mems=mems, use_mems=True, **options)
        with torch.no_grad():
            ours = two_streams(it.ours, tokens, state=state, **given)
        assert it.close(ours, wanted.logits) <= TOLERANCE
        mems = wanted.mems
    held = {"remembers": 7}.get(variant, 24)
    assert mems is not None and mems[0].shape[0] == held
    for ours, theirs in zip(state.content, mems, strict=True):
        kept = ours["attention"].x[:, -held:].transpose(0, 1)
        torch.testing.assert_close(kept, theirs, rtol=1e-4, atol=1e-4)


def test_a_query_knows_nothing_of_its_token(loaded: Any) -> None:
    it = loaded("xlnet", "plain")
    tokens = rows(it)
    other = tokens.scatter(1, PLACES[:, :1], (tokens.gather(1, PLACES[:, :1]) + 1) % 97)
    with torch.no_grad():
        for seen in (None, visible()):
            one, two = (two_streams(it.ours, t, PLACES[:, :1], seen=seen) for t in (tokens, other))
            assert torch.equal(one, two)
        assert not torch.equal(two_streams(it.ours, tokens), two_streams(it.ours, other))
        assert torch.equal(two_streams(it.ours, tokens), it.ours(tokens))


def test_types_alone_matter_in_pairs(loaded: Any) -> None:
    it = loaded("xlnet", "plain")
    tokens, types = rows(it), torch.arange(LENGTH).expand(2, -1) % 3
    with torch.no_grad():
        ours = it.ours(tokens, types=types)
        renamed = it.ours(tokens, types=(types + 1) % 3)
        same = it.ours(tokens, types=torch.ones_like(types))
        plain = it.ours(tokens)
    assert it.close(ours, asked(it, tokens, token_type_ids=types).logits) <= TOLERANCE
    assert it.close(ours, renamed) <= TOLERANCE and it.close(same, plain) <= TOLERANCE
    assert it.close(ours, plain) > 0.01


def test_the_last_token_of_padding_on_the_left(loaded: Any) -> None:
    it = loaded("xlnet", "classes of the last token")
    tokens, mask = rows(it), torch.ones(2, LENGTH, dtype=torch.bool)
    mask[1, :5] = False
    with torch.no_grad():
        ours = it.ours(tokens, mask)
    assert it.close(ours, asked(it, tokens, attention_mask=mask.float()).logits) <= TOLERANCE


def test_a_search_finds_what_the_reference_finds(loaded: Any) -> None:
    it = loaded("xlnet", "search")
    tokens, mask = rows(it), torch.ones(2, LENGTH, dtype=torch.bool)
    mask[1, 9:] = False
    last = torch.tensor([LENGTH - 1, 8])
    options = {"attention_mask": mask.float(), "p_mask": (~mask).float(), "cls_index": last}
    theirs = asked(it, tokens, **options)
    with torch.no_grad():
        ours = it.ours(tokens, mask)
    ends = [part.mT.flatten(1) for part in (ours.end, ours.ends)]
    assert ours.begins.equal(theirs.start_top_index) and ends[1].equal(theirs.end_top_index)
    for one, two in (
        (ours.begin, theirs.start_top_log_probs),
        (ends[0], theirs.end_top_log_probs),
        (ours.absent, theirs.cls_logits),
    ):
        assert float((one - two).abs().max() / two.std()) <= TOLERANCE
    with torch.no_grad():
        short = it.ours(tokens[:, :3])
    assert short.begins.shape == (2, 3) and short.ends.shape == (2, 3, 3)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"targets": torch.tensor([[14], [0]])}, "targets"),
        ({"targets": torch.tensor([[-1], [0]])}, "targets"),
        ({"targets": torch.tensor([[1]])}, "targets"),
        ({"seen": torch.ones(2, 3, 3, dtype=torch.bool)}, "seen"),
        ({"seen": torch.ones(2, LENGTH, LENGTH)}, "seen"),
        ({"types": torch.ones(2, 3)}, "types"),
        ({"state": State(Clock(2, None, None), None)}, "state"),
    ],
)
def test_what_is_refused(loaded: Any, options: dict[str, Any], field: str) -> None:
    it = loaded("xlnet", "plain")
    with pytest.raises(GenerationError) as caught:
        two_streams(it.ours, rows(it), **options)
    assert caught.value.field == field


def test_an_encoder_without_a_row_for_queries_is_refused(loaded: Any) -> None:
    it = loaded("xlnet", "plain")
    plain = blocks.replace(it.ours.spec, embedding=blocks.Spec(blocks.TokenEmbedding))()
    with pytest.raises(GenerationError, match="no row for queries"):
        two_streams(plain, rows(it), PLACES)
