# %% [markdown]
# # Digits from zero
#
# From nothing to a page of counterfactuals: train a classifier, a second one as **judge** and a generative
# model on digits that are in the package, ask three methods the same 40 queries, and look at what they
# return. Everything is small, so that this page is made in about a minute on one core; figures of trained
# models stand in the results.
#
# ## Train
#
# One command trains what is named. 5,000 of the shipped MNIST digits, few passes.

# %% language="bash"
# python -m counterfoil train data=digits data.limit=5000 classifier=cnn classifier@judge=resnet \
#     generative=vae classifier.training.epochs=4 judge.training.epochs=4 generative.training.epochs=4 \
#     logger=none callbacks=none

# %% [markdown]
# Each model lies in `models/` under an address made of its data and recipe: the same command trains nothing
# twice.
#
# ## Ask
#
# `wachter` moves pixels, `revise` moves the code of the generative model, `nearest` returns a training
# image. Each query is an image of the test set, and its target the class that comes second.

# %% language="bash"
# python -m counterfoil evaluate data=digits data.limit=5000 classifier=cnn classifier@judge=resnet \
#     generative=vae classifier.training.epochs=4 judge.training.epochs=4 generative.training.epochs=4 \
#     explainer=[nearest,wachter,revise] confidence=0.9 n=40 metric=[success,distances] \
#     logger=none run_dir=runs/first

# %% [markdown]
# **Validity** is the share that the classifier itself puts in the target. It says little: read the
# **judge** beside it, a second network, trained apart, that no method has seen. `runs/first/report.html`
# shows all of this as a page, with every counterfactual.
#
# ## Look
#
# The run folder holds the counterfactuals. `plot` draws, for each query, what was asked, what was returned
# and what changed (red brighter, blue darker).

# %%
from pathlib import Path

from counterfoil import Counterfactuals

found = {}
for name in ("nearest", "wachter", "revise"):
    files = sorted(Path("runs/first/counterfactuals", name).glob("*.safetensors"))
    found[name] = Counterfactuals.cat([Counterfactuals.load(file) for file in files])
    print(found[name])

# %%
found["wachter"].plot(8)

# %%
found["revise"].plot(8)

# %% [markdown]
# `wachter` leaves the digit as it was, under a faint pattern: that is enough for the classifier. `revise`
# redraws strokes. Which of the two does the judge follow?

# %%
from counterfoil import load_classifier

judge = load_classifier("runs/first", role="judge")
for name, cf in found.items():
    follows = (judge(cf.counterfactual).argmax(1) == cf.target).float().mean()
    print(f"{name:8} judge sees the target in {100 * follows:.0f} %, L1 {cf.delta.abs().mean():.3f}")

# %% [markdown]
# With 40 queries and such small models these shares are rough; the table above gives their intervals.
