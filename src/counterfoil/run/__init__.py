"""What the two commands do: models, addresses, training, evaluation, run folders, studies."""
