"""Mixtures of normal distributions, and how they are fitted."""

import torch
from torch.distributions import MultivariateNormal

from regard.models.painting.mixture import Normals, fit_normals


def two_clouds(number=600):
    """A third at (4, 0), narrow and slanted; the others at (−3, 1), wide."""
    torch.manual_seed(0)
    slanted = torch.tensor([[0.5, 0.0], [0.4, 0.3]])
    first = torch.tensor([4.0, 0.0]) + torch.randn(number // 3, 2) @ slanted.T
    return torch.cat([first, torch.tensor([-3.0, 1.0]) + torch.randn(number - len(first), 2)]), slanted


def test_the_density_is_that_of_its_components_by_their_shares():
    torch.manual_seed(0)
    codes, means = torch.randn(5, 3).double(), torch.randn(2, 3).double()
    factors = torch.eye(3).double() + torch.randn(2, 3, 3).tril(-1).double()
    shares = torch.tensor([0.3, 0.7]).double()
    parts = MultivariateNormal(means, scale_tril=factors).log_prob(codes.unsqueeze(1)).exp()
    torch.testing.assert_close(Normals(shares, means, factors).log_density(codes), (parts @ shares).log())


def test_clouds_are_found():
    codes, slanted = two_clouds()
    found = fit_normals(codes, 2)
    order = found.means[:, 0].argsort(descending=True)
    torch.testing.assert_close(found.shares[order], torch.tensor([1 / 3, 2 / 3]).double(), rtol=0, atol=0.01)
    torch.testing.assert_close(found.means[order], torch.tensor([[4.0, 0.0], [-3.0, 1.0]]).double(), rtol=0, atol=0.15)
    torch.testing.assert_close(found.factors[order[0]], slanted.double(), rtol=0, atol=0.15)
    torch.testing.assert_close(found.factors[order[1]], torch.eye(2).double(), rtol=0, atol=0.15)


def test_one_component_has_the_mean_and_the_spread_of_all():
    codes, _ = two_clouds()
    found = fit_normals(codes, 1)
    torch.testing.assert_close(found.means[0], codes.double().mean(0))
    torch.testing.assert_close(found.factors[0] @ found.factors[0].T, codes.double().T.cov(), rtol=0.01, atol=0.01)


def test_more_components_make_codes_more_probable():
    codes, _ = two_clouds()
    one, two = (float(fit_normals(codes, number).log_density(codes.double()).mean()) for number in (1, 2))
    assert two > one + 0.3


def test_the_same_codes_give_the_same_mixture_and_the_random_state_is_left_alone():
    codes, _ = two_clouds()
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit_normals(codes, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(*pair) for pair in zip(first, fit_normals(codes, 3), strict=True))


def test_few_codes_make_few_components_all_of_which_have_a_density():
    for number, at_most in ((1, 1), (3, 1), (9, 2)):
        found = fit_normals(torch.randn(number, 2), 4)
        assert found.shares.shape == (4,)
        assert (found.shares > 0).sum() <= at_most
        assert found.log_density(torch.randn(5, 2).double()).isfinite().all()


def test_codes_that_are_all_the_same_have_a_density():
    assert fit_normals(torch.ones(50, 2), 3).log_density(torch.ones(1, 2).double()).isfinite().all()


def test_codes_of_one_number_are_fitted_too():
    codes = torch.cat([torch.randn(100, 1) - 5, torch.randn(100, 1) + 5])
    assert sorted(round(one) for one in fit_normals(codes, 2).means.flatten().tolist()) == [-5, 5]
