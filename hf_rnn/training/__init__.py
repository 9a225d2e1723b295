"""Trainer, samplers, checkpoints, arguments, distillation, regularisation, metrics and plots."""
