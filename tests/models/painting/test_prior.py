"""What the numbers of a picture are like before it is known."""

import pytest
import torch

from regard.models.painting.prior import Mixture, StandardNormal, log_normal


def fitted(num_classes=0):
    """Three clouds of two numbers; with classes, a class for two of them and one for the third; a last class has none."""
    torch.manual_seed(0)
    centres = torch.tensor([[6.0, 0.0], [-6.0, 3.0], [0.0, -8.0]])
    latent = torch.cat([centre + 0.5 * torch.randn(number, 2) for centre, number in zip(centres, (200, 100, 100), strict=True)])
    prior = Mixture(2, 3, num_classes)
    prior.fit(latent, torch.tensor([0] * 300 + [1] * 100) if num_classes else None)
    return prior, centres


@pytest.mark.parametrize("make", [StandardNormal, lambda: Mixture(3, 4, 0), lambda: Mixture(3, 4, 2)])
def test_unfitted_it_is_the_standard_normal_distribution(make):
    prior, noise, classes = make(), 1.3 * torch.randn(50, 3), torch.arange(50) % 2
    torch.testing.assert_close(prior.latent_of(noise, classes), noise)
    torch.testing.assert_close(prior.log_density(noise, classes), log_normal(noise))


def test_noise_becomes_numbers_like_those_that_were_fitted():
    prior, centres = fitted()
    found = prior.latent_of(torch.randn(4000, 2), None)
    nearest = torch.cdist(found, centres).argmin(1)
    torch.testing.assert_close(nearest.bincount(minlength=3) / 4000, torch.tensor([0.5, 0.25, 0.25]), rtol=0, atol=0.03)
    for number, centre in enumerate(centres):
        own = found[nearest == number]
        torch.testing.assert_close(own.mean(0), centre, rtol=0, atol=0.1)
        torch.testing.assert_close(own.std(0), torch.tensor([0.5, 0.5]), rtol=0, atol=0.15)


def test_the_number_that_chooses_the_component_is_as_good_as_a_new_one_inside_it():
    prior, centres = fitted()
    found = prior.latent_of(torch.randn(20000, 2), None)
    own = found[torch.cdist(found, centres).argmin(1) == 1]
    standard = (own - own.mean(0)) / own.std(0)
    for power, wanted in ((3, 0.0), (4, 3.0)):
        torch.testing.assert_close(standard.pow(power).mean(0), torch.full((2,), wanted), rtol=0, atol=0.25)


def test_the_same_noise_becomes_the_same_numbers_and_extremes_are_finite():
    prior, _ = fitted()
    noise = torch.tensor([[50.0, 0.0], [-50.0, 0.0], [9.0, 1.0], [0.0, 0.0]])
    assert torch.equal(prior.latent_of(noise, None), prior.latent_of(noise, None))
    assert prior.latent_of(noise, None).isfinite().all()


def test_density_and_numbers_are_of_the_same_distribution():
    prior, _ = fitted()
    grid = torch.linspace(-14, 14, 281)
    mass = prior.log_density(torch.cartesian_prod(grid, grid), None).exp().sum() * 0.1**2
    torch.testing.assert_close(mass, torch.tensor(1.0), rtol=0, atol=1e-3)
    drawn, other = prior.latent_of(torch.randn(500, 2), None), 5 * torch.randn(500, 2)
    assert prior.log_density(drawn, None).mean() > prior.log_density(other, None).mean() + 5


def test_each_class_has_its_own_and_one_without_pictures_stays_as_it_was():
    prior, centres = fitted(num_classes=3)
    noise = torch.randn(300, 2)
    found = [prior.latent_of(noise, torch.full((300,), number)) for number in range(3)]
    assert set(torch.cdist(found[0], centres).argmin(1).tolist()) == {0, 1}
    assert set(torch.cdist(found[1], centres).argmin(1).tolist()) == {2}
    torch.testing.assert_close(found[2], noise)
    classes = torch.tensor([0, 1])
    mixed = prior.log_density(centres[[2, 2]], classes)
    assert mixed[1] > mixed[0] + 10


def test_autocast_does_not_round_it():
    prior, noise = fitted()[0], torch.randn(20, 2)
    latent = prior.latent_of(noise, None)
    density = prior.log_density(latent, None)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(prior.latent_of(noise, None), latent)
        assert torch.equal(prior.log_density(latent, None), density)


def test_what_was_fitted_is_kept_with_the_weights():
    prior, _ = fitted()
    other = Mixture(2, 3, 0)
    other.load_state_dict(prior.state_dict())
    noise = torch.randn(5, 2)
    assert torch.equal(other.latent_of(noise, None), prior.latent_of(noise, None))
