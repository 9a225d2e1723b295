"""What a checkpoint is made of: every module here travels with it, so each imports only its siblings, torch, transformers,
huggingface_hub and the standard library.
"""
