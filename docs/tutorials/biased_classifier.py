# %% [markdown]
# # A biased classifier found out
#
# Two networks tell 3 from 8. In the training images of the first every 8 carries a bright mark in a corner;
# in those of the second nothing is marked. On marked test images the first looks perfect. Its
# counterfactuals show what it reads.
#
# ## Two classifiers, in plain PyTorch

# %%
import torch

from counterfoil import CNN, Classifier
from counterfoil.data.digits import Digits

torch.manual_seed(0)
data = Digits(classes=[3, 8])
train, test = data.train[:], data.test[:]
CORNER = (slice(None), slice(None), slice(1, 5), slice(1, 5))


def marked(x, y):
    """Every 8 (class 1) with a bright square in its corner."""
    x = x.clone()
    x[CORNER] = torch.where((y == 1)[:, None, None, None], torch.ones(()), x[CORNER])
    return x


def trained(x, y):
    """A small network after three passes."""
    net = CNN(channels=1, classes=2, width=8)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    for _ in range(3):
        for part in torch.randperm(len(x)).split(64):
            loss = torch.nn.functional.cross_entropy(net((x[part] - 0.5) / 0.5), y[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return Classifier(net.eval(), mean=0.5, std=0.5, class_names=["3", "8"])


biased = trained(marked(train.x, train.y), train.y)
honest = trained(train.x, train.y)

# %% [markdown]
# Test images that are made as the training images hide the difference:


# %%
def accuracy(classifier, x, y):
    """Share of images that the classifier gets right."""
    return float((classifier(x).argmax(1) == y).float().mean())


for name, classifier in (("biased", biased), ("honest", honest)):
    with_marks, without = (accuracy(classifier, x, test.y) for x in (marked(test.x, test.y), test.x))
    print(f"{name}: {100 * with_marks:.0f} % right with marks, {100 * without:.0f} % without")

# %% [markdown]
# The second column needs images without the mark, which one has only if one knows of the mark already.
#
# ## What would have to change?
#
# Ask each network to see an 8 in its 3s, by gradient descent on the pixels.

# %%
from counterfoil import Wachter

threes = test.x[test.y == 0][:60]
changes = {}
for name, classifier in (("biased", biased), ("honest", honest)):
    cf = Wachter(classifier, confidence=0.9, lr=0.1)(threes, target="8")
    changes[name] = cf.delta[cf.valid].abs().mean((0, 1))
    print(name, cf)

# %%
import matplotlib.pyplot as plt

figure, axes = plt.subplots(1, 2, figsize=(7, 3.4))
for axis, (name, change) in zip(axes, changes.items(), strict=True):
    axis.imshow(change, cmap="magma")
    axis.add_patch(plt.Rectangle((0.5, 0.5), 4, 4, fill=False, edgecolor="white", linestyle="--"))
    axis.set_title(f"{name}: mean change")
    axis.axis("off")

# %% [markdown]
# The network that was trained on marks asks for the mark. As a figure: the mean change inside the corner
# over that of the whole image, which is 1 where the corner is as any other place.

# %%
for name, change in changes.items():
    print(f"{name}: {change[1:5, 1:5].mean() / change.mean():.1f} times the change of the whole image")

# %% [markdown]
# ## Is the corner what decides?
#
# A map of changes suggests a cause, putting changes in and taking them back tests it: what does the
# classifier say of the query with *only* the corner's change, and of the counterfactual *without* it?

# %%
REGION = (slice(None), slice(None), slice(0, 8), slice(0, 8))


def flipped(classifier, x, target):
    """Share of images that the classifier puts in the target."""
    return 100 * float((classifier(x).argmax(1) == target).float().mean())


for name, classifier in (("biased", biased), ("honest", honest)):
    cf = Wachter(classifier, confidence=0.9, lr=0.1)(threes, target="8")
    alone, without = cf.factual.clone(), cf.counterfactual.clone()
    alone[REGION], without[REGION] = cf.counterfactual[REGION], cf.factual[REGION]
    shares = [flipped(classifier, x, cf.target) for x in (cf.counterfactual, alone, without)]
    print(
        "{}: all of the change flips {:.0f} %, the corner's alone {:.0f} %, the rest {:.0f} %".format(
            name, *shares
        )
    )

# %% [markdown]
# The honest network never needed the corner; most flips of the other one are lost with it.
#
# Counterfactuals found the cause without knowing what to look for. Pixels alone can also be adversarial:
# where no such region stands out, ask a method with a generative model and a judge, as in *Digits from
# zero*.
