"""The reader of words: what it computes, and what it may not learn."""

import torch

from regard.models.words import PADDING, CharacterReader, _distinct

WORDS = [[3, 4, 5, 6, 2], [4, 0, 0, 0, 0], [3, 4, 5, 6, 2], [2, 2, 7, 0, 0], [0, 0, 0, 0, 0]]


def by_convolution(reader, letters):
    """The definition: each word by itself, without padding but that of the convolution."""
    rows = []
    for word in letters:
        x = reader.embed(word[word != PADDING])[None].transpose(1, 2)
        found = [layer(x).amax(-1) if x.shape[2] else torch.zeros(1, layer.out_channels).double() for layer in reader.convolve]
        rows.append(torch.cat(found, 1).relu())
    return torch.cat(rows)


def test_letters_are_read_as_convolutions_read_them():
    torch.manual_seed(0)
    reader, letters = CharacterReader(9, 8, 4).double(), torch.tensor(WORDS)
    out, expected = reader(letters), by_convolution(reader, letters)
    torch.testing.assert_close(out, expected)
    weights = torch.randn_like(out)
    found, wanted = (torch.autograd.grad((x * weights).sum(), [*reader.parameters()]) for x in (out, expected))
    torch.testing.assert_close(found, wanted)
    assert (found[0][PADDING] == 0).all()


def test_distinct_rows_lead_back_to_all():
    torch.manual_seed(0)
    rows = torch.randint(0, 3, (500, 5))
    distinct, place = _distinct(rows)
    assert torch.equal(distinct[place], rows)
    assert len(distinct) == len(rows.unique(dim=0))
    assert len(_distinct(rows[:0])[0]) == 0
