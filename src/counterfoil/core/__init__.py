"""The types that all packages share; imports torch and nothing else of ours."""
