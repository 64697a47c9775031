"""Explains queries, scores, reports:  python evaluate.py explainer=all   (see --help, conf/evaluate.yaml).

The `@hydra.main` is in counterfoil.run.command; Hydra's shell completion looks for the word here.
"""

from counterfoil.run.command import evaluate

if __name__ == "__main__":
    evaluate()
