"""A small CNN over tokens, by PyTorch, exported to an ONNX graph that dnsvet takes.

    tokens -> Embedding -> Conv1d over 3 and over 5 tokens -> ReLU -> maximum -> Linear -> logit

The surprise is in the export: by default PyTorch puts the weights into a second file, which dnsvet does not take, and
ties the graph to the batch size of its example.
"""

import pathlib
import sys
import tempfile

import numpy
import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
import manifest
from manifest import ALPHABET, LENGTH

EPOCHS, BATCH, SEED = 12, 64, 7


class Cnn(torch.nn.Module):
    def __init__(self, width=16, filters=48, taps=(3, 5)):
        super().__init__()
        self.embedding = torch.nn.Embedding(ALPHABET, width)
        self.banks = torch.nn.ModuleList(torch.nn.Conv1d(width, filters, tap) for tap in taps)
        self.dropout = torch.nn.Dropout(0.3)
        self.dense = torch.nn.Linear(filters * len(taps), 1)

    def forward(self, tokens):
        embedded = self.embedding(tokens).transpose(1, 2)
        found = [torch.relu(bank(embedded)).amax(dim=2) for bank in self.banks]
        return self.dense(self.dropout(torch.cat(found, dim=1))).squeeze(1)


def fit(model, rows, labels):
    rows, labels = torch.from_numpy(rows), torch.from_numpy(labels.astype(numpy.float32))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    for epoch in range(1, EPOCHS + 1):
        model.train()
        total = 0.0
        for part in torch.randperm(len(rows)).split(BATCH):
            loss = torch.nn.functional.binary_cross_entropy_with_logits(model(rows[part]), labels[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(part)
        print(f"epoch {epoch}: loss {total / len(rows):.4f}", file=sys.stderr)
    model.eval()


def export(model):
    """The graph with its weights inside, for any number of names."""
    # The example has three names: from one, the exporter would conclude that there is always one.
    example = torch.zeros(3, LENGTH, dtype=torch.int64)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "model.onnx"
        torch.onnx.export(
            model,
            (example,),
            path,
            input_names=["tokens"],
            output_names=["logit"],
            dynamic_shapes=({0: torch.export.Dim("n")},),
            opset_version=18,
            external_data=False,
            verbose=False,
        )
        return path.read_bytes()


def main():
    args = manifest.arguments("Train on names and write model.onnx and manifest.json.", "own-pytorch")
    torch.manual_seed(SEED)
    # So small a network is quicker without threads that wait for each other.
    torch.set_num_threads(1)
    train, calibration, test = manifest.split(*manifest.names(args.data))
    model = Cnn()
    fit(model, manifest.matrix(train[0]), train[1])
    parameters = sum(weights.numel() for weights in model.parameters())
    sources = [manifest.source(args.data, len(train[0]))]
    made_by = "examples/own-model/pytorch/train.py"
    manifest.write(args, export(model), parameters, calibration, test, sources, made_by)


main()
