import torch

from counterfoil.audit.aspects import aspects, only


def tinted(light, red, green, blue):
    return light * 3 * torch.tensor([red, green, blue]).view(1, 3, 1, 1) / (red + green + blue)


def test_a_tint_is_carried_over_and_nothing_else():
    draw = torch.Generator().manual_seed(0)
    one, other = (torch.rand(1, 1, 8, 8, generator=draw) * 0.3 for _ in range(2))
    red, green = tinted(one, 1.0, 0.0, 0.0), tinted(other, 0.0, 1.0, 0.0)
    torch.testing.assert_close(only("colour", red, green), tinted(one, 0.0, 1.0, 0.0))
    torch.testing.assert_close(only("colour", red, red), red)


def test_brightness_is_a_shift_of_the_mean():
    x = torch.full((1, 1, 4, 4), 0.2)
    x[..., 0] = 0.4
    other = x.flip(-1) + 0.3
    torch.testing.assert_close(only("brightness", x, other), x + 0.3)


def test_shape_is_what_is_left():
    draw = torch.Generator().manual_seed(0)
    one, other = (0.2 + 0.1 * torch.rand(1, 1, 8, 8, generator=draw) for _ in range(2))
    red, green = tinted(one, 0.5, 0.3, 0.2), tinted(other + 0.1, 0.2, 0.5, 0.3)
    found = only("shape", red, green)
    torch.testing.assert_close(found.mean(), red.mean(), rtol=1e-3, atol=1e-3)
    same = tinted(other + one.mean() - other.mean(), 0.5, 0.3, 0.2)
    torch.testing.assert_close(found, same, rtol=0, atol=0.02)
    assert aspects(1) == ("brightness", "shape")
    assert aspects(3) == ("colour", "brightness", "shape")
