"""Compares dnsvet's scores with onnxruntime's.

    dnsvet score --registry REGISTRY --model NAME < names.txt | python compare.py out

Exit code 1 if any is off by more than 1e-5.
"""

import json
import pathlib
import sys

import numpy

import manifest

folder = pathlib.Path(sys.argv[1])
said = json.loads((folder / "manifest.json").read_text())
rows = [line.rstrip("\n").split("\t") for line in sys.stdin]
if not rows:
    sys.exit("no scores on standard input")
names, got = [row[0] for row in rows], numpy.array([float(row[1]) for row in rows])
logit = manifest.logits((folder / "model.onnx").read_bytes(), names, said["output"]).astype(numpy.float64)
want = manifest.sigmoid(said["calibration"]["slope"] * logit + said["calibration"]["intercept"])
for name, ours, theirs in zip(names, got, want):
    print(f"{name:<40} dnsvet {ours:.9f}  onnxruntime {theirs:.9f}")
furthest = float(numpy.abs(got - want).max())
print(f"{len(names)} names, furthest apart {furthest:.1e}")
if not furthest <= 1e-5:
    sys.exit("dnsvet and onnxruntime do not agree to 1e-5")
