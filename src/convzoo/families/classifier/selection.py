"""How an epoch of a classifier's training is judged, on val."""

import torch
import torch.nn.functional as F  # noqa: N812 (the field's name)
from lightning_fabric import Fabric
from torch import Tensor, nn

from convzoo.data.batches import Images, in_order
from convzoo.data.pixels import to_floats

BATCH = 1000


@torch.no_grad()
def judge(fabric: Fabric, body: nn.Module, val: Images, mean: Tensor, std: Tensor) -> tuple[float, float]:
    """Mean cross-entropy (nats) and accuracy (0 to 1) of `body` on val; its mode is put back."""
    training = body.training
    body.eval()
    loss, hits = 0.0, 0
    for index in in_order(len(val), BATCH):
        labels = val.labels[index.to(fabric.device)]
        with fabric.autocast():
            logits = body(to_floats(val.take(index), mean, std)).float()
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        hits += (logits.argmax(1) == labels).sum().item()
    body.train(training)
    return loss / len(val), hits / len(val)
