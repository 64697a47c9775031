# %% [markdown]
# # Your own method against baselines
#
# A method is a recipe: where to search (a *space*), what to want (*terms*), how to look (a *search*). This
# one is new: it searches in the code of a VAE, pulls with a margin, and keeps the change small in the
# Euclidean norm. Is it any good? Baselines, a judge and paired differences tell.
#
# ## The method

# %%
from functools import partial

from torch.optim import Adam

from counterfoil import L2, Decodes, Encodes, Hinge, Latent, Objective, OptimisedExplainer, Search, require


class MyMethod(OptimisedExplainer):
    """min_z  hinge(f(G(z)), t) + lambda * mean (x - G(z))^2"""

    def __init__(self, classifier, generator, *, lambda_=20.0, confidence=0.5, count=1):
        require(generator, Encodes, Decodes, method="my_method")
        super().__init__(
            classifier,
            generator,
            space=Latent(),
            objective=Objective(Hinge(), distance=L2(lambda_)),
            search=Search(100, partial(Adam, lr=0.05)),
            confidence=confidence,
            count=count,
        )


# %% [markdown]
# ## Does it keep its promises?
#
# `check_explainer` tries on it what the house tries on its own methods: that a batch is independent
# queries, that two calls are equal, that nothing is graded by itself. It is quiet where all is well.

# %%
from counterfoil.testing import TinyClassifier, check_explainer, tiny_vae

check_explainer(MyMethod(TinyClassifier(), tiny_vae()))

# %% [markdown]
# Each broken promise is told in one sentence. Here is one of those of a method that forgets that other
# queries are in its batch:

# %%
import torch

from counterfoil import Explainer, Found


class Forgetful(Explainer):
    """Moves every query by the mean of the batch."""

    def explain(self, query):
        moved = (query.factual + query.factual.mean(0, keepdim=True)) / 2
        none = torch.zeros(len(moved), dtype=torch.long)
        return Found(moved, steps=none, classifier_calls=none)


try:
    check_explainer(Forgetful(TinyClassifier()))
except AssertionError as broken:
    print("\n".join(line for line in str(broken).splitlines() if "alone" in line))

# %% [markdown]
# ## Models to try it on
#
# Small ones, trained on digits of the package.

# %% language="bash"
# python -m counterfoil train data=digits data.limit=5000 classifier=cnn classifier@judge=resnet \
#     generative=vae classifier.training.epochs=4 judge.training.epochs=4 generative.training.epochs=4 \
#     logger=none callbacks=none

# %%
from counterfoil import Revise, Wachter, load_classifier, load_generator

made = ("data=digits", "data.limit=5000")
short = "{}.training.epochs=4".format
classifier = load_classifier("cnn", *made, short("classifier"))
judge = load_classifier("resnet", *made, short("judge"), role="judge")
vae = load_generator("vae", *made, short("generative"))

# %% [markdown]
# ## The same queries to each

# %%
from counterfoil.data.digits import Digits

x = Digits(limit=5000).test[range(40)].x
methods = {
    "my_method": MyMethod(classifier, vae, confidence=0.9),
    "revise": Revise(classifier, vae, confidence=0.9),
    "wachter": Wachter(classifier, confidence=0.9),
}
found = {name: method(x) for name, method in methods.items()}  # no target: the class that comes second

# %%
from counterfoil import JudgeAgreement, Validity, compare
from counterfoil.metric.proximity import L1

compare(found, [Validity(), JudgeAgreement(judge), L1()])

# %% [markdown]
# Each figure has its 95 % interval. Bold is what the paired difference over the common queries does not
# tell from the best: with 40 queries that is often more than one method, and then nothing is shown.

# %%
found["my_method"].plot(8)

# %%
found["revise"].plot(8)

# %% [markdown]
# To run it beside others from the command line it needs a yaml of four lines: see *Add a method*.
