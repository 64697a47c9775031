"""The types everybody speaks; imports torch and nothing else of ours."""
