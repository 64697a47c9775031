"""Trains the models that a config names:  python train.py classifier=cnn   (see --help, conf/train.yaml).

The `@hydra.main` is in counterfoil.run.command; Hydra's shell completion looks for the word here.
"""

from counterfoil.run.command import train

if __name__ == "__main__":
    train()
