"""From text to tensors to labels: encoding, batching, fine-tuning, prediction, evaluation, masked passes.

Every phase that masks heads does so with `models.gates.gated`.
Imports `core`, `data` and `models`.
"""
