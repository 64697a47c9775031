"""A small denoising diffusion model, or the folder of a pipeline."""
