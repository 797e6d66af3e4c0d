"""What every model brought to dnsvet shares: the tokenizer, held-back names, calibration, manifest.json.

    names.tsv -> names() -> split() -> train | calibration | test
    train -> model.onnx -> logits() by onnxruntime -> platt(), thresholds() -> write() -> manifest.json

dnsvet runs model.onnx by itself and compares what it gets with the golden vectors that write() puts into the manifest.
The surprise: nothing here is needed to score. dnsvet has the tokenizer too, and the two must agree to the last token.
"""

import argparse
import csv
import hashlib
import json
import pathlib
import sys

import blake3
import numpy
import onnxruntime

# Tokenizer version 2: 66 tokens a name, each from 0 to 40.
TOKENIZER, LENGTH, ALPHABET = 2, 66, 41
PAD, OTHER = 0, 40
KNOWN = {ord(letter): 1 + at for at, letter in enumerate(".-_0123456789abcdefghijklmnopqrstuvwxyz")}

# The share of malicious names among those that no list knows, unless you know better.
PRIOR = 0.01
# No model blocks below this probability, whatever its threshold says.
FLOOR = 0.90
# This share of malicious names may pass without a second look.
MISSED = 0.25

GOLDEN_NAMES = [
    "example.com",
    "www.example.com",
    "Example.COM.",
    "www.com",
    "a.co",
    "bbc.co.uk",
    "xn--bcher-kva.example",
    "0123456789.net",
    "login-secure-account-update.top",
    "qxvbzkjw.biz",
    "d41d8cd98f00b204e9800998ecf8427e.info",
    "_dmarc.example.org",
    "a.b.c.d.e.f.g.h.example.com",
    "thequickbrownfoxjumpsoverthelazydog.com",
    "very-long-label-very-long-label-very-long-label-very.long-label-example.co",
    "other$bytes!.example",
    "x",
    "",
]


def tokens(name):
    """Tokenizer version 2: what a model reads of a name."""
    name = name.removesuffix(".")
    if name[:4].lower() == "www." and "." in name[4:]:
        name = name[4:]
    text = name.encode()[-64:]
    while text and text[0] & 0xC0 == 0x80:  # the middle of a character
        text = text[1:]
    row = [PAD] + [KNOWN.get(byte, OTHER) for byte in text.lower()]
    return row + [PAD] * (LENGTH - len(row))


def matrix(names):
    """int64 [n, 66]: what the graph takes."""
    return numpy.array([tokens(name) for name in names], dtype=numpy.int64).reshape(-1, LENGTH)


def arguments(about, default_name):
    """The command line that both examples have."""
    parser = argparse.ArgumentParser(description=about)
    sample = pathlib.Path(__file__).resolve().parents[2] / "tests/data/names.tsv"
    parser.add_argument("--data", type=pathlib.Path, default=sample, help="lines of name, TAB, benign or malicious")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out"), help="folder for the two files")
    parser.add_argument("--name", default=default_name, help="what dnsvet is to call the model")
    return parser.parse_args()


def names(path):
    """Names and labels (1: malicious) of a file, each name once. Further columns are left alone."""
    found = {}
    with open(path, newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE), 1):
            if len(row) < 2 or row[1] not in ("benign", "malicious"):
                sys.exit(f"{path}:{number}: expected a name, a tab, benign or malicious; got {row!r}")
            found[row[0]] = int(row[1] == "malicious")
    return list(found), numpy.array(list(found.values()))


def split(found, labels):
    """Train, calibration and test parts, 60 : 20 : 20. Names with the same last two labels stay together, so that no
    part knows another one's domains."""

    def part(name):
        domain = ".".join(name.split(".")[-2:])
        return min(hashlib.sha256(domain.encode()).digest()[0] * 5 // 256, 4)

    parts = numpy.array([part(name) for name in found])
    pick = lambda wanted: ([n for n, p in zip(found, parts) if p in wanted], labels[numpy.isin(parts, wanted)])
    return pick([0, 1, 2]), pick([3]), pick([4])


def logits(onnx, some, output="logit"):
    """What onnxruntime makes of names, as logits of malicious, whatever the graph gives."""
    session = onnxruntime.InferenceSession(onnx, providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {"tokens": matrix(some)})
    if output == "probability":
        p = numpy.clip(given, 1e-7, 1 - 1e-7)
        return numpy.log(p / (1 - p))
    return given[:, 1] - given[:, 0] if output == "two_logits" else given


def sigmoid(x):
    return 1 / (1 + numpy.exp(-numpy.clip(x, -500, 500)))


def platt(logit, labels):
    """Slope and intercept that make logits of names, which the model did not see, the log-odds of malicious (Platt 1999),
    and the share of malicious names that they hold for."""
    bad, good = int(labels.sum()), int((1 - labels).sum())
    target = numpy.where(labels == 1, (bad + 1) / (bad + 2), 1 / (good + 2))
    columns = numpy.stack([logit.astype(numpy.float64), numpy.ones(len(logit))])
    weights = numpy.array([1.0, 0.0])
    for _ in range(100):
        p = sigmoid(weights @ columns)
        curve = (columns * (p * (1 - p))) @ columns.T + 1e-9 * numpy.eye(2)
        weights -= numpy.linalg.solve(curve, columns @ (p - target))
    if not 0 < weights[0] < 1e6:
        sys.exit(f"the model tells nothing: a higher logit is no higher risk on held-back names (slope {weights[0]:.3g})")
    return {"slope": float(weights[0]), "intercept": float(weights[1]), "balance": bad / (bad + good)}


def probability(logit, scale, prior=PRIOR):
    """The probability of malicious where the share `prior` of all names is: what thresholds are compared with."""
    shift = numpy.log(prior / (1 - prior)) - numpy.log(scale["balance"] / (1 - scale["balance"]))
    return sigmoid(scale["slope"] * logit.astype(numpy.float64) + scale["intercept"] + shift)


def thresholds(p, labels):
    """Where a probability decides. No held-back benign name is blocked; of n names that proves no less than 3 in n."""
    benign, malicious = p[labels == 0], p[labels == 1]
    block = min(max(FLOOR, numpy.nextafter(benign.max(), 2)), 1.0)
    allow = min(numpy.quantile(malicious, MISSED), block)
    return {"allow_below": float(allow), "block_above": float(block), "false_block_budget": 3 / len(benign)}


def auc(logit, labels):
    """The area under the ROC curve: how often a malicious name has a higher logit than a benign one."""
    ranks = numpy.unique(logit, return_inverse=True, return_counts=True)
    middle = numpy.cumsum(ranks[2]) - (ranks[2] - 1) / 2
    bad, good = labels.sum(), (1 - labels).sum()
    return float((middle[ranks[1]][labels == 1].sum() - bad * (bad + 1) / 2) / (bad * good))


def write(args, onnx, parameters, calibration, test, sources, made_by, output="logit"):
    """Writes model.onnx and manifest.json; `calibration` and `test` are names and labels that training did not see."""
    scale = platt(logits(onnx, calibration[0], output), calibration[1])
    golden = logits(onnx, GOLDEN_NAMES, output)
    digest = blake3.blake3(onnx).hexdigest()
    manifest = {
        "format": 1,
        "name": args.name,
        "id": f"{args.name}@{digest[:8]}",
        "tokenizer": TOKENIZER,
        "length": LENGTH,
        "output": output,
        "parameters": parameters,
        "onnx_blake3": digest,
        "calibration": scale,
        "prior": PRIOR,
        "thresholds": thresholds(probability(logits(onnx, calibration[0], output), scale), calibration[1]),
        "golden": [{"name": name, "logit": float(logit)} for name, logit in zip(GOLDEN_NAMES, golden)],
        "sources": sources,
        "made_by": made_by,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "model.onnx").write_bytes(onnx)
    (args.out / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    area = auc(logits(onnx, test[0], output), test[1])
    print(f"{manifest['id']}: {parameters} parameters, AUC {area:.3f} on {len(test[0])} names that it did not see")


def source(path, count):
    """The manifest's line for a file of names."""
    sample = path.name == "names.tsv" and path.parent.name == "data"
    licence = "see host/bundled/ATTRIBUTION.md" if sample else "yours to fill in"
    return {"source": path.name, "origin": "a file on the machine that trained", "licence": licence, "names": count}
