"""From text to tensors to labels: encoding, batching, fine-tuning, prediction, evaluation, masked passes.

Every phase that runs a model under a mask does so through `models.gates.gated`.
Imports `core`, `data` and `models`.
"""
