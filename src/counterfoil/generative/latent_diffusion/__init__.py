"""Class-conditional diffusion over the code of a frozen generative model."""
