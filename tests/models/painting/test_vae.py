"""The variational autoencoder: its bounds against what they bound, and what goes in and out of it."""

import math

import pytest
import torch

import regard
from regard import InputError
from regard.attention.gates import Sagan
from regard.models.options import VaeOptions
from regard.models.painting import PaintSizes
from regard.models.painting.autoencoder import Posterior, norm
from regard.models.painting.vae import Vae

TINY = {"d_latent": 3, "widths": (8, 8), "attention_at": (4,), "num_importance": 4, "beta_steps": 0}


def made(sizes=None, **options):
    torch.manual_seed(0)
    return Vae(VaeOptions(**TINY | options), sizes or PaintSizes(1, 8))


def pictures(number=6, channels=1, size=8):
    torch.manual_seed(1)
    return torch.randint(256, (number, channels, size, size)) / 127.5 - 1


def bits(judged):
    return torch.tensor([one.bits_per_dimension for one in judged])


GRID = torch.linspace(-9, 9, 2001, dtype=torch.float64).unsqueeze(1)


def one_number():
    """A model of one number, whose likelihood is known from an integral, and a picture as often as it is needed."""
    model = made(PaintSizes(1, 4), d_latent=1, widths=(4,), attention_at=()).double().eval()
    model.decoder.spread.data += 1.5
    return model, pictures(1, size=4).double()


def nats_of(model, pixels, draws, posterior=None):
    """Of importance, of a picture in each of the draws."""
    posterior = posterior or model.encoder(pixels, None)
    return model.log_weights(pixels.expand(len(draws), -1, -1, -1), None, posterior, draws)


def integral(values):
    """Of values at GRID, over a standard normal number."""
    return (values * torch.exp(-0.5 * GRID[:, 0].square())).sum() * 18 / 2000 / math.sqrt(2 * math.pi)


def likelihood(model, pixels):
    """log ∫ p(pixels | z) N(z) dz."""
    return integral(model.log_likelihood(pixels.expand(len(GRID), -1, -1, -1), GRID, None).exp()).log()


def lower_bound(model, pixels):
    """∫ q(z | pixels) log p(pixels | z) dz − KL."""
    posterior = model.encoder(pixels, None)
    nats = model.log_likelihood(pixels.expand(len(GRID), -1, -1, -1), posterior.at(GRID), None)
    return integral(nats) - posterior.divergences().sum()


@torch.no_grad()
def test_more_samples_come_nearer_to_the_likelihood_from_below():
    model, pixels = one_number()
    nats = nats_of(model, pixels, torch.randn(2**15, 1, dtype=torch.float64))
    bounds = torch.stack([(nats.unfold(0, k, k).logsumexp(1) - math.log(k)).mean() for k in (1, 4, 16, 256)])
    assert (bounds.diff() > 0).all()
    assert bounds[0] < bounds[-1] - 0.1
    assert (bounds < likelihood(model, pixels) + 0.01).all()


@torch.no_grad()
def test_from_a_wide_distribution_of_numbers_importance_sums_to_the_likelihood():
    model, pixels = one_number()
    wide = Posterior(torch.full((1, 1), 0.3).double(), torch.full((1, 1), 1.6).double())
    nats = nats_of(model, pixels, torch.randn(2**15, 1, dtype=torch.float64), wide)
    torch.testing.assert_close(nats.logsumexp(0) - math.log(2**15), likelihood(model, pixels), rtol=0, atol=0.05)


@torch.no_grad()
def test_one_sample_is_the_evidence_lower_bound():
    model, pixels = one_number()
    nats = nats_of(model, pixels, torch.randn(2**14, 1, dtype=torch.float64))
    assert (nats.mean() - lower_bound(model, pixels)).abs() < 4 * nats.std() / 2**7


@torch.no_grad()
def test_outside_training_the_loss_is_that_bound_in_bits_per_dimension():
    model, pixels = one_number()
    found = model.loss({"pixels": pixels.expand(2**14, -1, -1, -1)})
    torch.testing.assert_close(found, -lower_bound(model, pixels) / (16 * math.log(2)), rtol=0.01, atol=0)


@torch.no_grad()
def test_pictures_are_judged_by_the_samples_that_the_options_name():
    model, pixels = one_number()
    draws = torch.randn(TINY["num_importance"], 1, generator=torch.Generator().manual_seed(0)).double()
    nats = nats_of(model, pixels, draws).logsumexp(0) - math.log(TINY["num_importance"])
    assert model.judge(pixels)[0].bits_per_dimension == pytest.approx(-nats.item() / (16 * math.log(2)))


def test_values_that_are_all_alike_cost_eight_bits():
    """Of a distribution that is flat over 256 values; a wide one, within it, is nearly."""
    model = made(d_latent=1).eval()
    torch.nn.init.zeros_(model.decoder.last.weight), torch.nn.init.zeros_(model.decoder.last.bias)
    found = model.judge(torch.full((1, 1, 8, 8), 0.0))[0].bits_per_dimension
    scale = model.decoder(torch.zeros(1, 1), None).log_scale.exp().item()
    torch.testing.assert_close(found, -math.log2(math.tanh(1 / 255 / 2 / scale)), rtol=0.02, atol=0.02)


@torch.no_grad()
def test_what_is_said_of_a_picture_does_not_depend_on_the_others_nor_on_chance():
    model, pixels = made(scale="pixel").eval(), pictures()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    together = model.judge(pixels)
    assert torch.equal(torch.get_rng_state(), before)
    alone = [model.judge(one.unsqueeze(0))[0] for one in pixels]
    torch.testing.assert_close(bits(together), bits(alone), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(torch.stack([one.copy for one in together]), torch.stack([one.copy for one in alone]))


def test_a_copy_is_painted_from_the_mean_of_the_numbers():
    model, pixels = made(), pictures()
    copies = torch.stack([one.copy for one in model.judge(pixels)])
    torch.testing.assert_close(copies, model.render(model.encode(pixels)))
    assert model.encode(pixels).shape == (6, 3)


def terms(model, pixels):
    """What values and numbers cost in a training step: bits per dimension, and bits of each number in the mean."""
    with torch.no_grad():
        posterior = model.encoder(pixels, None)
        torch.manual_seed(9)
        latent = posterior.at(torch.randn_like(posterior.mean))
        nats = model.log_likelihood(pixels, latent, None).mean()
    torch.manual_seed(9)
    return model.loss({"pixels": pixels}).item(), -nats.item() / math.log(2), posterior.divergences().mean(0) / math.log(2)


def test_the_weight_of_the_divergence_rises_to_what_was_chosen_and_stays():
    model, pixels, shares = made(beta=2.0, beta_steps=4), pictures(), []
    for _ in range(6):
        found, values, divergences = terms(model, pixels)
        shares.append((found * 64 - values) / divergences.sum().item())
    assert shares == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0], rel=1e-3)


def test_without_steps_the_weight_is_full_at_once_and_outside_training_it_is_one():
    for is_training, beta, wanted in ((True, 3.0, 3.0), (False, 3.0, 1.0)):
        found, values, divergences = terms(made(beta=beta, free_bits=0.0).train(is_training), pictures())
        assert (found * 64 - values) / divergences.sum().item() == pytest.approx(wanted, rel=1e-3)


def test_a_number_costs_the_free_bits_at_least_while_training():
    model, pixels = made(), pictures()
    _, _, divergences = terms(model, pixels)
    free = divergences.sort().values[1].item() + 1e-4
    model = made(free_bits=free)
    found, values, _ = terms(model, pixels)
    assert found * 64 - values == pytest.approx(divergences.clamp(min=free).sum().item(), rel=1e-3)
    found, values, _ = terms(model.eval(), pixels)
    assert found * 64 - values == pytest.approx(divergences.sum().item(), rel=1e-3)


def test_the_weight_goes_on_where_a_checkpoint_was_written():
    model, pixels = made(beta_steps=10), pictures()
    for _ in range(3):
        model.loss({"pixels": pixels})
    model.eval().loss({"pixels": pixels})
    other = made(beta_steps=10)
    other.load_state_dict(model.state_dict())
    assert other.num_losses == 3
    assert terms(other, pixels)[0] == terms(model.train(), pixels)[0]


@pytest.mark.parametrize("scale", ["shared", "pixel"])
@pytest.mark.parametrize("num_classes", [0, 2])
def test_gradients_reach_every_parameter(scale, num_classes):
    """Query and key have none as long as attention's gain is 0."""
    model = made(PaintSizes(3, 8, num_classes), scale=scale)
    for module in model.modules():
        if isinstance(module, Sagan):
            torch.nn.init.ones_(module.gain)
    model.loss({"pixels": pictures(channels=3), "classes": torch.arange(6) % 2}).backward()
    assert [name for name, one in model.named_parameters() if one.grad is None or not one.grad.any()] == []


@pytest.mark.parametrize(
    ("size", "channels", "widths", "at"),
    [(28, 1, (8, 8, 4), (7, 28)), (32, 3, (6, 6, 5, 4), (16,)), (128, 1, (4, 4, 4, 4, 4), (8,)), (4, 1, (8,), (4,))],
)
def test_pictures_of_any_size_are_written_down_and_painted(size, channels, widths, at):
    model = made(PaintSizes(channels, size), widths=widths, attention_at=at)
    pixels = pictures(2, channels, size)
    assert model.loss({"pixels": pixels}).isfinite()
    for found in (model.paint(torch.randn(2, 3)), model.render(model.encode(pixels))):
        assert found.shape == pixels.shape
        assert found.abs().max() <= 1


def test_classes_change_what_is_read_and_what_is_painted():
    model, pixels = made(PaintSizes(1, 8, 2)), pictures(2)[:1].expand(2, 1, 8, 8)
    classes, noise = torch.tensor([0, 1]), torch.randn(1, 3).expand(2, 3)
    first, second = model.encode(pixels, classes)
    assert not torch.allclose(first, second)
    first, second = model.paint(noise, classes)
    assert not torch.allclose(first, second)
    with pytest.raises(InputError, match="needs that of each picture, got none"):
        model.paint(noise)


def test_a_model_without_classes_ignores_them():
    model, noise = made(), torch.randn(2, 3)
    assert torch.equal(model.paint(noise, torch.tensor([0, 1])), model.paint(noise))


def test_attention_of_both_networks_is_seen_where_it_was_asked_for():
    model, pixels = made(PaintSizes(1, 16), widths=(8, 8, 8), attention_at=(4, 8)), pictures(size=16)
    with regard.watch(model) as lens:
        model.judge(pixels)
    found = {name.removesuffix(".mechanism"): lens[name].shape[3] for name in lens.layers}
    assert found == {f"{network}.body.attention{side}": side**2 for network in ("encoder", "decoder") for side in (4, 8)}


@pytest.mark.filterwarnings("ignore:No attention was seen")
def test_without_attention_there_is_none():
    model = made(attention_at=())
    with regard.watch(model) as lens:
        model.judge(pictures())
    assert not lens.layers


def test_attention_looks_by_the_mechanism_that_is_named():
    looking = [one.mechanism for one in made(mechanism="cosine").modules() if isinstance(one, Sagan)]
    assert [type(one).__name__ for one in looking] == ["Cosine", "Cosine"]


def test_the_scale_is_one_for_all_or_one_for_each_pixel():
    latent = torch.randn(2, 3)
    shared, own = (made(PaintSizes(3, 8), scale=scale).decoder(latent, None).log_scale for scale in ("shared", "pixel"))
    assert shared.shape == (1, 3, 1, 1)
    assert own.shape == (2, 3, 8, 8)
    assert len(own.unique()) > 300
    torch.testing.assert_close(shared.exp(), torch.full_like(shared, 0.1), rtol=0.01, atol=0)


@pytest.mark.parametrize(("channels", "groups"), [(128, 8), (32, 8), (18, 2), (8, 2), (3, 1)])
def test_no_channel_is_normalised_alone(channels, groups):
    assert norm(channels).num_groups == groups


def test_bits_under_bfloat16_are_near_those_of_full_precision():
    model, pixels = made(scale="pixel").eval(), pictures()
    exact = bits(model.judge(pixels))
    with torch.autocast("cpu", torch.bfloat16):
        loss = model.loss({"pixels": pixels})
        found = bits(model.judge(pixels))
        assert loss.dtype == model.encode(pixels).dtype == model.paint(torch.randn(1, 3)).dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=0.01, atol=0)


@torch.no_grad()
def test_after_training_the_prior_becomes_like_the_numbers_of_the_pictures():
    model = made(num_components=2).eval()
    model.encoder.head.bias[:3] += 5
    pixels = pictures(200)
    before, noise = bits(model.judge(pixels)).mean(), torch.randn(2000, 3)
    model.fit_prior({"pixels": part} for part in pixels.split(25))
    numbers = model.prior.latent_of(noise, None)
    posterior = model.encoder(pixels, None)
    torch.testing.assert_close(numbers.mean(0), posterior.mean.mean(0), rtol=0, atol=0.3)
    torch.testing.assert_close(numbers.var(0), posterior.mean.var(0) + posterior.std.square().mean(0), rtol=0.4, atol=0)
    assert torch.equal(model.paint(noise), model.render(numbers))
    assert bits(model.judge(pixels)).mean() < before - 0.1


@torch.no_grad()
def test_each_class_gets_a_prior_of_its_own():
    model = made(PaintSizes(1, 8, 2)).eval()
    model.encoder.classes.embedding.weight[1] += 3
    pixels, classes = pictures(200), torch.arange(200) % 2
    model.fit_prior([{"pixels": pixels, "classes": classes}])
    codes = model.encode(pixels, classes)
    for number in range(2):
        found = model.prior.latent_of(torch.randn(300, 3), torch.full((300,), number))
        torch.testing.assert_close(found.mean(0), codes[classes == number].mean(0), rtol=0, atol=0.3)


def test_a_normal_prior_stays_one():
    model, noise = made(prior="normal"), torch.randn(2, 3)
    model.fit_prior([{"pixels": pictures()}])
    assert torch.equal(model.paint(noise), model.render(noise))


def test_it_learns():
    """A picture of two is made of one number; values far from it cost more."""
    pixels = torch.stack([torch.full((1, 8, 8), -0.8), torch.full((1, 8, 8), 0.6)]).repeat(8, 1, 1, 1)
    model = made(beta_steps=20)
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    losses = []
    for _ in range(60):
        loss = model.loss({"pixels": pixels})
        optimizer.zero_grad(), loss.backward(), optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 3
    assert (model.eval().judge(pixels[:2])[0].copy + 0.8).abs().mean() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -1.0}, "beta must be at least 0"),
        ({"free_bits": -0.1}, "free_bits must be at least 0"),
        ({"num_importance": 0}, "num_importance must be at least 1"),
        ({"num_components": 0}, "num_components must be at least 1"),
        ({"widths": (8, 0)}, "widths must be channels of maps, each at least 1"),
        ({"attention_at": (3,)}, "attention_at must be sides of maps, which are 4, 8; got 3"),
        ({"widths": (8, 8, 8, 8)}, "the side of pictures must be a multiple of 8"),
        ({"mechanism": "sofmax"}, "Did you mean 'softmax'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        made(**options)
